"""Rows of the particle table that may enter a statistic, and the clusters they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stxmdist.arrays import F64, I64, Text
from stxmdist.errors import InputError

CONDITION = ("cycle", "c_rate", "direction")
"""What distinguishes one state of an electrode from another."""

NOISE_COLUMNS = {"soc_mean": ("soc_se_stat", "soc_se")}
"""Where the measurement error of an endpoint stands, best first; endpoints without one are taken as exact."""


@dataclass(frozen=True)
class Rows:
    """Particles with a finite endpoint, in clusters; every array is (PARTICLE,) unless it says otherwise."""

    frame: Any
    value: F64
    noise_variance: F64
    electrode: I64
    """Codes 0, 1, ... by first appearance in sorted order of electrode_id"""
    region: I64
    """Codes of regions: the same name on another electrode or in another condition is another region"""
    region_electrode: I64
    """(REGION,) electrode of each region"""
    n_dropped: int
    """Rows left out for want of a number or an electrode"""

    @property
    def n_electrodes(self) -> int:
        return int(self.electrode.max()) + 1 if self.electrode.size else 0

    @property
    def n_regions(self) -> int:
        return len(self.region_electrode)

    def region_mean(self, values: F64) -> F64:
        """(REGION,) means of (PARTICLE,) values."""
        counts = np.bincount(self.region, minlength=self.n_regions)
        return np.asarray(np.bincount(self.region, values, minlength=self.n_regions) / counts)

    @property
    def region_first(self) -> I64:
        """(REGION,) index of a particle of each region, to look up what a region's particles share."""
        return np.asarray(np.unique(self.region, return_index=True)[1], dtype=np.int64)


def of_modality(particles: Any, modality: str | None) -> Any:
    """Rows of one modality: particles seen twice must not count twice. A table without any of it is taken whole."""
    if modality is None or "modality" not in particles.columns:
        return particles
    matching = particles["modality"] == modality
    return particles[matching] if matching.any() else particles


def rows(
    particles: Any,
    endpoint: str,
    modality: str | None = "stxm",
    finite: Sequence[str] = (),
    conditions: Sequence[str] = CONDITION,
) -> Rows:
    """Select the particles that have the endpoint (and the further ``finite`` columns), and code their clusters.

    Raises
    ------
    InputError
        where the table lacks electrode_id or the endpoint.
    """
    for column in ("electrode_id", endpoint, *finite):
        if column not in particles.columns:
            raise InputError(
                where="particle table",
                problem=f"the column {column} is not there",
                got=", ".join(map(str, particles.columns[:12])),
                wanted=f"a column {column}",
                mend="Pass the table that the segment stage wrote, with the columns of the sample sheet",
            )
    chosen = of_modality(particles, modality)
    keep = chosen["electrode_id"].notna().to_numpy(dtype=bool)
    for column in (endpoint, *finite):
        keep = keep & np.isfinite(numbers(chosen, column))
    frame = chosen[keep].reset_index(drop=True)
    electrode = codes([text(frame, "electrode_id")])
    names = [text(frame, "electrode_id"), *(text(frame, name) for name in conditions)]
    names.append(text(frame, "region_id" if "region_id" in frame.columns else "scan_id"))
    region = codes(names)
    first = np.unique(region, return_index=True)[1]
    return Rows(
        frame=frame,
        value=numbers(frame, endpoint),
        noise_variance=noise_variance(frame, endpoint),
        electrode=electrode,
        region=region,
        region_electrode=electrode[first],
        n_dropped=len(chosen) - len(frame),
    )


def numbers(frame: Any, column: str) -> F64:
    """(PARTICLE,) float64 of a column, NaN where it is missing, absent or no number; True counts 1."""
    import pandas as pd

    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return np.asarray(
        pd.to_numeric(frame[column], errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    )


def text(frame: Any, column: str) -> Text:
    """(PARTICLE,) text of a column; missing is a value of its own."""
    if column not in frame.columns:
        return np.full(len(frame), "")
    return np.asarray(["" if item is None or item != item else str(item) for item in frame[column]], dtype=np.str_)


def codes(columns: Sequence[Text]) -> I64:
    """(PARTICLE,) codes 0, 1, ... of the combinations of text columns, in sorted order."""
    if not len(columns[0]):
        return np.zeros(0, dtype=np.int64)
    inverse = np.unique(np.stack([column.astype(np.str_) for column in columns], axis=1), axis=0, return_inverse=True)[
        1
    ]
    return np.asarray(inverse.reshape(-1), dtype=np.int64)


def noise_variance(frame: Any, endpoint: str) -> F64:
    """(PARTICLE,) squared standard error of the endpoint; 0 where the table does not say."""
    for column in NOISE_COLUMNS.get(endpoint, ()):
        if column in frame.columns:
            return np.nan_to_num(numbers(frame, column)) ** 2
    return np.zeros(len(frame))


def intra_variance(frame: Any) -> F64:
    """(PARTICLE,) noise-corrected variance of soc inside each particle, signed where the table has it so.

    The square of a standard deviation that was clipped at 0 would not average to the truth.
    """
    signed = numbers(frame, "soc_var_intra")
    return np.where(np.isfinite(signed), signed, numbers(frame, "soc_sd") ** 2)
