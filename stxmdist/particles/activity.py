"""How sure it is that a particle took part in the reaction."""

import numpy as np
from scipy import special

from stxmdist.arrays import F64


def probability_between(mean: F64, error: F64, low: float, high: float) -> F64:
    """Probability (...) that a number lies between two limits, given what was measured and its standard error.

    NaN where either is not known. An error of 0 gives 0 or 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = ((limit - mean) / error for limit in (low, high))
    sure = np.where((mean > low) & (mean < high), 1.0, 0.0)
    known = np.isfinite(mean) & np.isfinite(error)
    between = special.ndtr(above) - special.ndtr(below)
    return np.asarray(np.where(known, np.where(error > 0.0, between, sure), np.nan))
