"""The campaign's table of effects of size, cracks, grains and phase on state of charge, each with the others held."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.adjusted import adjusted_effects as adjusted
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import codes, numbers, text
from stxmdist.heterogeneity.effects import benjamini_hochberg
from stxmdist.heterogeneity.kept import has_flag
from stxmdist.heterogeneity.linear import units_of
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.particle_sizes import UNKNOWN_SIZE_FLAGS
from stxmdist.heterogeneity.rows import rows
from stxmdist.heterogeneity.states import STATE
from stxmdist.table_columns import TableColumn

ENDPOINTS = ("soc_mean", "soc_sd", "active")

EXPLANATIONS = (
    ("log_d_eq", "d_eq_um", True),
    ("crack_share", "crack_share", False),
    ("log_grain_d50", "grain_d50_um", True),
    ("f_mixed", "f_mixed", False),
)
"""Name of the term, column, and whether its logarithm is taken; those of which the table has no number are left out."""

ADJUSTED_COLUMNS = (
    TableColumn("endpoint", "", "what was measured", "string"),
    TableColumn("term", "", "what it was regressed on, the other terms held", "string"),
    TableColumn("estimate", "", "change of the endpoint per unit of the term (per e-fold of a logarithm)"),
    TableColumn("se", "", "its standard error over electrodes"),
    TableColumn("ci_low", "", "lower end of its 95 % confidence interval"),
    TableColumn("ci_high", "", "upper end of its 95 % confidence interval"),
    TableColumn("p", "1", "probability of an effect as large or larger where there is none"),
    TableColumn("q_fdr", "1", "p corrected for the number of tests (false discovery rate)"),
    TableColumn("held", "", "the other terms, separated by semicolons", "string"),
    TableColumn("n_units", "1", "independent electrodes or cells that tell of it", "int64"),
    TableColumn("n_particles", "1", "particles that have the endpoint and all terms", "int64"),
    TableColumn("note", "", "why a number is missing; empty if nothing is to be said", "string"),
)


def adjusted_effects(evidence: Evidence) -> pd.DataFrame:
    """One row per endpoint and term."""
    names = [column.name for column in ADJUSTED_COLUMNS]
    particles = evidence.kept
    needed = {"electrode_id", *(column for name in ENDPOINTS for column in METRICS[name].columns)}
    if not len(particles) or not needed <= set(particles.columns):
        return pd.DataFrame(columns=names)
    wrong = np.logical_or.reduce([has_flag(particles, flag) for flag in UNKNOWN_SIZE_FLAGS])
    present = [each for each in EXPLANATIONS if np.isfinite(numbers(particles, each[1])[~wrong]).any()]
    out = []
    for endpoint in ENDPOINTS:
        columns = tuple(column for _, column, _ in present)
        chosen = rows(
            particles,
            endpoint,
            evidence.modality,
            finite=columns,
            conditions=STATE,
            also=_errors(columns),
            without=UNKNOWN_SIZE_FLAGS,
        )
        if not len(chosen.value) or not present:
            continue
        pairs = [_term(chosen.frame, column, logarithm) for _, column, logarithm in present]
        terms, variances = (np.column_stack(part) for part in zip(*pairs, strict=True))
        first = np.unique(chosen.electrode, return_index=True)[1]
        cell = text(chosen.frame.iloc[first], "cell_id")
        unit = units_of(np.arange(len(first)), np.where(cell == "", -1, codes([cell])))
        found = adjusted(chosen.value, terms, variances, chosen.region, chosen.electrode, unit)
        for index, (term, _, _) in enumerate(present):
            out.append(
                {
                    "endpoint": endpoint,
                    "term": term,
                    "estimate": found.estimate[index],
                    "se": found.se[index],
                    "ci_low": found.low[index],
                    "ci_high": found.high[index],
                    "p": found.p[index],
                    "held": "; ".join(other for other, _, _ in present if other != term),
                    "n_units": int(found.n_units[index]),
                    "n_particles": found.n_particles,
                    "note": _note(int(found.n_units[index])),
                }
            )
    table = pd.DataFrame(out, columns=names)
    table["q_fdr"] = benjamini_hochberg(table["p"].to_numpy(dtype=np.float64))
    return table


def _errors(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{column}_se" for column in columns)


def _term(frame: pd.DataFrame, column: str, logarithm: bool) -> tuple[F64, F64]:
    """(PARTICLE,) a term and the variance of its error; 0 where the table tells no error."""
    value, error = numbers(frame, column), np.nan_to_num(numbers(frame, f"{column}_se"))
    if not logarithm:
        return value, error**2
    positive = np.where(value > 0, value, np.nan)
    return np.log(positive), (error / positive) ** 2


def _note(units: int) -> str:
    if units == 0:
        return "no electrode tells it: too few particles, or it cannot be told apart from the other terms"
    return "one electrode tells it" if units == 1 else ""
