"""Polar angles of optical densities at two energies, and the two Gaussians behind their histogram (Yu 2018)."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, I64, Real

BIN_DEG = 0.5
"""Of the histogram, from -45 to 135 degrees: noise brings thin pixels beyond the quadrant"""
LOW_DEG, HIGH_DEG = -45.0, 135.0
STARTS = ((0.1, 0.9), (0.25, 0.75), (0.02, 0.5), (0.5, 0.98))
"""Quantiles of the angles at which the two Gaussians begin; the likeliest of the ends is kept"""
MOST_ROUNDS = 500
GAIN = 1e-9
"""Of the mean log-likelihood in one round, at which it stands still"""


@dataclass(frozen=True, eq=False)
class TwoGaussians:
    """Two normal distributions of angles, the lower one first; each (2,) float64."""

    share: F64
    """Of all angles; their sum is 1"""
    centre_deg: F64
    sd_deg: F64

    def density(self, angle_deg: F64) -> F64:
        """Of each Gaussian (2, ...) per degree at angles (...,): both together have the area 1."""
        away = (angle_deg - self.centre_deg[:, None]) / self.sd_deg[:, None]
        return np.asarray((self.share / self.sd_deg)[:, None] * np.exp(-0.5 * away**2) / np.sqrt(2 * np.pi))


def polar_angle_deg(od_discharged: Real, od_charged: Real) -> F64:
    """Angle (...,) float64, deg, whose tangent is OD at the charged state's line over OD at the discharged state's."""
    return np.degrees(np.arctan2(np.asarray(od_charged, np.float64), np.asarray(od_discharged, np.float64)))


def histogram(angle_deg: F64) -> tuple[F64, I64]:
    """Middles (BIN,) float64, deg, and numbers (BIN,) int64 of finite angles in bins of ``BIN_DEG``."""
    edges = np.arange(LOW_DEG, HIGH_DEG + 0.5 * BIN_DEG, BIN_DEG)
    counts = np.histogram(angle_deg[np.isfinite(angle_deg)], edges)[0]
    return 0.5 * (edges[1:] + edges[:-1]), np.asarray(counts, np.int64)


def two_gaussians(middle_deg: F64, counts: I64) -> TwoGaussians | None:
    """The two Gaussians of own widths that are likeliest to give a histogram; None for fewer than ten angles.

    Parameters
    ----------
    middle_deg, counts
        (BIN,) evenly spaced middles and numbers

    No Gaussian becomes narrower than a bin, which bounds the likelihood. Expectation and maximisation from several
    starts. Sources: Yu et al., Nat. Commun. 9, 921 (2018), Fig. 2 (what is fitted); Dempster, Laird, Rubin, J. R.
    Stat. Soc. B 39, 1 (1977) (how).
    """
    total = int(counts.sum())
    if total < 10:
        return None
    narrowest = float(middle_deg[1] - middle_deg[0])
    below = np.cumsum(counts) / total
    mean = float(counts @ middle_deg) / total
    spread = max(narrowest, float(np.sqrt(counts @ (middle_deg - mean) ** 2 / total)))
    ends = []
    for quantiles in STARTS:
        centres = middle_deg[np.minimum(np.searchsorted(below, quantiles), len(counts) - 1)]
        start = TwoGaussians(np.array([0.5, 0.5]), centres, np.full(2, 0.5 * spread))
        ends.append(_climbed(start, middle_deg, counts, narrowest))
    best = max(ends, key=lambda end: end[0])[1]
    order = np.argsort(best.centre_deg, kind="stable")
    return TwoGaussians(best.share[order], best.centre_deg[order], best.sd_deg[order])


def _climbed(found: TwoGaussians, middle_deg: F64, counts: I64, narrowest: float) -> tuple[float, TwoGaussians]:
    """The mean log-likelihood at the nearest summit, and the Gaussians there."""
    total, before = counts.sum(), -np.inf
    for _ in range(MOST_ROUNDS):
        each = found.density(middle_deg)
        together = np.maximum(each.sum(axis=0), 1e-300)
        likelihood = float(counts @ np.log(together)) / total
        if likelihood - before < GAIN:
            break
        before = likelihood
        belongs = counts * each / together
        n = np.maximum(belongs.sum(axis=1), 1e-12)
        centre = belongs @ middle_deg / n
        square = (belongs * (middle_deg - centre[:, None]) ** 2).sum(axis=1) / n
        found = TwoGaussians(n / n.sum(), centre, np.maximum(np.sqrt(square), narrowest))
    return before, found
