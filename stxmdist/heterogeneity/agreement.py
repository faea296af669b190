"""Do two instruments agree, and what do a few accurate measurements add to many cheap ones."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, Real
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


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x with jackknife intervals."""

    slope: Interval
    intercept: Interval
    n: int
    note: str = ""


def deming(x: Real, y: Real, variance_ratio: float = 1.0, level: float = 0.95) -> Line:
    """Line through (PAIR,) points both of which have errors; ``variance_ratio`` is error variance of y over that of x.

    A slope below 1 of STXM over ptychography is dilution by the point spread function.

    Source: Linnet, Clin. Chem. 39, 424 (1993).
    """
    x, y = _paired(x, y)
    n = int(x.size)
    nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "fewer than three pairs, or no spread")
    if n < 3 or x.std() == 0 or y.std() == 0:
        return Line(nothing, nothing, n, nothing.note)
    whole = _deming(x, y, variance_ratio)
    keep = ~np.eye(n, dtype=bool)
    without = np.array([_deming(x[rows], y[rows], variance_ratio) for rows in keep])
    pseudo = n * np.array(whole) - (n - 1) * without
    half = stats.t.ppf(0.5 + level / 2.0, n - 2) * pseudo.std(axis=0, ddof=1) / np.sqrt(n)
    slope, intercept = (Interval(whole[i], whole[i] - float(half[i]), whole[i] + float(half[i])) for i in range(2))
    return Line(slope, intercept, n)


def _deming(x: F64, y: F64, ratio: float) -> tuple[float, float]:
    sxx, syy = float(x.var()), float(y.var())
    sxy = float(((x - x.mean()) * (y - y.mean())).mean())
    if sxy == 0.0:
        return UNKNOWN, UNKNOWN
    slope = (syy - ratio * sxx + np.sqrt((syy - ratio * sxx) ** 2 + 4.0 * ratio * sxy**2)) / (2.0 * sxy)
    return float(slope), float(y.mean() - slope * x.mean())


@dataclass(frozen=True)
class TwoPhase:
    """A mean from many cheap measurements calibrated by a few accurate ones."""

    mean: Interval
    se: float
    se_accurate_only: float
    """Standard error that the accurate measurements alone would give"""
    correlation: float
    n_accurate: int
    n_cheap: int
    n_effective: float
    """Number of accurate measurements that would do as well"""
    note: str = ""


def two_phase_regression_estimator(
    cheap_all: Real, cheap_paired: Real, accurate_paired: Real, level: float = 0.95
) -> TwoPhase:
    """Mean of the accurate measurement over all particles, from its regression on the cheap one.

    ``mean(y) + b (mean(x over all) - mean(x over pairs))`` has variance S^2 [(1 - rho^2) / n + rho^2 / N]: STXM sees N
    particles, ptychography n of them. Particles are taken as a random sample of one electrode.

    Parameters
    ----------
    cheap_all
        (PARTICLE,) cheap measurement of all, the paired among them
    cheap_paired, accurate_paired
        (PAIR,)

    Source: Cochran, Sampling Techniques (1977), chapter 12 (double sampling).
    """
    everything = np.asarray(cheap_all, dtype=np.float64)
    everything = everything[np.isfinite(everything)]
    x, y = _paired(cheap_paired, accurate_paired)
    n, total = int(x.size), int(everything.size)
    if n < 3 or total < n or x.std() == 0:
        nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "fewer than three pairs, or no spread")
        return TwoPhase(nothing, UNKNOWN, UNKNOWN, UNKNOWN, n, total, UNKNOWN, nothing.note)
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    spread = float(y.var(ddof=1))
    residual = float(((y - y.mean() - slope * (x - x.mean())) ** 2).sum() / (n - 2))
    explained = max(spread - residual, 0.0)
    variance = residual / n + explained / total
    mean = float(y.mean() + slope * (everything.mean() - x.mean()))
    half = float(stats.t.ppf(0.5 + level / 2.0, n - 2) * np.sqrt(variance))
    return TwoPhase(
        mean=Interval(mean, mean - half, mean + half),
        se=float(np.sqrt(variance)),
        se_accurate_only=float(np.sqrt(spread / n)),
        correlation=float(np.corrcoef(x, y)[0, 1]) if y.std() > 0 else UNKNOWN,
        n_accurate=n,
        n_cheap=total,
        n_effective=spread / variance if variance > 0 else UNKNOWN,
    )
