"""What cycling, rate and size do to state of charge, to its spread and to activity: the electrode is the unit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.columns import codes, codes_of, numbers, text
from stxmdist.heterogeneity.intervals import t_interval
from stxmdist.heterogeneity.linear import LinearEffect, linear_effect, units_of
from stxmdist.heterogeneity.metrics.column import default_endpoints, metric_of
from stxmdist.heterogeneity.metrics.table import METRICS, MetricEntry
from stxmdist.heterogeneity.mixed import mixed_slope
from stxmdist.heterogeneity.particle_sizes import UNKNOWN_SIZE_FLAGS
from stxmdist.heterogeneity.permutation import PermutationTest, exact_sign_flip, exact_slope
from stxmdist.heterogeneity.reservations import Reservations, reservations
from stxmdist.heterogeneity.rows import CONDITION, Rows, rows
from stxmdist.heterogeneity.states import STATE, WORDS, States, states_of
from stxmdist.heterogeneity.terms import TERMS, Term

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
    "n_units",
    "degrees",
    "bound_low",
    "bound_high",
    "unit",
    "primary",
    "note",
)

SLOPES_T = "t on electrode slopes"
SLOPES_SIGNS = "exact sign flip of electrode slopes"
MEANS_T = "t on electrode means"
MEANS_PERMUTED = "exact permutation of electrode means"
BOTH_T = "t on electrode slopes and means"
MIXED = "mixed model"

METHOD = {"slopes": SLOPES_T, "means": MEANS_T, "both": BOTH_T}

UNKNOWN = float("nan")

ROUNDING = 1e-10
"""Relative size below which a difference is rounding: slopes of constants must not be tested."""


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
    n_units: int = 0
    degrees: float = UNKNOWN
    bound_low: float = UNKNOWN
    bound_high: float = UNKNOWN
    note: str = ""


@dataclass(frozen=True)
class _Question:
    """An effect that is asked for."""

    endpoint: str
    term: Term
    entry: MetricEntry
    level: float

    def row(self, method: str, note: str = "", n_electrodes: int = 0, n_particles: int = 0) -> Effect:
        """A row whose numbers are not known, or not yet."""
        of_endpoint = self.entry.unit
        unit = self.term.unit if of_endpoint == "1" else f"{of_endpoint} {self.term.unit}"
        return Effect(
            self.endpoint, self.term.name, method, unit, note=note, n_electrodes=n_electrodes, n_particles=n_particles
        )


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
    units: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Effects of cycle, rate and size on each endpoint, by one linear model of electrodes in their states.

    A state is a cycle, a rate, a direction and a beamtime; the means of its regions are averaged. Cycle and the
    logarithm of rate are estimated together, direction and beamtime taken out as blocks (``linear.linear_effect``):
    from changes within electrodes where each was seen in several states, from differences between electrodes where none
    was, from both where some were. The electrodes of one cell are one unit, two scans of one region are one region.
    What a term cannot be told apart from is named in ``note`` and no number is given. Size has one slope per electrode,
    over particles within regions; the slopes are averaged within units.

    Student's t is over units; the exact test stands beside it with the smallest p that the design can attain. Mixed
    models give an estimate for comparison and no p: Wald's rejects too often with few electrodes. ``q_fdr`` is
    Benjamini and Hochberg's over all rows of a method that are not primary. ``bound_low`` and ``bound_high`` say
    between which values the estimate would lie whatever the particles without a number are; they are given where these
    are more than a tenth of any electrode's.

    Parameters
    ----------
    particles
        the particle table, one row per PARTICLE; those without an endpoint or term take no part in that row
    endpoints
        names of ``metrics.table.METRICS`` or columns; those of ``metrics.column.default_endpoints`` if left out
    terms
        names of ``TERMS``; left out: cycle and size, and rate where it varies
    primary
        pairs of endpoint and term declared before looking: no correction for multiplicity; those of ``METRICS`` if left
        out
    rng
        wanted only for more electrodes than can be enumerated
    units
        of columns that are endpoints; ``1`` if left out

    Returns
    -------
    DataFrame
        columns ``EFFECT_COLUMNS``

    Source: Matthews, Altman, Campbell, Royston, BMJ 300, 230 (1990) (summary measures); Benjamini, Hochberg, J. R.
    Stat. Soc. B 57, 289 (1995); ``linear``.
    """
    endpoints = default_endpoints(particles) if endpoints is None else endpoints
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
            asked = _Question(endpoint, TERMS[name], metric_of(endpoint, particles, units), level)
            out += _effect(particles, asked, modality, mixed, rng)
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
    particles: pd.DataFrame, asked: _Question, modality: str | None, mixed: bool, rng: np.random.Generator | None
) -> list[Effect]:
    """The rows of one endpoint and term."""
    term = asked.term
    wanted = (*asked.entry.columns, term.column)
    if len(particles) == 0 or any(column not in particles.columns for column in wanted):
        return [asked.row(SLOPES_T, f"the table has no {asked.endpoint} or no {term.column}")]
    without = UNKNOWN_SIZE_FLAGS if term.within_region else ()
    chosen = rows(particles, asked.endpoint, modality, finite=(term.column,), conditions=STATE, without=without)
    x = term.of(chosen.frame)
    if not len(x):
        flagged = without and len(
            rows(particles, asked.endpoint, modality, finite=(term.column,), conditions=STATE).value
        )
        why = f"every particle that has both is flagged {' or '.join(without)}" if flagged else "no particle has both"
        return [asked.row(SLOPES_T, why)]
    if not np.isfinite(x).all():
        return [asked.row(SLOPES_T, "values without logarithm")]
    if np.ptp(chosen.value) <= ROUNDING * np.abs(chosen.value).max():
        return [asked.row(SLOPES_T, f"{asked.entry.meaning} does not vary", chosen.n_electrodes, len(x))]
    doubts = reservations(chosen)
    if term.within_region:
        found = _size_rows(asked, chosen, x, rng)
    else:
        found = _state_rows(asked, chosen, doubts, rng)
    if mixed:
        found.append(_mixed_row(asked, chosen, x))
    return [
        replace(row, n_particles=len(x), note="; ".join(part for part in (row.note, doubts.note) if part))
        for row in found
    ]


