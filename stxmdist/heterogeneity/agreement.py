"""Do two instruments agree, and what turns the measurement of one into that of the other."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Mask, Real
from stxmdist.heterogeneity.intervals import Interval, t_interval

UNKNOWN = float("nan")


def _paired(one: Real, other: Real) -> tuple[F64, F64]:
    first = np.asarray(one, dtype=np.float64)
    second = np.asarray(other, dtype=np.float64)
    known = np.isfinite(first) & np.isfinite(second)
    return first[known], second[known]


@dataclass(frozen=True)
class Agreement:
    """Mean difference of two measurements of the same particles, and where 95 % of differences lie."""

    bias: Interval
    sd: float
    limit_low: float
    limit_high: float
    limit_se: float
    """Standard error of either limit"""
    n: int
    note: str = ""


def bland_altman(one: Real, other: Real, level: float = 0.95) -> Agreement:
    """Differences ``other - one`` of (PAIR,) measurements: bias and limits of agreement.

    Source: Bland, Altman, Lancet 327, 307 (1986).
    """
    one, other = _paired(one, other)
    difference = other - one
    bias = t_interval(difference, level)
    n = int(difference.size)
    if n < 2:
        return Agreement(bias, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, n, "fewer than two pairs")
    sd = float(difference.std(ddof=1))
    reach = float(stats.norm.ppf(0.5 + level / 2.0)) * sd
    return Agreement(bias, sd, bias.estimate - reach, bias.estimate + reach, float(np.sqrt(3.0 / n)) * sd, n)


@dataclass(frozen=True, eq=False)
class Calibration:
    """y = intercept + slope x of the cheap measurement y on the accurate one x, and what turns y back into x."""

    slope: Interval
    intercept: Interval
    covariance: F64
    """(2, 2) of intercept and slope"""
    scatter: float
    """Standard deviation of y about the line beside the errors of both"""
    correlation: float
    n: int
    note: str = ""

    def corrected(self, y: Real, y_se: Real) -> tuple[F64, F64]:
        """x and its standard error of (PARTICLE,) new measurements y: the error of the line is carried.

        NaN where the standard error of y is not known but was of the pairs.
        """
        x = (np.asarray(y, dtype=np.float64) - self.intercept.estimate) / self.slope.estimate
        of_line = self.covariance[0, 0] + 2.0 * x * self.covariance[0, 1] + x**2 * self.covariance[1, 1]
        variance = np.asarray(y_se, dtype=np.float64) ** 2 + self.scatter**2 + of_line
        return x, np.asarray(np.sqrt(variance) / abs(self.slope.estimate))


LEAST_PAIRS = 5
"""Pairs with fewer than these have no line with an interval worth its name"""

MOST_ERROR = 0.7
"""Share of the variance of x that its errors may make up: beyond, the slope is a quotient of noise"""


def calibrate(x: Real, y: Real, x_se: Real, y_se: Real, cluster: I64, level: float = 0.95) -> Calibration:
    """Line of a cheap measurement y on an accurate one x when both have errors, with jackknife intervals.

    Deming's line whose ratio of variances is that of all scatter of y about the line to the known error variance of x:
    particles differ from the line by more than their errors. Where no error of x is known, both are taken as equally
    uncertain, and the note says so. What pairs of one region have in common is not independent: with five regions or
    more, regions are left out in turn, otherwise pairs.

    Parameters
    ----------
    x, y, x_se, y_se
        (PAIR,) in the metric's unit; a standard error of NaN is not known
    cluster
        (PAIR,) codes of regions

    Source: Fuller, Measurement Error Models (1987), equation 1.2.3; Linnet, Clin. Chem. 39, 424 (1993) (jackknife).
    """
    n = int(x.size)
    nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN)

    def refused(why: str) -> Calibration:
        return Calibration(nothing, nothing, np.full((2, 2), UNKNOWN), UNKNOWN, UNKNOWN, n, why)

    if n < LEAST_PAIRS:
        return refused(f"refused: {n} pairs, at least {LEAST_PAIRS} are needed")
    if min(x.std(), y.std()) <= 1e-9 * max(np.abs(x).max(), np.abs(y).max()):
        return refused("refused: all pairs are alike")
    known = bool(np.isfinite(x_se).any())
    noise = np.where(np.isfinite(x_se), x_se, np.sqrt(np.nanmean(x_se**2)) if known else 0.0) ** 2
    if known and noise.mean() > MOST_ERROR * x.var(ddof=1):
        return refused("refused: the pairs differ by hardly more than the errors of ptychography")

    def line(rows: Mask) -> tuple[float, float]:
        if not known:
            return _deming(x[rows], y[rows])
        a, b = x[rows] - x[rows].mean(), y[rows] - y[rows].mean()
        slope = float(a @ b) / (float(a @ a) - (rows.sum() - 1) * float(noise[rows].mean()))
        return slope, float(y[rows].mean() - slope * x[rows].mean())

    regions = np.unique(cluster)
    by_region = regions.size >= LEAST_PAIRS
    left_out = [cluster != region for region in regions] if by_region else list(~np.eye(n, dtype=bool))
    whole = np.array(line(np.ones(n, dtype=bool)))
    without = np.array([line(rows) for rows in left_out])
    units = len(left_out)
    if not np.isfinite(without).all() or not np.isfinite(whole).all():
        return refused("refused: the line hangs on single pairs")
    covariance = (units - 1) / units * (without - without.mean(axis=0)).T @ (without - without.mean(axis=0))
    half = stats.t.ppf(0.5 + level / 2.0, units - 2) * np.sqrt(np.diag(covariance))
    slope, intercept = (Interval(float(whole[i]), float(whole[i] - half[i]), float(whole[i] + half[i])) for i in (0, 1))
    residual = y - slope.estimate * x - intercept.estimate
    own = np.where(np.isfinite(y_se), y_se, 0.0) ** 2 + slope.estimate**2 * noise
    scatter = float(np.sqrt(max(float(residual @ residual) / (n - 2) - float(own.mean()), 0.0)))
    notes = [] if known else ["no errors of ptychography are known: both are taken as equally uncertain"]
    if not by_region:
        notes.append("fewer than five regions: their spread is not in the intervals")
    return Calibration(
        slope, intercept, covariance[::-1, ::-1], scatter, float(np.corrcoef(x, y)[0, 1]), n, "; ".join(notes)
    )


def _deming(x: Real, y: Real) -> tuple[float, float]:
    """Slope and intercept of the line through points whose x and y are equally uncertain."""
    sxx, syy = float(x.var()), float(y.var())
    sxy = float(((x - x.mean()) * (y - y.mean())).mean())
    if sxy == 0.0:
        return UNKNOWN, UNKNOWN
    slope = (syy - sxx + np.hypot(syy - sxx, 2.0 * sxy)) / (2.0 * sxy)
    return float(slope), float(y.mean() - slope * x.mean())
