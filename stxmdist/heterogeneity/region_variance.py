"""How much regions of one electrode differ, pooled over electrodes: intervals of electrodes seen in few regions."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64

UNKNOWN = float("nan")

OF_REGIONS = "regions of one electrode in one condition"
OF_CHANGES = "one region per electrode and condition: the spread of regions is that left by electrodes and conditions"
OF_ELECTRODES = (
    "one region per electrode: the spread of regions is at most that between electrodes, so the interval is a bound"
)
NOT_KNOWN = "one region, and nothing to compare it with: the interval is not known"


@dataclass(frozen=True)
class RegionSpread:
    """How much the means of regions differ beyond what their particles explain, pooled over a campaign."""

    square: float
    """Mean square of region means about their electrode and condition"""
    degrees: int
    own_particles: float
    """What particles alone add to ``square``, per unit of their variance"""
    particle_variance: float
    """Variance between particles of a region, measurement errors in it"""
    particle_degrees: int
    note: str
    """What the spread was taken from"""

    @property
    def variance(self) -> float:
        """Variance between regions, not below 0; NaN where there is nothing to take it from."""
        if self.degrees == 0:
            return UNKNOWN
        if self.particle_degrees == 0:
            return self.square
        return max(self.square - self.own_particles * self.particle_variance, 0.0)


@dataclass(frozen=True, eq=False)
class PooledMeans:
    """Weighted means of electrodes in their conditions; each (PLACE,) float64."""

    estimate: F64
    se: F64
    low: F64
    high: F64
    spread: RegionSpread
    """Its note says what the spread of regions was taken from, and why no interval is known where none is"""


@dataclass(frozen=True, eq=False)
class _Regions:
    """Weighted means of regions; each (REGION,)."""

    mean: F64
    weight: F64
    own: F64
    """Variance of the mean per unit of variance between particles: sum of squared weights over squared sum"""
    place: I64


def pooled_means(
    value: F64,
    weight: F64,
    region: I64,
    place: I64,
    electrode: I64,
    condition: I64,
    systematic: F64 | None = None,
    level: float = 0.95,
) -> PooledMeans:
    """Weighted mean of each electrode in each condition with an interval that pools the regions' spread.

    The variance of a mean is ``sum a_r^2 (v_region + v_particle q_r)`` over its regions r, a_r their shares of the
    weight and q_r the effective inverse number of their particles. Two regions leave one degree of freedom, and an
    interval of Student's ten times the error; regions of all electrodes together leave many. So ``v_region`` is the
    pooled mean square of region means about their electrode and condition; where no electrode has two regions, about an
    additive model of electrodes and conditions; where each electrode has but one condition, about the conditions, which
    counts the electrodes' own spread as that of regions and makes the interval a bound. Student's quantile with the
    regions' few degrees of freedom multiplies their part of the error alone; the particles' part has its own, many.

    Parameters
    ----------
    value, weight
        (PARTICLE,) what is averaged, and by which weight (mass, or 1); rows that lack either take no part
    region
        (PARTICLE,) codes of regions: one field of view of one electrode in one condition
    place, electrode, condition
        (PARTICLE,) codes 0, 1, ... of the electrode in a condition, of the electrode, and of the condition
    systematic
        (PLACE,) standard error that regions share; added in quadrature
    level
        of the interval

    Source: Cochran, Sampling Techniques (1977), 10.3 (two stages); two quantiles: Biometrics 20, 191 (1964).
    """
    n_places = int(place.max()) + 1 if place.size else 0
    known = np.isfinite(value) & np.isfinite(weight) & (weight > 0)
    if not known.any():
        nothing = np.full(n_places, np.nan)
        return PooledMeans(
            nothing, nothing, nothing, nothing, RegionSpread(UNKNOWN, 0, UNKNOWN, UNKNOWN, 0, "no particles")
        )
    spread, regions = region_spread(
        value[known], weight[known], region[known], place[known], electrode[known], condition[known]
    )
    total = np.bincount(regions.place, regions.weight, n_places)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = np.bincount(regions.place, regions.weight * regions.mean, n_places) / total
        share = regions.weight / total[regions.place]
    of_regions = np.bincount(regions.place, share**2, n_places) * spread.variance
    # Of regions of one particle each, the regions' spread has the particles' in it.
    particle_variance = spread.particle_variance if spread.particle_degrees else 0.0
    of_particles = np.bincount(regions.place, share**2 * regions.own, n_places) * particle_variance
    of_regions, of_particles = (np.where(total > 0, part, np.nan) for part in (of_regions, of_particles))
    shared = np.zeros(n_places) if systematic is None else np.nan_to_num(systematic)
    tail = 0.5 + level / 2.0
    t_region, t_particle = (
        float(stats.t.ppf(tail, max(degrees, 1))) for degrees in (spread.degrees, spread.particle_degrees)
    )
    half = np.sqrt(t_region**2 * of_regions + t_particle**2 * of_particles + stats.norm.ppf(tail) ** 2 * shared**2)
    se = np.sqrt(of_regions + of_particles + shared**2)
    return PooledMeans(estimate, se, estimate - half, estimate + half, spread)


def region_spread(
    value: F64, weight: F64, region: I64, place: I64, electrode: I64, condition: I64
) -> tuple[RegionSpread, _Regions]:
    """The pooled spread of region means, and the regions that it rests on; arguments as those of ``pooled_means``."""
    present, of = np.unique(region, return_inverse=True)
    n = len(present)
    total = np.asarray(np.bincount(of, weight, n), dtype=np.float64)
    mean = np.asarray(np.bincount(of, weight * value, n) / total, dtype=np.float64)
    own = np.asarray(np.bincount(of, weight**2, n) / total**2, dtype=np.float64)
    first = np.unique(of, return_index=True)[1]
    regions = _Regions(mean, total, own, place[first])
    # Weighted, so that it is the variance that enters a weighted mean.
    deviation = weight**2 * (value - mean[of]) ** 2
    count = np.bincount(of, minlength=n)
    many = count > 1
    particle_degrees = int((count[many] - 1).sum())
    squares, cubes = np.bincount(of, weight**2, n), np.bincount(of, weight**3, n)
    expected = (squares * (1.0 + own) - 2.0 * cubes / total)[many].sum()
    particle_variance = float(np.bincount(of, deviation, n)[many].sum() / expected) if particle_degrees else UNKNOWN
    square, degrees, own_particles, note = _between(regions, electrode[first], condition[first])
    return RegionSpread(square, degrees, own_particles, particle_variance, particle_degrees, note), regions


def _between(regions: _Regions, electrode: I64, condition: I64) -> tuple[float, int, float, str]:
    """Mean square of region means about the richest model that leaves degrees of freedom; its share of particles."""
    models = (
        (_dummies(regions.place), OF_REGIONS),
        (np.column_stack([_dummies(electrode), _dummies(condition)]), OF_CHANGES),
        (_dummies(condition), OF_ELECTRODES),
    )
    n = len(regions.mean)
    for columns, note in models:
        basis = _basis(columns)
        degrees = n - basis.shape[1]
        if degrees > 0:
            residual = regions.mean - basis @ (basis.T @ regions.mean)
            free = 1.0 - (basis**2).sum(axis=1)
            return float(residual @ residual) / degrees, degrees, float((free * regions.own).sum()) / degrees, note
    return UNKNOWN, 0, UNKNOWN, NOT_KNOWN


def _dummies(levels: I64) -> F64:
    present, inverse = np.unique(levels, return_inverse=True)
    return np.eye(len(present))[inverse]


def _basis(columns: F64) -> F64:
    """Orthonormal basis of the span of the columns, collinear ones dropped."""
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * s[0]])
