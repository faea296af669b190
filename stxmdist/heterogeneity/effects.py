"""What cycling, rate and size do to state of charge, to its spread and to activity: the electrode is the unit."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.columns import codes, numbers, text
from stxmdist.heterogeneity.intervals import t_interval
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.mixed import mixed_slope
from stxmdist.heterogeneity.permutation import PermutationTest, exact_sign_flip, exact_slope
from stxmdist.heterogeneity.rows import CONDITION, Rows, rows

EFFECT_COLUMNS = (
    "endpoint",
    "term",
    "estimate",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "method",
    "p_min_attainable",
    "q_fdr",
    "n_electrodes",
    "n_particles",
    "unit",
    "primary",
    "note",
)

SLOPES_T = "t on electrode slopes"
SLOPES_SIGNS = "exact sign flip of electrode slopes"
MEANS_T = "t on electrode means"
MEANS_PERMUTED = "exact permutation of electrode means"
MIXED = "mixed model"

UNKNOWN = float("nan")

ROUNDING = 1e-10
"""Relative size below which a difference is rounding: slopes of constants must not be tested."""


@dataclass(frozen=True)
class Term:
    """An explanatory variable: where it stands, and at which level it varies."""

    name: str
    column: str
    logarithm: bool
    within_region: bool
    """Particles of a region differ in it (size), or share it (cycle)"""
    unit: str
    meaning: str
    """As it stands above figures and in tables"""

    def of(self, frame: pd.DataFrame) -> F64:
        """(ROW,) values; NaN where missing or without logarithm."""
        values = numbers(frame, self.column)
        if not self.logarithm:
            return values
        return np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan)


TERMS = {
    term.name: term
    for term in (
        Term("cycle", "cycle", False, False, "per cycle", "cycle"),
        Term("log_c_rate", "c_rate", True, False, "per e-fold of rate", "logarithm of rate"),
        Term("log_d_eq", "d_eq_um", True, True, "per e-fold of diameter", "logarithm of diameter"),
    )
}

SIZE_UNKNOWN_FLAGS = ("touches border", "overlap suspected")
"""Particles so flagged have a size that is not theirs: they take no part in size effects."""


@dataclass(frozen=True)
class Effect:
    """One row of the table: an effect of a term on an endpoint, by one method; NaN where it cannot be given."""

    endpoint: str
    term: str
    method: str
    unit: str
    estimate: float = UNKNOWN
    se: float = UNKNOWN
    ci_low: float = UNKNOWN
    ci_high: float = UNKNOWN
    p: float = UNKNOWN
    p_min_attainable: float = UNKNOWN
    n_electrodes: int = 0
    n_particles: int = 0
    note: str = ""


def effects_table(
    particles: pd.DataFrame,
    *,
    endpoints: Sequence[str] | None = None,
    terms: Sequence[str] | None = None,
    primary: Iterable[tuple[str, str]] | None = None,
    modality: str | None = "stxm",
    mixed: bool = True,
    level: float = 0.95,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Effects of cycle, rate and size on each endpoint, by summary measures per electrode and by a mixed model.

    Each electrode gives one slope: over cycle (or the logarithm of rate) from its region means, over the logarithm of
    size from its particles within regions. The slopes are then numbers like any others: Student's t over electrodes,
    and the exact test under all changes of sign, whose smallest attainable p is printed (0.25 for three electrodes).
    Where no electrode was seen in two conditions, the electrodes' means are regressed on the condition instead. Mixed
    models are extra rows; their warnings stand in ``note``. ``q_fdr`` is Benjamini and Hochberg's over all rows of a
    method that are not primary. A figure that cannot be given is NaN and the note says why.

    Parameters
    ----------
    particles
        the particle table, one row per PARTICLE; those without an endpoint or term take no part in that row
    endpoints
        names of ``metrics.table.METRICS``; all if left out
    terms
        names of ``TERMS``; left out: cycle and size, and rate where it varies
    primary
        pairs of endpoint and term declared before looking: no correction for multiplicity; those of ``METRICS`` if left
        out
    rng
        wanted only for more electrodes than can be enumerated

    Returns
    -------
    DataFrame
        columns ``EFFECT_COLUMNS``

    Source: Matthews, Altman, Campbell, Royston, BMJ 300, 230 (1990) (summary measures); Benjamini, Hochberg, J. R.
    Stat. Soc. B 57, 289 (1995).
    """
    endpoints = tuple(METRICS) if endpoints is None else endpoints
    if primary is None:
        primary = [(name, term) for name, entry in METRICS.items() for term in entry.primary]
    declared = set(primary)
    if terms is None:
        rates = numbers(particles, "c_rate")
        varies = len(np.unique(rates[np.isfinite(rates)])) > 1
        terms = ("cycle", "log_c_rate", "log_d_eq") if varies else ("cycle", "log_d_eq")
    out: list[Effect] = []
    for endpoint in endpoints:
        for name in terms:
            out += _effect(particles, endpoint, TERMS[name], modality, mixed, level, rng)
    written = [column for column in EFFECT_COLUMNS if column not in ("q_fdr", "primary")]
    table = pd.DataFrame([asdict(effect) for effect in out], columns=written)
    pairs = zip(table["endpoint"], table["term"], table["method"], strict=True)
    # The declared test of a primary effect is its t row; its other rows are alternative tests of the same effect.
    table["primary"] = [(endpoint, term) in declared and method != MIXED for endpoint, term, method in pairs]
    table["q_fdr"] = UNKNOWN
    for method in table["method"].unique():
        family = ((table["method"] == method) & ~table["primary"]).to_numpy(dtype=bool)
        table.loc[family, "q_fdr"] = benjamini_hochberg(table.loc[family, "p"].to_numpy(dtype=np.float64))
    return table[list(EFFECT_COLUMNS)]


