"""A line through points whose error in x reappears in y: what noise plants is taken off, blocks give the interval."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, Integer, Real
from stxmdist.heterogeneity.intervals import UNKNOWN, Interval

LEAST_BLOCKS = 5
"""Fewer blocks give no interval."""
LEAST_RELIABILITY = 0.2
"""Where less than this share of the variance of x is not noise, the corrected slope is noise itself."""

_UNRELIABLE = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "x varies by no more than its noise")


@dataclass(frozen=True)
class SharedErrorLine:
    """y = intercept + slope x, the errors of x and what they have in common with those of y taken out."""

    slope: Interval
    se: float
    """Standard error of the slope; NaN where there are too few blocks"""
    naive_slope: float
    """Of least squares, with what noise plants in it"""
    reliability: float
    """Share of the variance of x that is not noise"""
    n: int
    squares: float = UNKNOWN
    """Sum of squares of x about its mean, its noise taken off: what the slope is weighted with among other lines"""
    products: float = UNKNOWN
    """The same of x and y; squares times slope"""


def shared_error_line(
    x: Real, y: Real, variance_x: Real, covariance_xy: Real, block: Integer, level: float = 0.95
) -> SharedErrorLine:
    """Slope of y over x where each x has an error of known variance, and y one that depends on it.

    ``slope = (S_xy - c_xy (1 - 1/m)) / (S_xx - v_x (1 - 1/m))`` with the mean covariance and variance of the errors and
    m blocks of points, whose errors may be alike within a block. A rate ``(x2 - x1) / dt`` over ``x1`` has
    ``c_xy = -v_1 / dt``: noise alone gives it the slope ``-1 / dt``. Standard errors by the jackknife that leaves one
    block out at a time.

    Parameters
    ----------
    x, y
        (POINT,) floating
    variance_x
        (POINT,) variance of the error of x
    covariance_xy
        (POINT,) covariance of the errors of x and y
    block
        (POINT,) number of the block that the point lies in: a patch of pixels, or a particle

    Source: Fuller, Measurement Error Models (1987), 1.2 and 2.2; Efron, Tibshirani, An Introduction to the Bootstrap
    (1993), 11, for the jackknife.
    """
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(variance_x) & np.isfinite(covariance_xy)
    columns = (np.asarray(part, dtype=np.float64)[known] for part in (x, y, variance_x, covariance_xy))
    x, y, variance_x, covariance_xy = columns
    n = int(x.size)
    if n < 3:
        few = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "fewer than three points")
        return SharedErrorLine(few, UNKNOWN, UNKNOWN, UNKNOWN, n)
    blocks = np.unique(np.asarray(block)[known], return_inverse=True)[1].reshape(-1)
    x, y = x - x.mean(), y - y.mean()
    parts = (np.ones(n), x, y, x * x, x * y, variance_x, covariance_xy)
    sums = np.stack([np.bincount(blocks, part) for part in parts])
    m = sums.shape[1]
    true_xx, true_xy, xx, xy = (float(part[0]) for part in _moments(sums.sum(axis=1)[:, None], m))
    naive, reliability = (xy / xx, true_xx / xx) if xx > 0.0 else (UNKNOWN, UNKNOWN)
    line = SharedErrorLine(_UNRELIABLE, UNKNOWN, naive, reliability, n, n * true_xx, n * true_xy)
    if not reliability >= LEAST_RELIABILITY:
        return line
    whole = true_xy / true_xx
    if m < LEAST_BLOCKS:
        note = f"{m} independent places give no interval"
        return replace(line, slope=Interval(whole, UNKNOWN, UNKNOWN, note))
    left_xx, left_xy, _, _ = _moments(sums.sum(axis=1)[:, None] - sums, m - 1)
    slope, se = _jackknifed(whole, left_xy / left_xx, level)
    return replace(line, slope=slope, se=se)


def pooled_slope(squares: Real, products: Real, level: float = 0.95) -> Interval:
    """Slope that (LINE,) lines have in common: the sum of their products over that of their squares.

    Lines whose x hardly varies have slopes that are noise; they are not left out, which would choose among them, but
    count for little. Interval by the jackknife over lines.
    """
    known = np.isfinite(squares) & np.isfinite(products)
    xx, xy = np.asarray(squares, dtype=np.float64)[known], np.asarray(products, dtype=np.float64)[known]
    if not xx.sum() > 0.0:
        return _UNRELIABLE
    whole = float(xy.sum() / xx.sum())
    if xx.size < LEAST_BLOCKS:
        return Interval(whole, UNKNOWN, UNKNOWN, f"{xx.size} particles give no interval")
    return _jackknifed(whole, (xy.sum() - xy) / (xx.sum() - xx), level)[0]


def _jackknifed(whole: float, without: F64, level: float) -> tuple[Interval, float]:
    """Interval and standard error of an estimate from those (BLOCK,) without each block."""
    m = without.size
    se = float(np.sqrt((m - 1.0) / m * ((without - without.mean()) ** 2).sum()))
    half = float(stats.t.ppf(0.5 + level / 2.0, m - 1)) * se
    return Interval(whole, whole - half, whole + half), se


def _moments(sums: F64, blocks: int) -> tuple[F64, F64, F64, F64]:
    """Mean xx and xy without noise, and with it, from columns of sums of 1, x, y, xx, xy, v, c."""
    n, sum_x, sum_y, sum_xx, sum_xy, sum_v, sum_c = sums
    left = 1.0 - 1.0 / max(blocks, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        xx, xy = sum_xx / n - (sum_x / n) ** 2, sum_xy / n - sum_x * sum_y / n**2
        return xx - left * sum_v / n, xy - left * sum_c / n, xx, xy
