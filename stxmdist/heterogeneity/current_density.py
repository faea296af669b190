"""The current that active area carries, and with what power of the rate it grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Mask
from stxmdist.heterogeneity.intervals import UNKNOWN, Interval

CAPACITY_MAH_CM3: Mapping[str, float] = {
    "LFP": 612.0,
    "NMC": 1320.0,
    "NCA": 1330.0,
    "LCO": 1385.0,
    "LMO": 634.0,
}
"""Charge from one end-member to the other by volume: theoretical mAh/g times crystal density, 170 x 3.60, 277 x 4.77,
279 x 4.76, 274 x 5.05 and 148 x 4.28 g/cm3."""

FACES = 2.0
"""A plate that lies flat takes ions up through its upper and its lower face; its rim is left out."""

LEAST_CLUSTERS = 3
"""Fewer electrodes have no interval for an exponent."""
IDENTIFIED = 1e-6
"""Share of the variance of the rate that must be left when all else in the design is taken off."""


def current_density_a_m2(c_rate: F64, capacity_mah_cm3: F64, volume_um3: F64, active_area_um2: F64) -> F64:
    """j = C q V / A: the current of all material at a rate C, over both faces of the particles that react, A/m2.

    Parameters
    ----------
    c_rate
        (PLACE,) 1/h
    capacity_mah_cm3
        (PLACE,) charge by volume between the end-members
    volume_um3
        (PLACE,) of all particles
    active_area_um2
        (PLACE,) projected area of those that react

    Source: Li et al., Nat. Mater. 13, 1149 (2014), for current over active area.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # mAh/cm3 is 1e3 A h/m3, and um3/um2 is 1e-6 m.
        density = c_rate * 1e3 * capacity_mah_cm3 * 1e-6 * volume_um3 / (FACES * active_area_um2)
    return np.where(active_area_um2 > 0.0, density, np.nan)


def ratio_influence(numerator: F64, denominator: F64, place: I64) -> F64:
    """Influence (PARTICLE,) of each particle on the logarithm of a ratio of sums in its place; 0 where it has none.

    ``n (a_i / sum a - b_i / sum b)``: its mean over the place is 0, and the standard error of a mean of such numbers is
    that of the logarithm of the ratio, to first order.

    Source: Cochran, Sampling Techniques (1977), 6.3.
    """
    counts, above, below = (np.bincount(place, part) for part in (np.ones(place.size), numerator, denominator))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = numerator / above[place] - denominator / below[place]
    return np.where((above[place] > 0) & (below[place] > 0), counts[place] * share, 0.0)


@dataclass(frozen=True)
class Exponent:
    """y ~ rate^exponent over electrodes."""

    value: Interval
    se: float
    p: float
    """Of no dependence on the rate"""
    n_clusters: int
    n_places: int
    design: str
    """``within electrodes``, ``between electrodes``, or empty"""


