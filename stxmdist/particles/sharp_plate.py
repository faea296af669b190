"""A particle as a plate with a sharp rim: what its state of charge adds to the maps, and how that is undone."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from stxmdist.arrays import F64, Mask

LEAST_FILL = 0.25
"""Share of a plate's thickness below which a pixel's state of charge is not corrected faster: it would be noise."""


@dataclass(frozen=True, eq=False)
class SharpPlate:
    """One particle cut out of a scan, against the plate of one state of charge that has its outline and thickness.

    What differs from that plate is small against the optical density of the plate itself, so that the point spread
    function acts on it as on thicknesses: the false shells of half filled pixels are in both, and cancel.
    """

    mass_nm: F64
    """(Y, X) thickness of both end-members with a sharp rim: rims in proportion to what they fill"""
    level: float
    """State of charge of the homogeneous plate"""
    excess_nm: F64
    """(VIEW, Y, X) charged less ``level`` times total thickness, less the same of the homogeneous plate's image; 0
    where it is not seen
    """
    seen: Mask
    """(Y, X) where the excess is known and is this particle's"""
    variance_nm2: F64
    """(Y, X) variance of the excess by counting, of one pixel"""
    psf: F64
    """(K, K) point spread function on these pixels, sum 1"""

    def of_views(self, views: slice) -> "SharpPlate":
        """The same for some of the views."""
        return replace(self, excess_nm=self.excess_nm[views])

    def blurred(self, images: F64) -> F64:
        """(..., Y, X) through the point spread function; nothing lies beyond the cut-out."""
        rows, columns = images.shape[-2:]
        half = self.psf.shape[0] // 2
        size = [fft.next_fast_len(max(n + half, 2 * half + 1), real=True) for n in (rows, columns)]
        kernel = np.zeros(size)
        kernel[: self.psf.shape[0], : self.psf.shape[1]] = self.psf
        transfer = fft.rfft2(np.roll(kernel, (-half, -half), axis=(0, 1)))
        return np.asarray(fft.irfft2(fft.rfft2(images, size) * transfer, size)[..., :rows, :columns])

    def sharpened(self, iterations: int) -> F64:
        """(VIEW, Y, X) by how much the state of charge differs from ``level`` with the blur undone; 0 off the plate.

        The difference between what is seen and what the plate would show is given back to the plate time after time
        (van Cittert, Z. Phys. 69, 298 (1931)): few iterations, because later ones find noise.
        """
        thick = float(np.max(self.mass_nm, initial=0.0))
        step = self._mass / np.maximum(self._mass, LEAST_FILL * thick) ** 2
        soc = np.asarray(self.excess_nm * step)
        for _ in range(iterations):
            left = np.where(self.seen, self.excess_nm - self.blurred(self._mass * soc), 0.0)
            soc = soc + left * step
        return soc

    @property
    def _mass(self) -> F64:
        return np.maximum(self.mass_nm, 0.0)
