"""Metrics of particles, recovered against true: every column that the product and the truth both have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.scoring.particles import NORMAL_95, Matched

NOT_METRICS = frozenset({
    "particle_id", "y_um", "x_um", "n_pixels", "soc_se", "soc_se_stat", "touches_border", "cycle", "c_rate",
    "soc_nominal", "soc_coulometric", "time_h", "polarisation_deg", "psf_sigma_um", "mass_um2_nm",
})  # fmt: skip
"""Columns that both may have and that say where, when or how."""
HALF_TURN_DEG = 180.0
LEAST = 3
"""Of so many particles a slope is asked."""


@dataclass(frozen=True)
class MetricScore:
    """How one metric was recovered in one modality; NaN where nothing says it."""

    metric: str
    modality: str
    n: int
    """Particles whose truth and recovered value are numbers"""
    n_missing: int
    """Particles with a true value that were found and have no recovered one"""
    true_mean: float
    bias: float
    """Mean of recovered less true; of directions, the smaller way round"""
    rms: float
    slope: float
    """Of recovered over true"""
    correlation: float
    inside: float
    """Share of true values inside the 95 % interval, where the metric has a standard error"""


def score_metrics(scans: Sequence[Matched]) -> list[MetricScore]:
    """A row for each modality and each column of numbers that found particles and their truth both have."""
    rows = []
    for modality in dict.fromkeys(scan.modality for scan in scans):
        here = [scan for scan in scans if scan.modality == modality and len(scan.pairs)]
        if not here:
            continue
        true = pd.concat([_of(scan.true, scan.pairs["particle_id"]) for scan in here], ignore_index=True)
        found = pd.concat([_of(scan.recovered, scan.pairs["found_id"]) for scan in here], ignore_index=True)
        for name in true.columns:
            if name in found and name not in NOT_METRICS and _is_number(true[name]) and _is_number(found[name]):
                error = found.get(f"{name}_se")
                rows.append(_compared(name, modality, _values(true[name]), _values(found[name]), error))
    return [row for row in rows if row.n + row.n_missing > 0]


def _of(table: pd.DataFrame, numbers: pd.Series) -> pd.DataFrame:
    return table.set_index("particle_id").loc[numbers.astype(int).tolist()].reset_index()


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _values(column: pd.Series) -> F64:
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _compared(name: str, modality: str, true: F64, found: F64, error: pd.Series | None) -> MetricScore:
    known = np.isfinite(true) & np.isfinite(found)
    difference = found - true
    if name.endswith("_deg"):
        difference = (difference + HALF_TURN_DEG / 2.0) % HALF_TURN_DEG - HALF_TURN_DEG / 2.0
    x, y, off = true[known], found[known], difference[known]
    spread = float(np.var(x)) if known.any() else 0.0
    fits = x.size >= LEAST and spread > 0.0
    covariance = float(((x - x.mean()) * (y - y.mean())).mean()) if fits else math.nan
    within = math.nan
    if error is not None:
        sure = np.isfinite(_values(error)) & known
        within = float((np.abs(difference) <= NORMAL_95 * _values(error))[sure].mean()) if sure.any() else math.nan
    return MetricScore(
        metric=name,
        modality=modality,
        n=int(known.sum()),
        n_missing=int((np.isfinite(true) & ~np.isfinite(found)).sum()),
        true_mean=float(x.mean()) if x.size else math.nan,
        bias=float(off.mean()) if x.size else math.nan,
        rms=float(np.sqrt((off**2).mean())) if x.size else math.nan,
        slope=covariance / spread if fits else math.nan,
        correlation=covariance / math.sqrt(spread * float(np.var(y))) if fits and np.var(y) > 0 else math.nan,
        inside=within,
    )
