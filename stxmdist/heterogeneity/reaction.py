"""How fast and how uniformly a material reacts: rates from two states of charge at two times, with their errors."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

from stxmdist.arrays import F64, I32, I64, Mask, Real
from stxmdist.errors import InputError
from stxmdist.heterogeneity.intervals import UNKNOWN, Interval
from stxmdist.heterogeneity.shared_errors import SharedErrorLine, shared_error_line

LEAST_FOR_UNIFORMITY = 3
"""Fewer rates have no spread to speak of."""
LEAST_MEAN_SE = 3.0
"""A mean rate below so many standard errors is no reaction of which uniformity could be told."""


@dataclass(frozen=True, eq=False)
class RateMap:
    """Rate of change of the state of charge of every pixel; (Y, X) float64, NaN where either state is unknown."""

    rate_per_h: F64
    variance: F64
    """1/h^2, of what differs between pixels: counting, and the placement of one image on the other"""


def rate_map(
    soc_before: Real,
    variance_before: Real,
    soc_after: Real,
    variance_after: Real,
    hours: float,
    placement_sd_px: float = 0.0,
) -> RateMap:
    """k = (x2 - x1) / dt of each pixel, 1/h: above 0 where the material is charged.

    ``Var k = (v1 + v2 + |grad x|^2 s^2) / dt^2``: a placement that errs by s along each axis moves one image against
    the other. The gradient is that of the later state, without what noise adds to it.

    Parameters
    ----------
    soc_before, soc_after
        (Y, X) floating on one grid
    variance_before, variance_after
        (Y, X) floating, their variances by counting
    hours
        between both
    placement_sd_px
        standard error of the registration along either axis, pixels

    Raises
    ------
    InputError
        where the later state is not later.

    Source: Lim et al., Science 353, 566 (2016), for rates from successive maps.
    """
    if not hours > 0.0:
        raise InputError(
            where="reaction rate",
            problem="the later state is not later than the earlier one",
            got=f"{hours:g} h between both",
            wanted="a time above 0",
            mend="Correct time_h in the sample sheet",
        )
    before, after = np.asarray(soc_before, dtype=np.float64), np.asarray(soc_after, dtype=np.float64)
    variance = np.asarray(variance_before, dtype=np.float64) + np.asarray(variance_after, dtype=np.float64)
    if placement_sd_px > 0.0:
        variance = variance + placement_sd_px**2 * _steepness(after, np.asarray(variance_after, dtype=np.float64))
    known = np.isfinite(before) & np.isfinite(after) & np.isfinite(variance)
    rate = np.where(known, (after - before) / hours, np.nan)
    return RateMap(rate, np.where(known, variance / hours**2, np.nan))


def _steepness(values: F64, variance: F64) -> F64:
    """(Y, X) squared gradient per px^2 along one axis, mean of both, from central differences; 0 where not known."""
    gradient_y, gradient_x = np.gradient(values)
    # Central differences of white noise have half its variance along each axis.
    noise = 0.5 * np.nan_to_num(variance)
    return np.asarray(np.maximum(np.nan_to_num(0.5 * (gradient_y**2 + gradient_x**2)) - noise, 0.0))


@dataclass(frozen=True)
class Uniformity:
    """How alike rates are: U = 1 - SD(k) / |mean k|, the spread by noise taken off."""

    mean: Interval
    sd: float
    """Spread of the rates without that of their errors, 1/h; 0 where it is below the noise"""
    value: Interval
    """1: all alike; below 0 where they spread by more than their mean"""


def uniformity(rates: Real, variance: Real, block: I64 | None = None, level: float = 0.95) -> Uniformity:
    """Mean, spread and uniformity of rates (POINT,) with known variances (POINT,); intervals by the jackknife.

    Parameters
    ----------
    block
        (POINT,) number of the block whose points are left out together; None: each for itself

    Source: own, after the uniformity coefficient of Lim et al., Science 353, 566 (2016).
    """
    known = np.isfinite(rates) & np.isfinite(variance)
    rates = np.asarray(rates, dtype=np.float64)[known]
    variance = np.asarray(variance, dtype=np.float64)[known]
    if rates.size < LEAST_FOR_UNIFORMITY:
        nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "fewer than three rates")
        few = Interval(float(rates.mean()) if rates.size else UNKNOWN, UNKNOWN, UNKNOWN, nothing.note)
        return Uniformity(few, UNKNOWN, nothing)
    blocks = np.arange(rates.size) if block is None else np.unique(np.asarray(block)[known], return_inverse=True)[1]
    parts = (np.ones(rates.size), rates, rates**2, variance)
    sums = np.stack([np.bincount(blocks.reshape(-1), part) for part in parts])
    m = sums.shape[1]
    mean, sd, value = (float(part[0]) for part in _uniform(sums.sum(axis=1)[:, None]))
    if m < LEAST_FOR_UNIFORMITY:
        note = f"{m} independent places give no interval"
        return Uniformity(Interval(mean, UNKNOWN, UNKNOWN, note), sd, Interval(value, UNKNOWN, UNKNOWN, note))
    means, _, values = _uniform(sums.sum(axis=1)[:, None] - sums)
    reach = float(stats.t.ppf(0.5 + level / 2.0, m - 1)) * np.sqrt((m - 1.0) / m)
    half = reach * float(np.sqrt(((means - means.mean()) ** 2).sum()))
    of_mean = Interval(mean, mean - half, mean + half)
    se = half / float(stats.t.ppf(0.5 + level / 2.0, m - 1))
    if not abs(mean) > LEAST_MEAN_SE * se:
        return Uniformity(of_mean, sd, Interval(UNKNOWN, UNKNOWN, UNKNOWN, "no net reaction beyond its error"))
    wide = reach * float(np.sqrt(((values - values.mean()) ** 2).sum()))
    return Uniformity(of_mean, sd, Interval(value, value - wide, value + wide))


def _uniform(sums: F64) -> tuple[F64, F64, F64]:
    """Mean, spread without noise, and uniformity, from columns of sums of 1, k, k^2 and the variance of k."""
    n, first, second, noise = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / n
        spread = (second - n * mean**2) / np.maximum(n - 1.0, 1.0) - noise / n
        sd = np.sqrt(np.maximum(spread, 0.0))
        return mean, sd, 1.0 - sd / np.abs(mean)


@dataclass(frozen=True)
class ReactionInside:
    """How the reaction runs inside one particle."""

    rate_per_h: float
    """Mean over its pixels away from edges"""
    se: float
    """By counting and placement"""
    uniformity: Uniformity
    over_soc: SharedErrorLine
    """Rate over the state of charge before, 1/h: above 0 where charged parts charge faster"""
    n_pixels: int


def reaction_inside(
    soc_before: Real, variance_before: Real, rate: RateMap, inside: Mask, hours: float, block_px: float
) -> ReactionInside:
    """Mean rate, uniformity, and rate over state of charge of the pixels ``inside`` one particle.

    Parameters
    ----------
    soc_before, variance_before
        (Y, X) state of charge at the earlier time and its variance by counting
    inside
        (Y, X) pixels of the particle away from its edges
    block_px
        side of the patches over which noise and point spread function make pixels alike

    Source: Lim et al., Science 353, 566 (2016): composition dependence of the rate; the correction is that of
    ``shared_error_line``.
    """
    pixels = inside & np.isfinite(rate.rate_per_h)
    if not pixels.any():
        nothing = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "no pixel is known at both times")
        empty = SharedErrorLine(nothing, UNKNOWN, UNKNOWN, UNKNOWN, 0)
        return ReactionInside(UNKNOWN, UNKNOWN, Uniformity(nothing, UNKNOWN, nothing), empty, 0)
    block = patches(pixels, block_px)[pixels]
    k, variance = rate.rate_per_h[pixels], rate.variance[pixels]
    x = np.asarray(soc_before, dtype=np.float64)[pixels]
    v = np.asarray(variance_before, dtype=np.float64)[pixels]
    line = shared_error_line(x, k, v, -v / hours, block)
    # A patch is about as large as what noise makes alike, so that its mean counts once.
    independent = max(1, np.unique(block).size)
    se = float(np.sqrt(variance.mean() / independent))
    return ReactionInside(float(k.mean()), se, uniformity(k, variance, block), line, int(pixels.sum()))


def patches(pixels: Mask, side_px: float) -> I64:
    """Number (Y, X) of the square patch of a side that each pixel lies in."""
    side = max(1, int(np.ceil(side_px)))
    row, column = np.indices(pixels.shape) // side
    return np.asarray(row * (pixels.shape[1] // side + 1) + column, dtype=np.int64)


def boxes_of(labels: I32) -> dict[int, tuple[slice, slice]]:
    """Label to the box (rows, columns) around it."""
    found = ndimage.find_objects(np.maximum(labels, 0))
    return {number: box for number, box in enumerate(found, start=1) if box is not None}
