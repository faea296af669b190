"""How the states of charge of a particle's pixels are spread: their range, their lean, their disorder."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews

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
    soc = views.soc[:, inside]
    low, high = np.percentile(soc, (25.0, 75.0), axis=1)
    away = soc - soc.mean(axis=1, keepdims=True)
    second, third = (away**2).mean(axis=1), (away**3).mean(axis=1)
    spread = second - second[1:].mean()
    known = spread > 2.0 * second[1:].std(ddof=1)
    skewness = np.where(known, (third - third[1:].mean()) / np.where(known, spread, 1.0) ** 1.5, np.nan)
    classes = np.clip((soc * BINS).astype(np.int64), 0, BINS - 1)
    share = np.stack([(classes == k).mean(axis=1) for k in range(BINS)], axis=1)
    entropy = -(share * np.log2(np.where(share > 0.0, share, 1.0))).sum(axis=1)
    return {"soc_iqr": high - low, "soc_skewness": skewness, "soc_entropy_bits": entropy}
