"""Rows of the particle table that may enter a statistic, and the clusters they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.errors import InputError
from stxmdist.heterogeneity.columns import codes_of, numbers
from stxmdist.heterogeneity.kept import has_flag
from stxmdist.heterogeneity.metrics.column import metric_of
from stxmdist.heterogeneity.metrics.table import MetricValues

CONDITION = ("cycle", "c_rate", "direction")
"""What distinguishes one state of an electrode from another."""


@dataclass(frozen=True)
class Rows:
    """Particles with a finite endpoint, in clusters; every array is (PARTICLE,) unless it says otherwise."""

    frame: pd.DataFrame
    metric: MetricValues
    electrode: I64
    """Codes 0, 1, ... by first appearance in sorted order of electrode_id"""
    region: I64
    """Codes of regions: the same name on another electrode or in another condition is another region"""
    region_electrode: I64
    """(REGION,) electrode of each region"""
    lost: F64
    """(REGION,) how many particles of each region were left out for want of a number"""
    n_dropped: int
    """Rows left out for want of a number or an electrode"""

    @property
    def value(self) -> F64:
        return self.metric.value

    @property
    def noise_variance(self) -> F64:
        return self.metric.noise_variance

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


def of_modality(particles: pd.DataFrame, modality: str | None) -> pd.DataFrame:
    """Rows of one modality: particles seen twice must not count twice. A table without any of it is taken whole."""
    if modality is None or "modality" not in particles.columns:
        return particles
    matching = particles["modality"] == modality
    # A campaign of a million particles is not copied where all of it is meant.
    return particles[matching] if matching.any() and not matching.all() else particles


def rows(
    particles: pd.DataFrame,
    endpoint: str,
    modality: str | None = "stxm",
    finite: Sequence[str] = (),
    conditions: Sequence[str] = CONDITION,
    also: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Rows:
    """Select the particles that have the endpoint (and the further ``finite`` columns), and code their clusters.

    Parameters
    ----------
    endpoint
        a name of ``metrics.table.METRICS``, or a column
    also
        further columns that the rows' frame keeps
    without
        flags: particles that carry any of them take no part

    Raises
    ------
    InputError
        for a metric that there is not, and where the table lacks electrode_id or a column of the metric.
    """
    entry = metric_of(endpoint, particles)
    for column in ("electrode_id", *entry.columns, *finite):
        if column not in particles.columns:
            raise InputError(
                where="particle table",
                problem=f"the column {column} is not there",
                got=", ".join(map(str, particles.columns[:12])),
                wanted=f"a column {column}",
                mend="Pass the table that the segment stage wrote, with the columns of the sample sheet",
            )
    # Of a wide table of a million particles, a copy of all columns for each endpoint would be most of the memory.
    kept = ("electrode_id", "cell_id", "region_id", "scan_id", "roi_rule", "flags", *conditions, *finite, *also)
    needed = dict.fromkeys((*kept, "modality", *CONDITION, *entry.columns, *entry.helpful))
    chosen = of_modality(particles[[name for name in needed if name in particles.columns]], modality)
    if without:
        chosen = chosen[~np.logical_or.reduce([has_flag(chosen, flag) for flag in without])]
    n_before = len(chosen)
    chosen = chosen[chosen["electrode_id"].notna().to_numpy(dtype=bool)]
    metric = entry.load()(chosen)
    keep = np.ones(len(chosen), dtype=bool)
    for values in (metric.value, *(numbers(chosen, column) for column in finite)):
        keep &= np.isfinite(values)
    chosen = chosen[[name for name in dict.fromkeys(kept) if name in chosen.columns]]
    region_id = "region_id" if "region_id" in chosen.columns else "scan_id"
    everywhere = codes_of(chosen, ("electrode_id", *conditions, region_id))
    frame = chosen[keep].reset_index(drop=True)
    electrode = codes_of(frame, ("electrode_id",))
    present, region = np.unique(everywhere[keep], return_inverse=True)
    first = np.unique(region, return_index=True)[1]
    lost = np.bincount(everywhere[~keep], minlength=int(everywhere.max(initial=-1)) + 1)[present]
    return Rows(
        frame=frame,
        metric=metric.of(keep),
        electrode=electrode,
        region=np.asarray(region.reshape(-1), dtype=np.int64),
        region_electrode=electrode[first],
        lost=lost.astype(np.float64),
        n_dropped=n_before - len(frame),
    )
