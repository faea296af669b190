"""The share of particles that react, freed of those that their errors put on the wrong side of a fixed threshold."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Mask
from stxmdist.heterogeneity.intervals import Interval, rogan_gladen
from stxmdist.heterogeneity.region_variance import region_spread

UNKNOWN = float("nan")

LOW, HIGH = 0.1, 0.9
"""A particle is active if its state of charge lies between these: fixed, whatever its error."""

CELL = 0.04
"""Width of the cells in which the true distribution is sought: finer ones are not resolved by errors of 0.02 on."""

SMOOTHING = 0.5
"""Share of each active cell that is exchanged with its neighbours in each step: noise is not to be deconvolved."""

ITERATIONS = 200
RESAMPLED = 300
"""Particles, or bins of them, on which the cost of the deconvolution is found: it hardly depends on their number."""
DRAWS = 24
"""Resamplings from which the cost of the deconvolution is taken: its variance to 30 %."""

FINE, CLASSES = 0.004, 24
"""Bins of state of charge and classes of its error above ``BINNED_FROM`` particles."""
BINNED_FROM = 4000

ROUNDING = 1e-12
"""Of the variance of zeros and ones"""

LEAST_GAIN = 0.2
"""Sensitivity plus specificity minus one below which the errors leave nothing to correct."""


@dataclass(frozen=True)
class Recognition:
    """How often active and inactive particles are taken for what they are, and what share is active."""

    fraction: float
    """Share that is active by deconvolution"""
    sensitivity: float
    specificity: float
    inflation: float = 1.0
    """By how much the deconvolution widens the variance over that of a counted share"""


@dataclass(frozen=True)
class ActiveFraction:
    """The active share of an electrode with its interval, and what it was corrected by."""

    interval: Interval
    observed: float
    """Share between the thresholds or in two phases, as measured"""
    sensitivity: float
    specificity: float
    design_effect: float
    n: int


@dataclass(frozen=True)
class Clustering:
    """How alike particles of a region are in being active, pooled over a campaign."""

    correlation: float
    """Intraclass correlation, at least 0; NaN where nothing tells it"""
    degrees: int
    """Degrees of freedom between regions"""
    note: str = ""


def is_active(soc: F64, two_phase: Mask) -> F64:
    """(PARTICLE,) 1 where the state of charge lies between fixed thresholds or the particle is in two phases, else 0.

    NaN where the state of charge is not known and the particle is not known to be in two phases.
    """
    return np.where(two_phase, 1.0, np.where(np.isfinite(soc), (soc > LOW) & (soc < HIGH), np.nan))


def active_clustering(active: F64, region: I64, place: I64, electrode: I64, condition: I64) -> Clustering:
    """Intraclass correlation of (PARTICLE,) 0 and 1 within regions, pooled as ``region_variance`` pools.

    Source: Donner, Int. Stat. Rev. 54, 67 (1986).
    """
    known = np.isfinite(active)
    if not known.any():
        return Clustering(UNKNOWN, 0, "no particles")
    codes = (column[known] for column in (region, place, electrode, condition))
    spread, _ = region_spread(active[known], np.ones(int(known.sum())), *codes)
    if spread.degrees == 0 or spread.particle_degrees == 0:
        return Clustering(UNKNOWN, 0, spread.note)
    total = spread.variance + spread.particle_variance
    # Where all are active rounding alone is left, which would be called regions that differ in everything.
    return Clustering(spread.variance / total if total > ROUNDING else 0.0, spread.degrees, spread.note)


def active_fraction(
    soc: F64,
    soc_se: F64,
    two_phase: Mask,
    region: I64,
    clustering: Clustering,
    rng: np.random.Generator,
    level: float = 0.95,
) -> ActiveFraction:
    """Share of one electrode's particles that are active, corrected for misclassification, with its interval.

    ``p = (p_observed + specificity - 1) / (sensitivity + specificity - 1)``, both of which follow from the particles'
    own errors and their distribution of state of charge with the errors taken out. The interval is Wilson's with n over
    the design effect of regions and over what the deconvolution costs; the regions' part of the error has Student's
    quantile with the degrees of freedom that its correlation was pooled from.

    Parameters
    ----------
    soc, soc_se
        (PARTICLE,) float64, one electrode in one condition; NaN takes no part, an error that is not known is 0
    two_phase
        (PARTICLE,) bool: active wherever the mean lies
    region
        (PARTICLE,) codes
    clustering
        of the campaign, by ``active_clustering``
    rng
        for the resampling

    Source: Rogan, Gladen, Am. J. Epidemiol. 107, 71 (1978); Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    active = is_active(soc, two_phase)
    known = np.isfinite(active)
    n = int(known.sum())
    if n == 0:
        return ActiveFraction(Interval(*(UNKNOWN,) * 3, "no particles"), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 0)
    found = recognition(soc[known], soc_se[known], two_phase[known], rng)
    observed = float(active[known].mean())
    estimate = min(max(rogan_gladen(observed, found.sensitivity, found.specificity), 0.0), 1.0)
    counts = np.bincount(region[known])
    share = float(((counts / n) ** 2).sum())
    rho = clustering.correlation
    deff = n * (rho * share + (1.0 - rho) / n)
    if not np.isfinite(rho):
        interval = Interval(estimate, UNKNOWN, UNKNOWN, clustering.note)
    elif not np.isfinite(estimate):
        interval = Interval(UNKNOWN, UNKNOWN, UNKNOWN, "the errors are too large to tell active from inactive")
    else:
        parts = n * rho * share, (1.0 - rho) * found.inflation
        tails = stats.t.ppf(0.5 + level / 2.0, clustering.degrees), stats.norm.ppf(0.5 + level / 2.0)
        total = sum(parts)
        z2 = float(sum(part * tail**2 for part, tail in zip(parts, tails, strict=True)) / total)
        interval = _wilson(estimate, n / total, z2)
    return ActiveFraction(interval, observed, found.sensitivity, found.specificity, deff, n)


