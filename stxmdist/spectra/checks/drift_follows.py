"""Whether a drift is one: shifts that rise and fall with absorption come from contrast, not from stages."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr

from stxmdist.arrays import F64

LEAST_ENERGIES = 6
"""With fewer, a drift that is steady in time resembles a spectrum by chance"""
LEAST_CORRELATION = 0.8
LARGEST_P = 0.01
LEAST_SPREAD_PX = 0.1
"""Smaller shifts move no spectrum, whatever they follow"""


@dataclass(frozen=True)
class DriftFollows:
    """How much a drift resembles the absorption spectrum."""

    correlation: float
    """Pearson's, of the direction that resembles it more, with what is linear in the order of the frames taken off; NaN
    where that is not known"""
    p: float
    """That so much resemblance comes by chance, both directions counted"""
    spread_px: float
    """Standard deviation of that direction's shifts, less the linear part"""

    @property
    def suspicious(self) -> bool:
        """Whether alignment should be looked at."""
        return abs(self.correlation) >= LEAST_CORRELATION and self.p <= LARGEST_P and self.spread_px >= LEAST_SPREAD_PX


def drift_follows(shift_px: F64, mean_od: F64) -> DriftFollows:
    """Compare shifts (ENERGY, 2) float64 in px with the mean optical density (ENERGY,) float64 of the particles.

    A stage drifts with time; a registration that is pulled by contrast shifts with absorption: frames before and at the
    edge look different, and correlating them finds a shift that is not there.
    """
    known = np.isfinite(shift_px).all(axis=1) & np.isfinite(mean_od)
    n = int(known.sum())
    unknown = DriftFollows(float("nan"), 1.0, float("nan"))
    if n < LEAST_ENERGIES:
        return unknown
    order = np.flatnonzero(known).astype(np.float64)
    density = _less_line(order, mean_od[known])
    best = unknown
    for axis in range(shift_px.shape[1]):
        moved = _less_line(order, shift_px[known, axis])
        if np.std(moved) <= 1e-9 or np.std(density) <= 1e-9:
            continue
        found = pearsonr(moved, density)
        if not abs(best.correlation) >= abs(found.statistic):
            p = min(1.0, shift_px.shape[1] * float(found.pvalue))
            best = DriftFollows(float(found.statistic), p, float(np.std(moved)))
    return best


def _less_line(x: F64, y: F64) -> F64:
    """What is left of ``y`` when the straight line that comes nearest to it is taken off."""
    return np.asarray(y - np.polynomial.Polynomial.fit(x, y, 1)(x))
