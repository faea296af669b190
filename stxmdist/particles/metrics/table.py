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


PARTICLE_METRICS: Table[ParticleMetricEntry] = Table(
    "particle metric",
    {
        # Cracks and grains, which only ptychography resolves.
        "flaws": ParticleMetricEntry(
            "stxmdist.particles.metrics.flaws:flaws",
            (
                TableColumn("crack_share", "1", "share of the particle's volume that is missing in cracks"),
                TableColumn("crack_length_per_um", "1/um", "length of its cracks over its area"),
                TableColumn("n_grains", "1", "grains that valleys part from one another; 1 where there is no boundary"),
                TableColumn("grain_d50_um", "um", "median equivalent diameter of its grains"),
                TableColumn("grain_boundary_per_um", "1/um", "length of grain boundaries over its area"),
            ),
            "Soille, Morphological Image Analysis (2003); Li et al., Science 376, 517 (2022); grains own",
            modalities=("ptychography",),
        ),
        "soc_from_flaws": ParticleMetricEntry(
            "stxmdist.particles.metrics.soc_from_flaws:soc_from_flaws",
            (
                TableColumn("soc_per_um_from_crack", "1/um", "change of soc with the distance to the nearest crack"),
                TableColumn("soc_per_um_from_grain_boundary", "1/um", "the same to the nearest grain boundary"),
            ),
            "science.md 2.2; own",
            null="band",
            modalities=("ptychography",),
        ),
    },
)
