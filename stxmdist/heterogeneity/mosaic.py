"""Whether particles of an electrode react one after the other or together, from their mean states of charge."""

import numpy as np

from stxmdist.arrays import F64


def mosaic_index(soc: F64, noise_variance: F64) -> tuple[float, F64]:
    """Mosaic index M = variance between particles / (mean (1 - mean)), and the (PARTICLE,) influences on it.

    1 where each particle is either charged or discharged (domino), 0 where all have the electrode's state of charge
    (concurrent). The noise of the measurement is taken off the variance, and the mean's own error off mean (1 - mean).
    Not clipped: noise leaves it below 0 or above 1. NaN of fewer than two particles, and where the mean lies so near
    to 0 or 1 that no particle could differ from it.

    Parameters
    ----------
    soc, noise_variance
        (PARTICLE,) float64, finite; every particle counts alike

    Source: own; the variance of a mosaic as in Chueh et al., Nano Lett. 13, 866 (2013).
    """
    n = len(soc)
    if n < 2:
        return float("nan"), np.full(n, np.nan)
    mean, total = float(soc.mean()), float(soc.var(ddof=1))
    between = total - float(noise_variance.mean())
    possible = mean * (1.0 - mean) + total / n
    if possible <= LEAST_POSSIBLE:
        return float("nan"), np.full(n, np.nan)
    index = between / possible
    deviation = soc - mean
    of_variance = deviation**2 - total * (n - 1) / n - (noise_variance - noise_variance.mean())
    return index, np.asarray((of_variance - index * (1.0 - 2.0 * mean) * deviation) / possible)


LEAST_POSSIBLE = 0.02
"""Of mean (1 - mean): an electrode charged to 2 % has no room for a mosaic that errors of the scale would not make"""