def _state_rows(asked: _Question, chosen: Rows, doubts: Reservations, rng: np.random.Generator | None) -> list[Effect]:
    """Student's t of the linear model, and the exact test of the same effect."""
    states = states_of(chosen, asked.term)
    found = linear_effect(states.mean, states.design)
    method, n = METHOD[found.how], chosen.n_electrodes
    estimate = float(found.estimate[0])
    if not np.isfinite(estimate):
        return [asked.row(method, _refusal(asked.term, found, states), n)]
    spread = float(states.design.x.std())
    flat = abs(estimate) * spread < ROUNDING * float(chosen.value.std())
    se, half, note = float(found.se[0]), float(found.half(asked.level)[0]), found.note
    if np.isfinite(se) and se <= ROUNDING * abs(estimate) + 1e-12 * float(chosen.value.std()) / spread:
        se, half = UNKNOWN, UNKNOWN
        note = "the electrodes' slopes are all equal" if found.how == "slopes" else "the means lie on a line exactly"
    estimate = 0.0 if flat else estimate
    limits = asked.entry.limits or tuple(np.quantile(chosen.value, (0.01, 0.99)).tolist())
    low, high = doubts.bounds(found.weights[:, 0], states, limits)
    shared = "the electrodes of a cell are one unit" if states.n_cells_shared else ""
    one_each = "each electrode has one condition only" if found.how == "means" else ""
    row = replace(
        asked.row(method, "; ".join(part for part in (note, shared, one_each) if part), n),
        estimate=estimate,
        se=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        p=float(2.0 * stats.t.sf(abs(estimate) / se, found.degrees[0])) if np.isfinite(se) else UNKNOWN,
        degrees=float(found.degrees[0]),
        n_units=found.n_units,
        bound_low=low,
        bound_high=high,
    )
    if found.how == "means":
        place, mean = states.of_units(states.design.x), states.of_units(states.mean)
        test = exact_slope(place, mean, rng, blocks=states.blocks)
        exact = MEANS_PERMUTED
    else:
        test, exact = exact_sign_flip(np.zeros(found.n_units) if flat else found.scores[:, 0], rng), SLOPES_SIGNS
    return [row, _exact_row(asked, exact, test, flat, n, found.n_units)]


def _refusal(term: Term, found: LinearEffect, states: States) -> str:
    """Why an effect cannot be estimated, in a sentence."""
    name = WORDS.get(term.column, term.column)
    if found.note.startswith("it ") or found.note[:1].isdigit() or not found.note:
        return found.note.replace("it ", f"{term.column} ", 1) if found.note else "no unit tells of it"
    names = {TERMS[other].column if other in TERMS else other for other in states.design.others}
    with_what = found.note if names else "the electrode"
    return f"{name} is confounded with {with_what}: each {with_what} has its own {name}, so they cannot be told apart"


