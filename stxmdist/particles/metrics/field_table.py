"""Metrics that need a particle's neighbours. Adding one is one file with a function ``(LabelledField) -> values`` and
one line here; columns of the particle table follow from the entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, I64, Mask
from stxmdist.errors import InputError
from stxmdist.registry import Entry, Table
from stxmdist.table_columns import TableColumn


@dataclass(frozen=True, eq=False)
class LeftOver:
    """What end-members leave of the particles' mean spectra."""

    od: F64
    """(PARTICLE, ENERGY) optical density"""
    variance: F64
    """(PARTICLE, ENERGY) of it by noise"""
    thickness: F64
    """(2, PARTICLE) mean of (discharged, charged)"""


@dataclass(frozen=True, eq=False)
class LabelledField:
    """All particles of a scan."""

    labels: I32
    """(Y, X) outlines, 0 where there is no particle"""
    known: Mask
    """(Y, X) pixels that were measured"""
    particle_id: I64
    """(PARTICLE,) in increasing order"""
    pixel_nm: float
    left_over: LeftOver | None = None
    """None where spectra were not looked at"""


FieldMetric: TypeAlias = Callable[[LabelledField], Mapping[str, F64]]
"""From the particles of a scan to the metric's columns, each (PARTICLE,) float64, NaN where it cannot be given."""


@dataclass(frozen=True)
class FieldMetricEntry(Entry[FieldMetric]):
    """One metric of particles among others: where its function is, and its columns."""

    columns: tuple[TableColumn, ...]
    source: str
    """Paper and equation, or ``own``"""


FIELD_METRICS: Table[FieldMetricEntry] = Table(
    "field metric",
    {
        "contacts": FieldMetricEntry(
            "stxmdist.particles.metrics.contacts:contacts",
            (
                TableColumn("contact_share", "1", "share of the ring around the particle that other particles hold"),
                TableColumn("neighbour_distance_um", "um", "mean distance of centres to the six nearest particles"),
                TableColumn("local_cover", "1", "share that others cover of a disc of 1 um around the centre"),
            ),
            "Li et al., Science 376, 517 (2022), contact and local density, in projection",
        ),
        "anomaly": FieldMetricEntry(
            "stxmdist.particles.metrics.anomaly:anomaly",
            (
                TableColumn("anomaly_distance", "1", "robust Mahalanobis distance of the mean spectrum in its scan"),
                TableColumn("anomaly_p", "1", "how often chance alone is as far off"),
            ),
            "Rousseeuw and van Zomeren, J. Am. Stat. Assoc. 85, 633 (1990); Zhang et al. (2017)",
        ),
    },
)


def measure_field(field: LabelledField) -> pd.DataFrame:
    """Every metric of the table, one row per PARTICLE in the order of the field.

    Raises
    ------
    InputError
        where a metric gives other columns than its entry names, or not one number for each particle.
    """
    columns: dict[str, F64] = {}
    for name, entry in FIELD_METRICS.items():
        found = entry.load()(field)
        named = {column.name for column in entry.columns}
        if found.keys() != named or any(np.shape(each) != field.particle_id.shape for each in found.values()):
            raise InputError(
                where=f"field metric {name}",
                problem="the metric does not give what its entry says",
                got=", ".join(f"{column} {np.shape(each)}" for column, each in found.items()),
                wanted=f"{', '.join(sorted(named))} of shape {field.particle_id.shape}",
                mend="Correct the metric, or the columns of its line in FIELD_METRICS",
            )
        columns |= found
    return pd.DataFrame(columns)
