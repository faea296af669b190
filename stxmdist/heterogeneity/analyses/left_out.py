"""The campaign's table of particles that decide nothing: how many lack a number, which flags, and what that leaves."""

import numpy as np
import pandas as pd

from stxmdist.arrays import I64
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.missing import NOTABLE, worst_case
from stxmdist.heterogeneity.places import PLACE_KEYS, places_of
from stxmdist.heterogeneity.reservations import flag_counts
from stxmdist.table_columns import TableColumn

LEFT_OUT_COLUMNS = (
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the last half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
    TableColumn("endpoint", "", "what was measured", "string"),
    TableColumn("n_particles", "1", "particles, with the number and without", "int64"),
    TableColumn("n_lacking", "1", "particles without the number", "int64"),
    TableColumn("lacking_share", "1", "their share"),
    TableColumn("mean", "1", "mean of the particles that have the number, each counted once"),
    TableColumn("bound_low", "1", "least mean of all particles whatever those without the number are"),
    TableColumn("bound_high", "1", "greatest mean of all particles whatever those without the number are"),
    TableColumn("flags", "", "how many particles carry each flag, separated by semicolons", "string"),
    TableColumn("note", "", "whether those without the number could decide; empty if not", "string"),
)


def left_out(evidence: Evidence) -> pd.DataFrame:
    """One row per electrode, condition and metric whose mean has limits."""
    out = []
    found = places_of(evidence.kept, evidence.modality)
    n = len(found.table)
    counts = np.bincount(found.place, minlength=n)
    flags = ["; ".join(f"{flag}: {count}" for flag, count in _flags(found.frame, found.of(at))) for at in range(n)]
    for endpoint, entry in METRICS.items():
        if entry.limits is None or not set(entry.columns) <= set(found.frame.columns):
            continue
        value = entry.load()(found.frame).value
        known = np.isfinite(value)
        having = np.bincount(found.place[known], minlength=n)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(found.place[known], value[known], n) / having
            lacking = 1.0 - having / counts
        low, high = worst_case(np.nan_to_num(mean), lacking, *entry.limits)
        for at in range(n):
            many = lacking[at] > NOTABLE
            out.append(
                {
                    **{key: found.table.iloc[at][key] for key in PLACE_KEYS},
                    "endpoint": endpoint,
                    "n_particles": int(counts[at]),
                    "n_lacking": int(counts[at] - having[at]),
                    "lacking_share": float(lacking[at]),
                    "mean": float(mean[at]),
                    "bound_low": float(low[at]),
                    "bound_high": float(high[at]),
                    "flags": flags[at],
                    "note": f"{100 * lacking[at]:.0f} % of the particles lack the number" if many else "",
                }
            )
    return pd.DataFrame(out, columns=[column.name for column in LEFT_OUT_COLUMNS])


def _flags(frame: pd.DataFrame, here: I64) -> list[tuple[str, int]]:
    return list(flag_counts(frame.iloc[here]).items())
