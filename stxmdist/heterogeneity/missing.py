"""What particles without a number could change: limits that hold whatever these are."""

import numpy as np

from stxmdist.arrays import F64

NOTABLE = 0.1
"""Share of an electrode's particles without a number above which this is said, and limits are given."""


def worst_case(mean: F64, lacking: F64, low: float, high: float) -> tuple[F64, F64]:
    """Least and greatest (STATE,) means over all particles if those that lack a number have the least or the greatest.

    Parameters
    ----------
    mean
        (STATE,) of the particles that have the number
    lacking
        (STATE,) share of the particles that lack it
    low, high
        between which the number can lie

    Source: Manski, Am. Econ. Rev. 80, 319 (1990).
    """
    return mean * (1.0 - lacking) + lacking * low, mean * (1.0 - lacking) + lacking * high


def worst_case_sum(weights: F64, mean: F64, lacking: F64, low: float, high: float) -> tuple[float, float]:
    """Least and greatest sum of (STATE,) weights times means under ``worst_case``: limits of an effect."""
    least, greatest = worst_case(mean, lacking, low, high)
    down = np.where(weights > 0, least, greatest)
    up = np.where(weights > 0, greatest, least)
    return float(weights @ down), float(weights @ up)
