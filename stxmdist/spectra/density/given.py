"""Transmission or optical density that others made of counts: what it is taken for, and the noise that its scatter
shows.

How many photons stood behind such numbers nobody knows, so no belief in Poisson's noise helps. Where nothing absorbs,
images differ from energy to energy by noise alone; that scatter, and how far it hangs together between pixels, is what
a fit weighs by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, Index, Mask
from stxmdist.spectra.density.absorbance import noise_correlation_area

LEAST_FREE_PX = 100
"""With fewer particle-free pixels the noise is taken from neighbours in the whole field"""
TOLERANCE_OD = 0.05
"""Free pixels that absorb more than this, or less than nothing by as much, are worth a word"""
LEAST_FACTOR = 1e-8
"""Numbers without any noise weigh as those of so many photons (its inverse): rounding alone leaves as much"""
MOST_AREAS = 8
"""The correlation of noise is looked at in no more images than these"""
GAP_PX = 32
"""Noise is not taken to hang together over a longer distance"""
CHI2_MEDIAN = 0.4549
"""Median of chi-square with one degree of freedom"""


def transmission_given(numbers: F32, *, logarithmic: bool) -> F32:
    """Transmission (Y, X) of an image of transmission, or of optical density where ``logarithmic``.

    NaN where there is no number or an infinite one.
    """
    with np.errstate(over="ignore"):
        transmission = np.exp(-numbers) if logarithmic else numbers
    return np.where(np.isfinite(numbers) & np.isfinite(transmission), transmission, np.float32(np.nan))


@dataclass(frozen=True, eq=False)
class GivenNoise:
    """The noise of transmissions whose counts are not known."""

    factor: F64
    """(ENERGY,) variance over transmission: one over the photons per pixel that would scatter as much; NaN where not
    measured
    """
    correlation_px2: float
    """Area over which noise is correlated"""
    beam_variance: F64
    """(ENERGY,) of the incident beam, which is 1: how far free pixels stray from their usual level"""
    free_od: float
    """Optical density of the free pixels, median over energies; NaN without any"""
    said: str
    """Where the noise is from, in a sentence with numbers"""

    @property
    def notes(self) -> tuple[str, ...]:
        """The same, and what else is to be known, in sentences."""
        if not abs(self.free_od) > TOLERANCE_OD:
            return (self.said,)
        return (
            self.said,
            f"the free pixels absorb {self.free_od:.2f} at every energy: a film, or another incident beam",
        )


def given_noise(transmission: Sequence[F32], measured: Index, free: Mask) -> GivenNoise:
    """Noise of images (Y, X) of transmission, of those at the energies ``measured``; ``free`` (Y, X) hold no particle.

    What differs from pixel to pixel and is the same at all energies (dust, uneven light) is not noise.
    """
    if int(free.sum()) < LEAST_FREE_PX or len(measured) < 2:
        return _from_neighbours(transmission, measured, free)
    values = np.stack([transmission[int(k)][free] for k in measured]).astype(np.float64)
    level = np.nanmean(values, axis=1)
    scatter = values / level[:, None] - np.nanmean(values / level[:, None], axis=0)
    # The mean over energies holds a part of each: what is left scatters less by this share.
    kept = 1.0 - 1.0 / len(measured)
    relative = np.array([_variance(one) for one in scatter]) / kept
    area = _correlation_area(scatter, free) if np.nanmax(relative) > LEAST_FACTOR else 1.0
    density = -np.log(np.where(level > 0, level, np.nan))
    usual = float(np.nanmedian(density))
    factor, beam = _at(len(transmission), measured, relative * level), np.full(len(transmission), np.nan)
    beam[measured] = (density - usual) ** 2 + relative * area / values.shape[1]
    photons = 1.0 / float(np.nanmedian(factor))
    said = (
        f"the noise is measured: {values.shape[1]} free pixels scatter from energy to energy as {photons:.3g} photons "
        f"would, correlated over {area:.1f} px"
    )
    return GivenNoise(factor, area, beam, usual, said)


def _correlation_area(scatter: F64, free: Mask) -> float:
    """Correlation area in px of the scatter (ENERGY, free PIXEL), of some of the energies together."""
    some = scatter[:: -(-len(scatter) // MOST_AREAS)]
    # One above the other with a gap between them, so that what few pixels say of one is averaged over all.
    images = np.full((len(some), free.shape[0] + GAP_PX, free.shape[1]), np.nan)
    for image, values in zip(images, some, strict=True):
        image[: free.shape[0]][free] = values
    area = noise_correlation_area(images.reshape(-1, free.shape[1]))
    return area if np.isfinite(area) else 1.0


def _from_neighbours(transmission: Sequence[F32], measured: Index, free: Mask) -> GivenNoise:
    """Noise from differences of neighbouring pixels anywhere in the field; particles' own structure adds to it."""
    found = []
    for energy in measured:
        image = np.asarray(transmission[int(energy)], dtype=np.float64)
        left, right = image[:, :-1], image[:, 1:]
        known = (left + right > 0) & np.isfinite(left + right)
        ratio = (left - right)[known] ** 2 / (left + right)[known]
        found.append(float(np.median(ratio)) / CHI2_MEDIAN if ratio.size else np.nan)
    factor = _at(len(transmission), measured, np.array(found))
    beam = np.where(np.isfinite(factor), 0.0, np.nan)
    why = f"{int(free.sum())} pixels are free" if len(measured) > 1 else "there is one energy"
    photons = 1.0 / float(np.nanmedian(factor))
    said = f"the noise is measured from neighbouring pixels of the whole field, as {why}: that of {photons:.3g} photons"
    return GivenNoise(factor, 1.0, beam, float("nan"), said)


def _at(n: int, measured: Index, factor: F64) -> F64:
    full = np.full(n, np.nan)
    full[measured] = np.maximum(factor, LEAST_FACTOR)
    return full


def _variance(values: F64) -> float:
    """Variance of values, of which some may be far out: those beyond four robust deviations are left out."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return float("nan")
    limit = 4.0 * max(1.4826 * float(np.median(np.abs(known - np.median(known)))), 1e-12)
    return float(known[np.abs(known - np.median(known)) <= limit].var(ddof=1))