def rate_exponent(
    c_rate: F64, value: F64, electrode: I64, cluster: I64, others: Mapping[str, F64], level: float = 0.95
) -> Exponent:
    """Exponent of the rate in a quantity of electrodes in conditions, other conditions held.

    Ordinary least squares of the logarithm of the value over that of the rate. Where any electrode was cycled at two
    rates, electrodes are blocks and their slopes count; otherwise electrodes of different rates are compared. Errors by
    the jackknife over clusters, with Student's t of one degree of freedom less than there are clusters: with the same
    rates in every electrode this is Student's test on the electrodes' slopes.

    Parameters
    ----------
    c_rate, value
        (PLACE,) above 0; others take no part
    electrode
        (PLACE,) codes of electrodes
    cluster
        (PLACE,) codes of what is independent: cells, or electrodes
    others
        name to (PLACE,) numbers that also differ, such as the cycle; those that do not vary are left out

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), 11; Li et al., Nat. Mater. 13, 1149 (2014), for
    the question.
    """
    known = (c_rate > 0.0) & (value > 0.0) & np.isfinite(c_rate) & np.isfinite(value)
    rate, y = np.log(c_rate[known]), np.log(value[known])
    blocks, clusters = electrode[known], cluster[known]
    n_clusters, n = len(np.unique(clusters)), int(known.sum())
    if n < 2 or np.ptp(rate) == 0.0:
        return _refused("no two rates to compare", n_clusters, n)
    within = any(np.ptp(rate[blocks == one]) > 0.0 for one in np.unique(blocks))
    design = "within electrodes" if within else "between electrodes"
    base = _indicators(blocks) if within else np.ones((n, 1))
    names, columns = _varying({name: part[known] for name, part in others.items()}, base)
    confounding = _confounding(rate, base, names, columns)
    if confounding:
        return _refused(
            f"the rate changes together with {confounding}: one cannot be told from the other", n_clusters, n
        )
    if n_clusters < LEAST_CLUSTERS:
        return _refused(f"{n_clusters} independent electrodes give no interval", n_clusters, n)
    nuisance = np.column_stack([base, *columns])
    whole = _slope(rate, y, nuisance)
    without = [_slope(rate[rest], y[rest], nuisance[rest]) for rest in (clusters != one for one in np.unique(clusters))]
    if not np.isfinite(without).all():
        return _refused("the exponent rests on a single electrode", n_clusters, n)
    m = n_clusters
    spread = np.asarray(without)
    se = float(np.sqrt((m - 1.0) / m * ((spread - spread.mean()) ** 2).sum()))
    half = float(stats.t.ppf(0.5 + level / 2.0, m - 1)) * se
    p = float(2.0 * stats.t.sf(abs(whole) / se, m - 1)) if se > 0.0 else UNKNOWN
    return Exponent(Interval(whole, whole - half, whole + half), se, p, m, n, design)


def _refused(note: str, n_clusters: int, n: int) -> Exponent:
    return Exponent(Interval(UNKNOWN, UNKNOWN, UNKNOWN, note), UNKNOWN, UNKNOWN, n_clusters, n, "")


def _indicators(codes: I64) -> F64:
    """(PLACE, BLOCK) 1 in the column of each place's block."""
    return np.asarray(codes[:, None] == np.unique(codes), dtype=np.float64)


def _left(values: F64, nuisance: F64) -> F64:
    """What least squares on the columns of ``nuisance`` leaves of values."""
    return np.asarray(values - nuisance @ np.linalg.lstsq(nuisance, values, rcond=None)[0])


def _slope(rate: F64, y: F64, nuisance: F64) -> float:
    left = _left(rate, nuisance)
    return float(left @ y / (left @ left)) if _identified(left, rate) else UNKNOWN


def _identified(left: F64, rate: F64) -> bool:
    return bool((left @ left) > IDENTIFIED * max(((rate - rate.mean()) ** 2).sum(), 1e-300))


def _varying(others: Mapping[str, F64], base: F64) -> tuple[list[str], list[F64]]:
    """Names and columns of the conditions that vary beside the blocks; what is not known counts as the mean."""
    names, columns = [], []
    for name, values in others.items():
        there: Mask = np.isfinite(values)
        if not there.any():
            continue
        filled = np.where(there, values, values[there].mean())
        scale = float(np.ptp(filled))
        if scale > 0.0 and np.ptp(_left(filled / scale, base)) > 1e-6:
            names.append(name)
            columns.append((filled - filled.mean()) / scale)
    return names, columns


def _confounding(rate: F64, base: F64, names: Sequence[str], columns: Sequence[F64]) -> str:
    """Which condition, or which together, change as the rate does; empty if none."""
    for name, column in zip(names, columns, strict=True):
        if not _identified(_left(rate, np.column_stack([base, column])), rate):
            return name
    if not _identified(_left(rate, np.column_stack([base, *columns])), rate):
        return " and ".join(names) if names else "the electrode"
    return ""