def _exact_row(
    asked: _Question, method: str, test: PermutationTest, flat: bool, n_electrodes: int, n_units: int
) -> Effect:
    return replace(
        asked.row(method, "all slopes are 0" if flat else _capability(test, asked.level), n_electrodes),
        estimate=0.0 if flat else test.statistic,
        p=UNKNOWN if flat else test.p,
        p_min_attainable=test.p_min_attainable,
        n_units=n_units,
    )


def _capability(test: PermutationTest, level: float) -> str:
    """The note of an exact test, and whether the design can reach significance at all."""
    least = test.p_min_attainable
    if np.isfinite(least) and least > 1.0 - level:
        return "; ".join(part for part in (test.note, f"this design cannot reach p < {1.0 - level:.2g}") if part)
    return test.note


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


def _size_rows(asked: _Question, chosen: Rows, x: F64, rng: np.random.Generator | None) -> list[Effect]:
    """Student's t and the exact sign flip over units' slopes over particles, with an intercept for each region."""
    slopes = np.full(chosen.n_electrodes, np.nan)
    order = np.argsort(chosen.electrode, kind="stable")
    ends = np.cumsum(np.bincount(chosen.electrode, minlength=chosen.n_electrodes))[:-1]
    for electrode, here in enumerate(np.split(order, ends)):
        strata = np.unique(chosen.region[here], return_inverse=True)[1]
        # A slope through as many points as it has parameters says nothing.
        if len(here) > 1 + int(strata.max()) + 1:
            slopes[electrode] = slope(x[here], chosen.value[here], strata)
    spread = float(x.std())
    slopes = np.where(np.abs(slopes) * spread < ROUNDING * float(chosen.value.std()), 0.0, slopes)
    first = np.unique(chosen.electrode, return_index=True)[1]
    named = text(chosen.frame.iloc[first], "cell_id")
    known = np.isfinite(slopes)
    if not known.any():
        return [asked.row(SLOPES_T, f"no electrode has a slope: {asked.term.column} does not vary within any")]
    unit = units_of(np.arange(len(slopes)), np.where(named == "", -1, codes([named])))[known]
    unit = np.unique(unit, return_inverse=True)[1]
    means = np.bincount(unit, slopes[known]) / np.bincount(unit)
    n, n_electrodes = len(means), int(known.sum())
    interval = t_interval(means, asked.level)
    se, p, note = UNKNOWN, UNKNOWN, interval.note
    if n > 1:
        se = float(means.std(ddof=1) / np.sqrt(n))
        if se > 1e-12 * abs(interval.estimate):
            p = float(2.0 * stats.t.sf(abs(interval.estimate) / se, n - 1))
        else:
            se, note = UNKNOWN, "the electrodes' slopes are all equal"
    row = replace(
        asked.row(SLOPES_T, note, n_electrodes),
        estimate=interval.estimate,
        se=se,
        p=p,
        ci_low=interval.low if np.isfinite(se) else UNKNOWN,
        ci_high=interval.high if np.isfinite(se) else UNKNOWN,
        degrees=float(n - 1),
        n_units=n,
    )
    return [row, _exact_row(asked, SLOPES_SIGNS, exact_sign_flip(means, rng), not np.any(means), n_electrodes, n)]


def _mixed_row(asked: _Question, chosen: Rows, x: F64) -> Effect:
    """Mixed model on region means by electrode (cycle, rate), or on particles by region (size): an estimate, no test.

    Cycle effects of region means equal those of particles and take a fiftieth of the time; size effects do not.
    """
    if asked.term.within_region:
        fit = mixed_slope(chosen.value, x, chosen.region)
    else:
        first = chosen.region_first
        others = codes_of(chosen.frame.iloc[first], [name for name in CONDITION if name != asked.term.column])
        dummies = np.eye(int(others.max()) + 1)[others][:, 1:]
        mean = chosen.region_mean(chosen.value)
        # A random slope wants more than two points per electrode.
        many = len(mean) > 2 * chosen.n_electrodes
        fit = mixed_slope(mean, x[first], chosen.region_electrode, dummies, random_slope=many)
    return replace(asked.row(MIXED, fit.note, chosen.n_electrodes), estimate=fit.estimate, se=fit.se)
