"""The metrics of particles. Adding one is one file with a function ``(ParticleViews) -> values`` and one line here.

The columns of the particle table, their units, the homogeneous twins and the standard errors follow from the entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.registry import Entry, Table
from stxmdist.table_columns import TableColumn

ParticleMetric: TypeAlias = Callable[[ParticleViews], Mapping[str, F64]]
"""From the views of one particle to the metric's columns, each (VIEW,) float64, NaN where it cannot be given."""


@dataclass(frozen=True)
class ParticleMetricEntry(Entry[ParticleMetric]):
    """One metric of particles: where its function is, and what the program asks of it."""

    columns: tuple[TableColumn, ...]
    source: str
    """Paper and equation, or ``own``"""
    null: Literal["taken off", "band", "none"] = "none"
    """``taken off``: what homogeneous twins show on average is subtracted; ``band``: it only stands beside the value;
    ``none``: the metric does not look at the state of charge, and twins would say nothing"""
    modalities: tuple[str, ...] = ("stxm", "ptychography")
    """In which it can be measured"""


_ROOM = "stxmdist.particles.metrics"

PARTICLE_METRICS: Table[ParticleMetricEntry] = Table(
    "particle metric",
    {
        # What varies inside a particle, from its state of charge.
        "spread": ParticleMetricEntry(
            f"{_ROOM}.spread:spread",
            (TableColumn("soc_var_intra", "1", "variance of state of charge within the particle, noise taken off"),),
            "own; science.md 0.8",
            null="taken off",
        ),
        "moran": ParticleMetricEntry(
            f"{_ROOM}.moran:moran",
            (TableColumn("soc_moran", "1", "Moran's I of the state of charge of pixels away from edges"),),
            "Moran, Biometrika 37, 17 (1950)",
            null="band",
        ),
    },
)
