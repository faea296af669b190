"""How the states of charge of a particle's pixels are spread: their range, their lean, their disorder."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64, compiled
from stxmdist.particles.metrics.two_ways import mean_and_sd
from stxmdist.particles.metrics.views import ParticleViews, at_pixels

BINS = 10
"""Of a tenth each, from 0 to 1; what noise throws beyond counts in the outermost"""
LEAST_PIXELS = 12


def histogram(views: ParticleViews) -> Mapping[str, F64]:
    """Interquartile range ``soc_iqr``, ``soc_skewness`` and entropy in bits of the pixels away from edges.

    The skewness is the third central moment over the spread to the third power, both without the twins' share; it is
    not known where there is no more spread than noise. The entropy is that of ten classes, 0 to 3.3 bits.

    Source: entropy Shannon, Bell Syst. Tech. J. 27, 379 (1948); the rest textbook moments.
    """
    n_views = views.soc.shape[0]
    inside = views.interior & np.isfinite(views.soc).all(axis=0)
    if views.sharp is None or inside.sum() < LEAST_PIXELS or n_views < 3:
        return {name: np.full(n_views, np.nan) for name in ("soc_iqr", "soc_skewness", "soc_entropy_bits")}
    iqr, second, third, entropy = _moments(at_pixels(views.soc, inside))
    of_twins, scatter = mean_and_sd(second[1:])
    spread = second - of_twins
    known = spread > 2.0 * scatter
    skewness = np.where(known, (third - mean_and_sd(third[1:])[0]) / np.where(known, spread, 1.0) ** 1.5, np.nan)
    return {"soc_iqr": iqr, "soc_skewness": skewness, "soc_entropy_bits": entropy}


@compiled
def _moments(soc: F64) -> tuple[F64, F64, F64, F64]:
    """Interquartile range, second and third central moment, and entropy in bits, (VIEW,) each, of pixels (VIEW, PIXEL).

    Quartiles lie between the pixels in order, by a straight line.
    """
    views, pixels = soc.shape
    iqr, second, third, entropy = np.empty(views), np.empty(views), np.empty(views), np.zeros(views)
    for k in range(views):
        ordered = np.sort(soc[k])
        mean = ordered.mean()
        for step, side in ((0.25, -1.0), (0.75, 1.0)):
            place = step * (pixels - 1)
            below = int(place)
            above = min(below + 1, pixels - 1)
            iqr[k] = side * (ordered[below] + (place - below) * (ordered[above] - ordered[below])) + (
                iqr[k] if side > 0.0 else 0.0
            )
        second[k] = ((ordered - mean) ** 2).mean()
        third[k] = ((ordered - mean) ** 3).mean()
        count = np.zeros(BINS)
        for one in ordered:
            count[min(max(int(one * BINS), 0), BINS - 1)] += 1.0 / pixels
        for share in count:
            if share > 0.0:
                entropy[k] -= share * np.log2(share)
    return iqr, second, third, entropy
