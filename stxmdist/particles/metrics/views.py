"""One particle as its metrics see it: what was measured, and its homogeneous twins seen through the same microscope."""

from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F64, I32, Mask
from stxmdist.particles.sharp_plate import SharpPlate


def at_pixels(images: F64, pixels: Mask) -> F64:
    """Images (VIEW, Y, X) at some pixels (Y, X), row by row: (VIEW, PIXEL)."""
    return images.reshape(len(images), -1).take(np.flatnonzero(pixels), axis=1)


@dataclass(frozen=True, eq=False)
class ParticleViews:
    """One particle cut out of the maps of a scan, with a margin; view 0 is what was measured, the others are twins.

    A twin has the particle's outline and thickness and one state of charge, and went through the same point spread
    function, noise and fit: what a metric shows on twins is not the particle's.
    """

    label: int
    """Of the particle in ``labels``"""
    labels: I32
    """(Y, X) all particles of the cut-out, 0 where there is none"""
    interior: Mask
    """(Y, X) pixels of the particle that are trusted and away from edges"""
    known: Mask
    """(Y, X) pixels that were measured"""
    soc: F64
    """(VIEW, Y, X) state of charge, NaN where it is not known"""
    total_nm: F64
    """(VIEW, Y, X) thickness of both end-members together, nm; NaN where it is not known"""
    soc_variance: F64
    """(Y, X) variance of ``soc`` by counting, of one pixel"""
    pixel_nm: float
    psf_sigma_nm: float
    """Sigma of the Gaussian that is as wide as the microscope's point spread function"""
    modality: str
    """``stxm`` or ``ptychography``"""
    phase_rad: F64 | None = None
    """(Y, X) phase of the transmission at one energy, unwrapped; None where only counts were measured"""
    outline_px: F64 | None = None
    """(VERTEX, 2) closed rim (y, x) as it is in front of the point spread function, in pixels of the cut-out; None
    where it is not known, as at the border
    """
    outline_se_px: float = float("nan")
    """Standard error of where that rim as a whole lies"""
    outline_noise_px: float = float("nan")
    """By how much noise moves single places of it"""
    sharp: SharpPlate | None = None
    """The particle with a sharp rim, for what is fitted through the point spread function; None where its state of
    charge is not known, and there are no twins
    """

    @property
    def inside(self) -> Mask:
        """(Y, X) the particle's outline."""
        return np.asarray(self.labels == self.label)

    @property
    def sigma_px(self) -> float:
        """Sigma of the point spread function in pixels."""
        return self.psf_sigma_nm / self.pixel_nm

    def only_measured(self) -> "ParticleViews":
        """The same without twins."""
        sharp = None if self.sharp is None else self.sharp.of_views(slice(1))
        return replace(self, soc=self.soc[:1], total_nm=self.total_nm[:1], sharp=sharp)