def _wilson(p: float, effective: float, z2: float) -> Interval:
    centre = (p + z2 / (2.0 * effective)) / (1.0 + z2 / effective)
    half = float(np.sqrt(z2 * (p * (1.0 - p) / effective + z2 / (4.0 * effective**2)))) / (1.0 + z2 / effective)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half))


def recognition(soc: F64, soc_se: F64, two_phase: Mask, rng: np.random.Generator | None = None) -> Recognition:
    """Sensitivity and specificity of fixed thresholds for (PARTICLE,) soc with errors soc_se, all of them known.

    The distribution of true states of charge is piecewise uniform in cells of ``CELL``, found by expectation and
    maximisation with smoothing among the active cells. Particles in two phases are known to be active.

    Parameters
    ----------
    rng
        where given, the variance of the share is compared with a count's by resampling particles

    Source: Dempster, Laird, Rubin, J. R. Stat. Soc. B 39, 1 (1977); with smoothing: Silverman, Jones, Wilson, Nychka,
    J. R. Stat. Soc. B 52, 271 (1990).
    """
    sure = float(two_phase.mean()) if len(two_phase) else 0.0
    value, error, count = _binned(soc[~two_phase], np.nan_to_num(soc_se[~two_phase]))
    if not len(value):
        return Recognition(1.0, 1.0, 1.0)
    edges, inside = _cells()
    seen = _kernel(value, error, edges)
    cells = _deconvolved(seen, count[None, :], inside)[0]
    window = _window(error, count, edges)
    share = float(cells[inside].sum())
    # Of a kind that is hardly there, how it is recognised cannot be told from its members: a flat one stands in.
    faint = 0.5 / count.sum()
    active, inactive = cells[inside] + faint / inside.sum(), cells[~inside] + faint / (~inside).sum()
    sensitivity = float(active @ window[inside] / active.sum())
    specificity = 1.0 - float(inactive @ window[~inside] / inactive.sum())
    fraction = sure + (1.0 - sure) * share
    observed = sure + (1.0 - sure) * float(count @ ((value > LOW) & (value < HIGH)) / count.sum())
    if fraction > 0:
        sensitivity = (sure + (1.0 - sure) * share * sensitivity) / fraction
    # Smoothing and cells leave a little between the two: of the more frequent kind, the count itself says the rest.
    if fraction < 0.5:
        specificity = 1.0 - (observed - fraction * sensitivity) / (1.0 - fraction)
    else:
        sensitivity = (observed - (1.0 - fraction) * (1.0 - specificity)) / fraction
    if sensitivity + specificity - 1.0 < LEAST_GAIN:
        return Recognition(fraction, UNKNOWN, UNKNOWN)
    some = np.arange(len(count))
    if rng is not None and len(some) > RESAMPLED:
        some = rng.choice(some, RESAMPLED, replace=False)
    inflation = 1.0 if rng is None else _inflation(seen[some], count[some], inside, rng)
    return Recognition(fraction, sensitivity, specificity, inflation)


