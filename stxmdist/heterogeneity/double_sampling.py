"""What a few accurate measurements add to many cheap ones: double sampling, with particles in regions."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Real
from stxmdist.heterogeneity.intervals import Interval

UNKNOWN = float("nan")


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


@dataclass(frozen=True)
class Slope:
    """Of the accurate measurement on the cheap one, and the variance of that."""

    value: float
    variance: float


@dataclass(frozen=True, eq=False)
class Sample:
    """Measurements of particles, the regions that they lie in, and their weights; every array is (PARTICLE,)."""

    value: F64
    region: I64
    """Codes that mean the same region in both samples"""
    weight: F64
    """Inversely proportional to the chance of being seen"""


def pooled_slope(cheap: Real, accurate: Real, group: I64) -> Slope:
    """Least-squares slope of (PAIR,) measurements within groups, such as electrodes, whose means may differ freely.

    The errors of the cheap measurement belong into this slope: those that it shall correct have them as well.
    """
    x, y = np.asarray(cheap, dtype=np.float64), np.asarray(accurate, dtype=np.float64)
    count = np.maximum(np.bincount(group), 1)
    x = x - (np.bincount(group, x) / count)[group]
    y = y - (np.bincount(group, y) / count)[group]
    power, free = float(x @ x), x.size - np.unique(group).size - 1
    if power <= 0.0 or free < 1:
        return Slope(UNKNOWN, UNKNOWN)
    slope = float(x @ y) / power
    # Robust to scatter that grows with x.
    variance = float(((x * (y - slope * x)) ** 2).sum()) / power**2 * x.size / free
    return Slope(slope, variance)


def two_phase_by_region(
    cheap: Sample, cheap_paired: Sample, accurate: F64, slope: Slope, level: float = 0.95
) -> TwoPhase:
    """Mean of the accurate measurement over all particles of an electrode, when regions were drawn and not particles.

    ``mean(y) + b (mean(x over all) - mean(x over pairs))``. Each region's share of the deviation of both terms is one
    independent number, and their squares add to the variance. Its degrees of freedom are Satterthwaite's: one less than
    there are regions with pairs where the scatter about the line decides, one less than there are regions where their
    spread does. With pairs in one region only, particles stand in for regions, and the note says so.

    Parameters
    ----------
    cheap
        all particles, the paired ones among them
    cheap_paired, accurate
        the pairs, and (PAIR,) what the accurate measurement says of them
    slope
        of ``pooled_slope``

    Source: Cochran, Sampling Techniques (1977), 12.6; Saerndal, Swensson, Wretman, Model Assisted Survey Sampling
    (1992), 9.7 and result 4.2.1 (clusters); Satterthwaite, Biometrics Bull. 2, 110 (1946).
    """
    n, total = int(accurate.size), int(cheap.value.size)
    if n < 3 or not np.isfinite(slope.value):
        nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN)
        note = f"refused: {n} pairs, at least 3 are needed" if n < 3 else "refused: the pairs have no slope"
        return TwoPhase(nothing, UNKNOWN, UNKNOWN, UNKNOWN, n, total, UNKNOWN, note)
    x, w = cheap_paired.value, cheap_paired.weight / cheap_paired.weight.sum()
    w_all = cheap.weight / cheap.weight.sum()
    x_mean, y_mean, x_all = float(w @ x), float(w @ accurate), float(w_all @ cheap.value)
    mean = y_mean + slope.value * (x_all - x_mean)
    off = accurate - y_mean - slope.value * (x - x_mean)
    regions = int(max(cheap.region.max(), cheap_paired.region.max())) + 1
    with_pairs, with_any = np.unique(cheap_paired.region).size, np.unique(cheap.region).size
    small = np.sqrt(with_pairs / max(with_pairs - 1, 1) * (n - 1) / max(n - 2, 1))
    first = small * np.bincount(cheap_paired.region, w * off, minlength=regions)
    second = slope.value * np.bincount(cheap.region, w_all * (cheap.value - x_all), minlength=regions)
    second *= np.sqrt(with_any / max(with_any - 1, 1))
    alone = np.bincount(cheap_paired.region, w * (accurate - y_mean), minlength=regions)
    note, of_slope = "", (x_all - x_mean) ** 2 * slope.variance
    if with_pairs > 1:
        variance = float(((first + second) ** 2).sum())
        only = float((alone**2).sum()) * with_pairs / (with_pairs - 1)
        paired: F64 = np.square(np.bincount(cheap_paired.region, w, regions), dtype=np.float64)
        every: F64 = np.square(np.bincount(cheap.region, w_all, regions), dtype=np.float64)
        free = _degrees(float(first @ first), float(second @ second), paired, every, of_slope, n)
    else:
        note, free = "pairs in one region: the spread between regions is not in the interval", float(n - 2)
        variance = float(((w * off) ** 2).sum()) * n / (n - 2) + float((second**2).sum() if with_any > 1 else 0.0)
        only = float(((w * (accurate - y_mean)) ** 2).sum()) * n / (n - 1)
    variance += of_slope
    half = float(stats.t.ppf(0.5 + level / 2.0, free) * np.sqrt(variance))
    spread = float(accurate.var(ddof=1))
    return TwoPhase(
        mean=Interval(mean, mean - half, mean + half),
        se=float(np.sqrt(variance)),
        se_accurate_only=float(np.sqrt(only)),
        correlation=float(np.corrcoef(x, accurate)[0, 1]) if x.std() > 0 and spread > 0 else UNKNOWN,
        n_accurate=n,
        n_cheap=total,
        n_effective=n * only / variance if variance > 0 else UNKNOWN,
        note=note,
    )


def _degrees(scatter: float, spread: float, of_scatter: F64, of_spread: F64, slope: float, n: int) -> float:
    """Degrees of freedom of the sum of three variances: the line's scatter, the regions' spread, the slope's error.

    Regions add to the first two in proportion to (REGION,) ``of_scatter`` and ``of_spread``; n pairs give the slope.
    """
    both = scatter + spread
    if both <= 0.0:
        return float(n - 2)
    expected = scatter * of_scatter / of_scatter.sum() + spread * of_spread / of_spread.sum()
    of_regions = max(both**2 / float(expected @ expected) - 1.0, 1.0)
    return (both + slope) ** 2 / (both**2 / of_regions + slope**2 / (n - 2))


def clustered_mean(sample: Sample) -> tuple[float, float]:
    """Weighted mean of a sample and its standard error from the regions; NaN for one region."""
    w = sample.weight / sample.weight.sum()
    mean = float(w @ sample.value)
    shares = np.bincount(sample.region, w * (sample.value - mean))
    regions = np.unique(sample.region).size
    if regions < 2:
        return mean, UNKNOWN
    return mean, float(np.sqrt((shares**2).sum() * regions / (regions - 1)))
