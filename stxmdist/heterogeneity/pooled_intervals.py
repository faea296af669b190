"""Intervals of electrodes with few regions: how much regions differ is taken from all electrodes of the campaign."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.intervals import UNKNOWN

EQUAL_BY_CHANCE = 0.01
"""Of the variance that independent particles would give: two regions can have the same share of particles of a kind by
chance, one time in seven for sixty particles each, which does not make their mean exact."""


@dataclass(frozen=True)
class RegionSpread:
    """How alike particles of a region are, pooled over the campaign: of values with variance 1 within each place."""

    between: float
    """Mean square between regions; NaN where no place has two"""
    within: float
    """Mean square between particles of a region"""
    between_degrees: int
    within_degrees: int
    size: float
    """Effective number of particles of a region"""

    @property
    def correlation(self) -> float:
        """Intraclass correlation of particles of a region; may be negative, NaN where it is not known."""
        total = self.between + (self.size - 1.0) * self.within
        return (self.between - self.within) / total if total > 0 else UNKNOWN


@dataclass(frozen=True, eq=False)
class PlaceErrors:
    """Standard errors of one statistic; each (PLACE,) float64, in the order of the codes of the places."""

    se: F64
    degrees: F64
    """Of Student's t (Satterthwaite)"""
    n_regions: I64
    spread: RegionSpread

    def half_width(self, level: float = 0.95) -> F64:
        """(PLACE,) half of the confidence interval."""
        return np.asarray(stats.t.ppf(0.5 + level / 2.0, np.maximum(self.degrees, 1.0)) * self.se)

    def note(self, place: int) -> str:
        """What has to be said of a place's interval; empty if nothing."""
        if not np.isfinite(self.se[place]):
            return "one particle"
        if np.isfinite(self.spread.between):
            return ""
        return "one region in each electrode: the interval leaves out what varies between regions"


def pooled_errors(influence: F64, place: I64, region: I64) -> PlaceErrors:
    """Standard error in each place of a statistic of which each particle's influence is known.

    A statistic is, to first order, its true value plus the mean of the influences of its particles: of a weighted mean
    they are n w (x - mean) / sum w, of a quantile n w ((x <= q) - p) / sum w in units of p. Particles of a region are
    alike, and two or three regions do not say how much. So the influences are scaled to variance 1 in each place, one
    analysis of variance over all places divides that variance into regions and particles, and each place gets the
    standard error that its own numbers of regions and particles and its own variance then give. A place with one region
    takes part in this.

    Parameters
    ----------
    influence
        (PARTICLE,) finite, with mean about 0 in each place
    place, region
        (PARTICLE,) codes 0, 1, ... of electrode and condition, and of regions, each of which belongs to one place

    Source: Satterthwaite, Biometrics Bull. 2, 110 (1946), for the degrees of freedom; Huber, Robust Statistics (1981),
    1.4, for influences. Pooling correlations where variances differ: Kish, Survey Sampling (1965), 14.1.
    """
    n_places = int(place.max()) + 1 if place.size else 0
    counts = np.bincount(place, minlength=n_places).astype(np.float64)
    region_counts = np.bincount(region).astype(np.float64)
    filled = region_counts > 0
    place_of = np.zeros(len(region_counts), dtype=np.int64)
    place_of[region] = place
    n_regions = np.bincount(place_of[filled], minlength=n_places)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(place, influence, minlength=n_places) / counts
        centred = influence - mean[place] if place.size else influence
        variance = np.bincount(place, centred**2, minlength=n_places) / (counts - 1.0)
        # A variance of 0 is one: all particles are alike, and the mean is exact.
        scaled = np.where(variance[place] > 0, centred / np.sqrt(variance[place]), 0.0) if place.size else centred
        region_mean = np.where(filled, np.bincount(region, scaled, minlength=len(filled)) / region_counts, 0.0)
    usable = counts[place] > 1 if place.size else np.zeros(0, dtype=bool)
    spread = _spread(scaled[usable], place[usable], region[usable], region_mean)
    squares = np.bincount(place_of, region_counts**2, minlength=n_places)
    se, degrees = np.full(n_places, np.nan), np.zeros(n_places)
    for at in np.flatnonzero(counts > 1):
        factor, degrees[at] = _factor(spread, float(counts[at]), float(squares[at]))
        se[at] = np.sqrt(factor * variance[at])
    return PlaceErrors(se, degrees, n_regions, spread)


def _spread(scaled: F64, place: I64, region: I64, region_mean: F64) -> RegionSpread:
    counts = np.bincount(region, minlength=len(region_mean)).astype(np.float64)
    place_counts = np.bincount(place).astype(np.float64)
    n_regions, n_places = int((counts > 0).sum()), int((place_counts > 0).sum())
    between_degrees, within_degrees = n_regions - n_places, len(scaled) - n_regions
    within = float(((scaled - region_mean[region]) ** 2).sum()) / within_degrees if within_degrees > 0 else UNKNOWN
    if between_degrees < 1:
        return RegionSpread(UNKNOWN, within, 0, max(within_degrees, 0), UNKNOWN)
    place_of = np.zeros(len(counts), dtype=np.int64)
    place_of[region] = place
    # The mean of a place is 0 after centring, so that a region's mean is its deviation.
    between = float((counts * region_mean**2).sum()) / between_degrees
    squares = np.bincount(place_of, counts**2, minlength=len(place_counts))
    per_place = np.divide(squares, place_counts, out=np.zeros_like(place_counts), where=place_counts > 0)
    size = float(counts.sum() - per_place.sum()) / between_degrees
    return RegionSpread(between, within, between_degrees, max(within_degrees, 0), size)


def _factor(spread: RegionSpread, n: float, squares: float) -> tuple[float, float]:
    """Variance of a mean of ``n`` values of variance 1 in regions whose squared sizes sum to ``squares``; degrees."""
    if not np.isfinite(spread.between):
        return 1.0 / n, n - 1.0
    if spread.within_degrees < 1:
        # One particle in each region.
        return spread.between / n, float(spread.between_degrees)
    # Var = sum m^2 / n^2 s_region + s_particle / n, each a difference of mean squares.
    of_between = squares / n**2 / spread.size
    of_within = 1.0 / n - of_between
    one, other = of_between * spread.between, of_within * spread.within
    least = (1.0 if of_within < 0 else EQUAL_BY_CHANCE) * spread.within / n
    squared = one**2 / spread.between_degrees + other**2 / spread.within_degrees
    degrees = float(np.clip((one + other) ** 2 / squared, 1.0, n - 1.0)) if squared > 0 else 1.0
    return max(one + other, least), degrees