def _binned(soc: F64, error: F64) -> tuple[F64, F64, F64]:
    """Values, errors and how many particles have them: many particles in bins much finer than the cells."""
    if len(soc) <= BINNED_FROM:
        return soc, error, np.ones(len(soc))
    scale = np.log(np.maximum(error, 1e-3))
    low, high = float(scale.min()), float(scale.max())
    step = max((high - low) / CLASSES, 1e-6)
    place = np.round(np.clip(soc, -2.0, 3.0) / FINE).astype(np.int64) * (CLASSES + 2)
    codes, count = np.unique(place + np.round((scale - low) / step).astype(np.int64), return_counts=True)
    value, spread = FINE * (codes // (CLASSES + 2)), np.exp(low + step * (codes % (CLASSES + 2)))
    return value.astype(np.float64), spread.astype(np.float64), count.astype(np.float64)


def _cells() -> tuple[F64, Mask]:
    """Edges of the cells, the thresholds among them, and (CELL,) which cells are active."""
    n = round((HIGH - LOW) / CELL)
    # Beyond the end-members too, which are not known to a hundredth.
    edges = np.asarray(LOW + CELL * np.arange(-5, n + 6), dtype=np.float64)
    middle = 0.5 * (edges[1:] + edges[:-1])
    return edges, (middle > LOW) & (middle < HIGH)


def _kernel(value: F64, error: F64, edges: F64) -> F64:
    """(PARTICLE, CELL) likelihood of each value if the truth is uniform in a cell."""
    upper = stats.norm.cdf((edges[None, :] - value[:, None]) / np.maximum(error, 1e-4)[:, None])
    return np.asarray(np.maximum(np.diff(upper, axis=1), 1e-12))


def _window(error: F64, count: F64, edges: F64) -> F64:
    """(CELL,) how often a truth in each cell is measured between the thresholds, over the particles' errors."""
    classes = np.quantile(error, np.linspace(0.02, 0.98, 25), weights=count, method="inverted_cdf")
    spread = np.maximum(classes, 1e-4)[:, None, None]
    points = edges[:-1, None] + CELL * (np.arange(5) + 0.5) / 5.0
    between = stats.norm.cdf((HIGH - points) / spread) - stats.norm.cdf((LOW - points) / spread)
    return np.asarray(between.mean(axis=(0, 2)))


def _deconvolved(seen: F64, counts: F64, inside: Mask) -> F64:
    """(DRAW, CELL) shares of the cells for (DRAW, PARTICLE) counts."""
    cells = np.full((len(counts), len(inside)), 1.0 / len(inside))
    totals = counts.sum(axis=1, keepdims=True)
    # The active cells, the outermost twice: each is the neighbour of itself.
    neighbours = np.pad(np.flatnonzero(inside), 1, mode="edge")
    for _ in range(ITERATIONS):
        expected = np.maximum(cells @ seen.T, 1e-300)
        cells = cells * ((counts / expected) @ seen) / totals
        wide = cells[:, neighbours]
        cells[:, inside] = (1.0 - SMOOTHING) * wide[:, 1:-1] + 0.5 * SMOOTHING * (wide[:, :-2] + wide[:, 2:])
    return cells


def _inflation(seen: F64, count: F64, inside: Mask, rng: np.random.Generator) -> float:
    """Variance of the deconvolved share over that of a counted one, by resampling; at least 1."""
    draws = rng.multinomial(int(count.sum()), count / count.sum(), DRAWS).astype(np.float64)
    shares = _deconvolved(seen, draws, inside)[:, inside].sum(axis=1)
    p = float(np.clip(shares.mean(), 0.5 / count.sum(), 1.0 - 0.5 / count.sum()))
    return max(1.0, float(shares.var(ddof=1)) * float(count.sum()) / (p * (1.0 - p)))
