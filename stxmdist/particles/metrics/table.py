"""The metrics of particles. Adding one is one file with a function ``(ParticleViews) -> values`` and one line here.

The columns of the particle table, their units, the homogeneous twins and the standard errors follow from the entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from stxmdist.arrays import F64
from stxmdist.particles.metrics.depth import PROFILE
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.registry import Entry, Table
from stxmdist.table_columns import TableColumn

ParticleMetric: TypeAlias = Callable[[ParticleViews], Mapping[str, F64]]
"""From the views of one particle to the metric's columns, each (VIEW,) float64, NaN where it cannot be given."""


@dataclass(frozen=True)
class Doubt:
    """What a method leaves uncertain where photons are many, as a standard error.

    Blur, pixels, rims and patterns that the method does not expect make it; no twin shows it. It is taken from
    particles of simulated campaigns, wide-field and ptychography together: what brings 95 % of them into their
    intervals.
    """

    absolute: float = 0.0
    """In the column's unit"""
    relative: float = 0.0
    """Share of the value"""

    def of(self, value: F64) -> F64:
        """(...,) standard errors of values."""
        return np.hypot(self.absolute, self.relative * np.abs(value))


NO_DOUBT = Doubt()


@dataclass(frozen=True)
class ParticleMetricEntry(Entry[ParticleMetric]):
    """One metric of particles: where its function is, and what the program asks of it."""

    columns: tuple[TableColumn, ...]
    source: str
    """Paper and equation, or ``own``"""
    null: Literal["taken off", "band", "fit", "none"] = "none"
    """``taken off``: what homogeneous twins show on average is subtracted; ``band``: it only stands beside the value;
    ``fit``: a parameter that a homogeneous particle does not have, with an error of the metric's own, which may use the
    twins; ``none``: the metric does not look at the state of charge, and twins would say nothing"""
    modalities: tuple[str, ...] = ("stxm", "ptychography")
    """In which it can be measured"""
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    """Of some of the columns; it is part of their standard errors"""

    @property
    def banded(self) -> bool:
        """Whether the table of null bands has what twins show of it."""
        return self.null in ("taken off", "band")


_ROOM = "stxmdist.particles.metrics"

