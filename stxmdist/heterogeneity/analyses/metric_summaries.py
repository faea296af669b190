"""Every metric of the particles, summarised for each electrode in each condition."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.electrode_columns import METRIC_SUMMARIES
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.missing import NOTABLE
from stxmdist.heterogeneity.places import Cell, Places, places_of
from stxmdist.heterogeneity.pooled_intervals import pooled_errors

ALWAYS = {
    "soc_mean": "soc_se_stat",
    "soc_sd": "soc_sd_se",
    "core_shell_index": "core_shell_index_se",
    "d_eq_um": "d_eq_um_se",
    "aspect": "aspect_se",
    "solidity": "solidity_se",
    "thickness_nm": "thickness_nm_se",
}
"""Columns of every particle table, and where their standard errors stand; other metrics have theirs in ``<name>_se``"""
NOT_METRICS = ("soc",)
"""``soc_se`` belongs to soc_mean."""
LEAST_BANDS = 5


def metric_summaries(evidence: Evidence) -> pd.DataFrame:
    """Mean with an interval over regions, spread without noise, and share beyond the null band of each metric.

    Every particle counts alike. A metric is what has a column and one of its standard error. Where the twins of
    particles are known, a particle lies beyond the band if its value is outside of what 95 % of its homogeneous twins
    show: one in twenty does by noise alone. Directions have no mean and are left out.
    """
    seen = places_of(evidence.kept, evidence.modality)
    bands = _bands(seen, evidence.null_bands)
    rows = []
    for name, error in metric_columns(seen.frame).items():
        value = numbers(seen.frame, name)
        if np.isfinite(value).any() and not _is_direction(name):
            rows += _of_metric(seen, name, value, numbers(seen.frame, error), bands)
    return pd.DataFrame(rows, columns=[column.name for column in METRIC_SUMMARIES])


def metric_columns(particles: pd.DataFrame) -> dict[str, str]:
    """Metrics that a particle table has, with the column of their standard error, which may be absent."""
    found = {name: error for name, error in ALWAYS.items() if name in particles.columns}
    for error in map(str, particles.columns):
        name = error.removesuffix("_se")
        if error.endswith("_se") and name in particles.columns and name not in NOT_METRICS:
            found.setdefault(name, error)
    return found


def _is_direction(name: str) -> bool:
    """Whether a metric is an axis on the sample: 1 and 179 degrees are alike, and have no mean of 90."""
    return name.endswith("_deg") and "_to_" not in name


@dataclass(frozen=True, eq=False)
class _Bands:
    """The null bands as they are, and where each particle's are: no copy of a wide table is made."""

    table: pd.DataFrame
    row: I64
    """(PARTICLE,) in the table; -1 where a particle has none"""

    def of(self, column: str) -> F64:
        """(PARTICLE,) of one column."""
        if not len(self.table):
            return np.full(self.row.shape, np.nan)
        return np.where(self.row >= 0, numbers(self.table, column)[self.row], np.nan)


def _bands(seen: Places, null_bands: pd.DataFrame) -> _Bands:
    keys = ["scan_id", "particle_id"]
    none = np.full(len(seen.frame), -1, dtype=np.int64)
    if not len(null_bands) or not len(seen.frame) or any(key not in null_bands.columns for key in keys):
        return _Bands(pd.DataFrame(), none)
    first = np.flatnonzero(~null_bands.duplicated(keys).to_numpy())
    places = null_bands[keys].iloc[first].assign(_row=first)
    found = seen.frame[keys].merge(places, on=keys, how="left")["_row"]
    return _Bands(null_bands, found.fillna(-1).to_numpy(dtype=np.int64))


def _of_metric(seen: Places, name: str, value: F64, error: F64, bands: _Bands) -> list[dict[str, Cell]]:
    known = np.isfinite(value)
    place, region, x = seen.place[known], seen.region[known], value[known]
    n = len(seen.table)
    counts, total = np.bincount(place, minlength=n), np.bincount(seen.place, minlength=n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(place, x, n) / counts
    errors = pooled_errors(x - mean[place], place, region)
    half = errors.half_width()
    low, high = (bands.of(f"{name}_null_{end}")[known] for end in ("low", "high"))
    banded = np.isfinite(low) & np.isfinite(high)
    beyond = banded & ((x < low) | (x > high))
    rows = []
    for index in np.flatnonzero(total > 0).tolist():
        here = place == index
        noise = error[known][here]
        with_error = np.isfinite(noise)
        spread = float(x[here].var(ddof=1)) if counts[index] > 1 else UNKNOWN
        of_noise = float((noise[with_error] ** 2).mean()) if with_error.any() else UNKNOWN
        notes = [] if counts[index] else ["no particle has it"]
        lacking = 1.0 - counts[index] / total[index]
        if counts[index] and lacking > NOTABLE:
            notes.append(f"{100 * lacking:.0f} % of the particles lack it")
        if counts[index] > 1:
            notes.append(errors.note(index))
            notes += [] if with_error.any() else ["no error is known: the spread has the noise in it"]
            notes += ["the spread is below the noise"] if spread < of_noise else []
        within = counts[index] > 0
        judged = int(banded[here].sum())
        rows.append(
            seen.row(index)
            | {
                "metric": name,
                "n_regions": len(np.unique(region[here])),
                "n_particles": int(counts[index]),
                "n_lacking": int(total[index] - counts[index]),
                "mean": float(mean[index]),
                "ci_low": float(mean[index] - half[index]) if within else UNKNOWN,
                "ci_high": float(mean[index] + half[index]) if within else UNKNOWN,
                "sd_between": float(np.sqrt(max(spread - np.nan_to_num(of_noise), 0.0))),
                "noise": float(np.sqrt(of_noise)),
                "beyond_share": float(beyond[here].sum()) / judged if judged >= LEAST_BANDS else UNKNOWN,
                "note": "; ".join(note for note in notes if note),
            }
        )
    return rows