def benjamini_hochberg(p: F64) -> F64:
    """(TEST,) smallest false discovery rate at which each test would be a discovery; NaN takes no part.

    Source: Benjamini, Hochberg 1995.
    """
    q = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    if known.size:
        order = known[np.argsort(p[known], kind="stable")]
        scaled = p[order] * known.size / np.arange(1, known.size + 1)
        q[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return q


def _effect(
    particles: pd.DataFrame,
    endpoint: str,
    term: Term,
    modality: str | None,
    mixed: bool,
    level: float,
    rng: np.random.Generator | None,
) -> list[Effect]:
    """The rows of one endpoint and term."""
    wanted = (*METRICS[endpoint].columns, term.column)
    if len(particles) == 0 or any(column not in particles.columns for column in wanted):
        return [_row(endpoint, term, SLOPES_T, note=f"the table has no {endpoint} or no {term.column}")]
    chosen = rows(_with_size(particles) if term.within_region else particles, endpoint, modality, finite=(term.column,))
    x = term.of(chosen.frame)
    if not len(x) or not np.isfinite(x).all():
        note = "no particle has both" if not len(x) else "values without logarithm"
        return [_row(endpoint, term, SLOPES_T, note=note)]
    if np.ptp(chosen.value) <= ROUNDING * np.abs(chosen.value).max():
        note = f"{endpoint} does not vary"
        return [_row(endpoint, term, SLOPES_T, note=note, n_electrodes=chosen.n_electrodes, n_particles=len(x))]
    if term.within_region:
        slopes = _within_region_slopes(chosen, x)
        found = _slope_rows(endpoint, term, _without_rounding(slopes, chosen.value, x), level, rng)
    else:
        slopes = between_region_slopes(chosen, x, term)
        if np.isfinite(slopes).any():
            found = _slope_rows(endpoint, term, _without_rounding(slopes, chosen.value, x), level, rng)
        else:
            found = _mean_rows(endpoint, term, chosen, x, level, rng)
    if mixed:
        found.append(_mixed_row(endpoint, term, chosen, x, level))
    return [replace(row, n_particles=len(x)) for row in found]


def _without_rounding(slopes: F64, y: F64, x: F64) -> F64:
    """Slopes that are 0 but for rounding set to 0."""
    spread = float(x.std())
    return np.where(np.abs(slopes) * spread < ROUNDING * float(y.std()), 0.0, slopes) if spread > 0 else slopes


def _with_size(particles: pd.DataFrame) -> pd.DataFrame:
    if "flags" not in particles.columns:
        return particles
    bad = [any(flag in str(words) for flag in SIZE_UNKNOWN_FLAGS) for words in particles["flags"]]
    return particles[~np.array(bad, dtype=bool)]


def _row(endpoint: str, term: Term, method: str, note: str = "", n_electrodes: int = 0, n_particles: int = 0) -> Effect:
    """A row whose numbers are not known, or not yet."""
    of_endpoint = METRICS[endpoint].unit
    unit = term.unit if of_endpoint == "1" else f"{of_endpoint} {term.unit}"
    return Effect(endpoint, term.name, method, unit, note=note, n_electrodes=n_electrodes, n_particles=n_particles)


def slope(x: F64, y: F64, strata: I64) -> float:
    """Least squares slope of (ROW,) y over x with an intercept per stratum; NaN where x does not vary within any."""
    if not len(x):
        return UNKNOWN
    counts = np.bincount(strata)
    counts = np.maximum(counts, 1)
    dx = x - (np.bincount(strata, x) / counts)[strata]
    dy = y - (np.bincount(strata, y) / counts)[strata]
    power = float(dx @ dx)
    return float(dx @ dy) / power if power > 1e-12 * max(1.0, float(x @ x)) else UNKNOWN


def between_region_slopes(chosen: Rows, x: F64, term: Term) -> F64:
    """(ELECTRODE,) slopes of region means over what regions share, within strata of the other conditions."""
    first = chosen.region_first
    others = [text(chosen.frame, name)[first] for name in CONDITION if name != term.column]
    strata = codes(others)
    mean, place = chosen.region_mean(chosen.value), x[first]
    electrodes = range(chosen.n_electrodes)
    picked = [chosen.region_electrode == electrode for electrode in electrodes]
    return np.array([slope(place[here], mean[here], strata[here]) for here in picked])


def _within_region_slopes(chosen: Rows, x: F64) -> F64:
    """(ELECTRODE,) slopes over particles with an intercept for each region; NaN under three particles."""
    out = np.full(chosen.n_electrodes, np.nan)
    for electrode in range(chosen.n_electrodes):
        here = chosen.electrode == electrode
        # A slope through as many points as it has parameters says nothing.
        if here.sum() > 1 + len(np.unique(chosen.region[here])):
            strata = np.unique(chosen.region[here], return_inverse=True)[1]
            out[electrode] = slope(x[here], chosen.value[here], strata)
    return out


def _slope_rows(endpoint: str, term: Term, slopes: F64, level: float, rng: np.random.Generator | None) -> list[Effect]:
    """Student's t and the exact sign flip over (ELECTRODE,) slopes."""
    slopes = slopes[np.isfinite(slopes)]
    n = len(slopes)
    if n == 0:
        return [
            _row(endpoint, term, SLOPES_T, note=f"no electrode has a slope: {term.column} does not vary within any")
        ]
    interval = t_interval(slopes, level)
    se, p, note = UNKNOWN, UNKNOWN, interval.note
    if n > 1:
        se = float(slopes.std(ddof=1) / np.sqrt(n))
        if se > 1e-12 * abs(interval.estimate):
            p = float(2.0 * stats.t.sf(abs(interval.estimate) / se, n - 1))
        else:
            se, note = UNKNOWN, "the electrodes' slopes are all equal"
    known = np.isfinite(se)
    signs = exact_sign_flip(slopes, rng)
    flat = not np.any(slopes)
    return [
        replace(
            _row(endpoint, term, SLOPES_T, note, n),
            estimate=interval.estimate,
            se=se,
            p=p,
            ci_low=interval.low if known else UNKNOWN,
            ci_high=interval.high if known else UNKNOWN,
        ),
        replace(
            _row(endpoint, term, SLOPES_SIGNS, "all slopes are 0" if flat else _capability(signs, level), n),
            estimate=signs.statistic,
            p=UNKNOWN if flat else signs.p,
            p_min_attainable=signs.p_min_attainable,
        ),
    ]


def _capability(test: PermutationTest, level: float) -> str:
    """The note of an exact test, and whether the design can reach significance at all."""
    least = test.p_min_attainable
    if np.isfinite(least) and least > 1.0 - level:
        return "; ".join(part for part in (test.note, f"this design cannot reach p < {1.0 - level:.2g}") if part)
    return test.note


def _mean_rows(
    endpoint: str, term: Term, chosen: Rows, x: F64, level: float, rng: np.random.Generator | None
) -> list[Effect]:
    """Regression of electrode means on a condition that each electrode has but one of."""
    first = chosen.region_first
    region_mean = chosen.region_mean(chosen.value)
    per_electrode = np.bincount(chosen.region_electrode)
    mean = np.bincount(chosen.region_electrode, region_mean) / per_electrode
    place = np.bincount(chosen.region_electrode, x[first]) / per_electrode
    n = len(mean)
    beta = slope(place, mean, np.zeros(n, dtype=np.int64))
    if not np.isfinite(beta):
        return [_row(endpoint, term, MEANS_T, note=f"{term.column} does not vary", n_electrodes=n)]
    dx = place - place.mean()
    residual = mean - mean.mean() - beta * dx
    row = replace(_row(endpoint, term, MEANS_T, "fewer than three electrodes", n), estimate=beta)
    if n > 2 and float(residual @ residual) > 1e-24:
        se = float(np.sqrt(residual @ residual / (n - 2) / (dx @ dx)))
        half = float(stats.t.ppf(0.5 + level / 2.0, n - 2)) * se
        row = replace(
            row,
            se=se,
            ci_low=beta - half,
            ci_high=beta + half,
            p=float(2.0 * stats.t.sf(abs(beta) / se, n - 2)),
            note="each electrode has one condition only",
        )
    elif n > 2:
        row = replace(row, note="the electrodes' means lie on a line exactly")
    test = exact_slope(place, mean, rng)
    permuted = replace(
        _row(endpoint, term, MEANS_PERMUTED, _capability(test, level), n),
        estimate=test.statistic,
        p=test.p,
        p_min_attainable=test.p_min_attainable,
    )
    return [row, permuted]


def _mixed_row(endpoint: str, term: Term, chosen: Rows, x: F64, level: float) -> Effect:
    """Mixed model on region means by electrode (cycle, rate), or on particles by region (size).

    Cycle effects of region means equal those of particles and take a fiftieth of the time; size effects do not.
    """
    if term.within_region:
        fit = mixed_slope(chosen.value, x, chosen.region)
    else:
        first = chosen.region_first
        others = codes([text(chosen.frame, name)[first] for name in CONDITION if name != term.column])
        dummies = np.eye(int(others.max()) + 1)[others][:, 1:]
        mean = chosen.region_mean(chosen.value)
        # A random slope wants more than two points per electrode.
        many = len(mean) > 2 * chosen.n_electrodes
        fit = mixed_slope(mean, x[first], chosen.region_electrode, dummies, random_slope=many)
    half = float(stats.norm.ppf(0.5 + level / 2.0)) * fit.se
    return replace(
        _row(endpoint, term, MIXED, fit.note, chosen.n_electrodes),
        estimate=fit.estimate,
        se=fit.se,
        ci_low=fit.estimate - half,
        ci_high=fit.estimate + half,
        p=fit.p,
    )