PARTICLE_METRICS: Table[ParticleMetricEntry] = Table(
    "particle metric",
    {
        # What varies inside a particle, from its state of charge.
        "spread": ParticleMetricEntry(
            f"{_ROOM}.spread:spread",
            (TableColumn("soc_var_intra", "1", "variance of state of charge within the particle, noise taken off"),),
            "own",
            null="taken off",
            doubts={"soc_var_intra": Doubt(relative=0.2)},
        ),
        "core_shell": ParticleMetricEntry(
            f"{_ROOM}.depth:core_shell",
            (
                TableColumn("core_shell_index", "1", "state of charge at the rim minus that of the core"),
                TableColumn("soc_at_depth_000", "1", "state of charge at the rim, less the particle's mean"),
                TableColumn("soc_at_depth_025", "1", "the same at a quarter of the largest depth"),
                TableColumn("soc_at_depth_050", "1", "the same at half of the largest depth"),
                TableColumn("soc_at_depth_075", "1", "the same at three quarters of the largest depth"),
                TableColumn("soc_at_depth_100", "1", "the same at the largest depth"),
            ),
            "own",
            null="taken off",
            doubts=dict.fromkeys(("core_shell_index", *PROFILE), Doubt(0.02, 0.35)),
        ),
        "reaction_depth": ParticleMetricEntry(
            f"{_ROOM}.depth:reaction_depth",
            (TableColumn("reaction_depth_nm", "nm", "length over which the state of charge decays from rim to core"),),
            "own",
            null="fit",
        ),
        "sides": ParticleMetricEntry(
            f"{_ROOM}.sides:sides",
            (
                TableColumn("soc_one_sidedness", "1", "first Fourier mode of charge over the angle, over its mean"),
                TableColumn("soc_gradient_y_per_um", "1/um", "mean slope of state of charge downward (rows)"),
                TableColumn("soc_gradient_x_per_um", "1/um", "mean slope of state of charge rightward (columns)"),
            ),
            "Xu et al., Nat. Commun. 11, 83 (2020)",
            null="band",
            doubts={
                "soc_one_sidedness": Doubt(0.025),
                "soc_gradient_y_per_um": Doubt(0.13),
                "soc_gradient_x_per_um": Doubt(0.13),
            },
        ),
        "gradient": ParticleMetricEntry(
            f"{_ROOM}.sides:gradient",
            (
                TableColumn("soc_gradient_per_um", "1/um", "root mean square gradient of charge, noise taken off"),
                TableColumn("boundary_normal_deg", "deg", "axis along which charge changes most, from +x towards +y"),
                TableColumn("boundary_coherence", "1", "how far all gradients share that axis, 0 to 1"),
                TableColumn("boundary_to_long_axis_deg", "deg", "angle of that axis to the long axis, 0 to 90"),
            ),
            "Xu et al., Nat. Commun. 11, 83 (2020); Bigun and Granlund, ICCV (1987)",
            null="band",
            doubts={"soc_gradient_per_um": Doubt(relative=0.6)},
        ),
        "phases": ParticleMetricEntry(
            f"{_ROOM}.phases:phases",
            (
                TableColumn("boundary_density_per_um", "1/um", "length of the line soc = 0.5 over the area"),
                TableColumn("mixed_excess", "1", "mixed share beyond what sharp boundaries look like through the blur"),
                TableColumn("n_domains_charged", "1", "connected patches of the charged phase"),
                TableColumn("n_domains_discharged", "1", "connected patches of the discharged phase"),
                TableColumn("largest_domain_um2", "um2", "area of the largest patch of one phase"),
            ),
            "Yu et al., Nano Lett. 15, 4282 (2015) and Nat. Commun. 9, 921 (2018)",
            null="band",
            doubts={
                "boundary_density_per_um": Doubt(relative=0.5),
                "mixed_excess": Doubt(0.09),
                "n_domains_charged": Doubt(0.5),
                "n_domains_discharged": Doubt(0.5),
                "largest_domain_um2": Doubt(relative=0.25),
            },
        ),
        "boundary_width": ParticleMetricEntry(
            f"{_ROOM}.boundary_width:boundary_width",
            (TableColumn("boundary_width_nm", "nm", "sigma of the straight boundary between two phases, blur undone"),),
            "own, fitted forward",
            null="fit",
            doubts={"boundary_width_nm": Doubt(6.0)},
        ),
        "correlation_length": ParticleMetricEntry(
            f"{_ROOM}.correlation:correlation_length",
            (TableColumn("soc_correlation_nm", "nm", "distance at which the autocovariance of charge falls to 1/e"),),
            "Padfield, IEEE Trans. Image Process. 21, 2706 (2012)",
            null="fit",
            doubts={"soc_correlation_nm": Doubt(relative=0.6)},
        ),
        "moran": ParticleMetricEntry(
            f"{_ROOM}.moran:moran",
            (TableColumn("soc_moran", "1", "Moran's I of the state of charge of pixels away from edges"),),
            "Moran, Biometrika 37, 17 (1950)",
            null="band",
        ),
        "histogram": ParticleMetricEntry(
            f"{_ROOM}.histogram:histogram",
            (
                TableColumn("soc_iqr", "1", "interquartile range of the states of charge of pixels"),
                TableColumn("soc_skewness", "1", "skewness of the states of charge of pixels, noise taken off"),
                TableColumn("soc_entropy_bits", "bit", "entropy of ten classes of the states of charge of pixels"),
            ),
            "Shannon, Bell Syst. Tech. J. 27, 379 (1948)",
            null="band",
        ),
        # Shape of the rim, which does not look at the state of charge.
        "shape": ParticleMetricEntry(
            f"{_ROOM}.shape:shape",
            (
                TableColumn("feret_max_um", "um", "largest caliper of the rim in front of the point spread function"),
                TableColumn("feret_min_um", "um", "smallest caliper of that rim"),
                TableColumn("perimeter_um", "um", "Crofton's perimeter of that rim"),
                TableColumn("circularity", "1", "4 pi area over perimeter squared: 1 for a disc"),
                TableColumn("convexity", "1", "perimeter of the convex hull over the perimeter"),
                TableColumn("orientation_deg", "deg", "long axis, from +x towards +y, 0 to 180"),
            ),
            "Santalo, Integral Geometry (2004), I.3",
        ),
        # Cracks and grains, which only ptychography resolves.
        "flaws": ParticleMetricEntry(
            f"{_ROOM}.flaws:flaws",
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
            f"{_ROOM}.soc_from_flaws:soc_from_flaws",
            (
                TableColumn("soc_per_um_from_crack", "1/um", "change of soc with the distance to the nearest crack"),
                TableColumn("soc_per_um_from_grain_boundary", "1/um", "the same to the nearest grain boundary"),
            ),
            "own",
            null="band",
            modalities=("ptychography",),
        ),
    },
)
