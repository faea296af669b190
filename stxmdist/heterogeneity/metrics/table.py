"""The metrics of heterogeneity: what is measured of each particle and inferred for electrodes.

Adding a metric is one file with a function ``(particle table) -> MetricValues`` and one line in ``METRICS``. The tables
of effects and of variance, the report and its figures take the names, columns and words from here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pandas as pd

from stxmdist.arrays import F64, Mask
from stxmdist.registry import Entry, Table


@dataclass(frozen=True, eq=False)
class MetricValues:
    """One metric of every particle; each (PARTICLE,) float64."""

    value: F64
    """NaN where it is not known"""
    noise_variance: F64
    """Squared standard error of the measurement; 0 where the metric is taken as exact"""
    intra_variance: F64 | None = None
    """Variance inside the particle, noise taken out, so that it may be negative; None where a particle has none"""
    shared_variance: F64 | None = None
    """Squared standard error that all particles of a scan have in common; None where it is not known"""

    def of(self, keep: Mask) -> "MetricValues":
        """Those of the particles that are kept."""
        intra, shared = (None if part is None else part[keep] for part in (self.intra_variance, self.shared_variance))
        return MetricValues(self.value[keep], self.noise_variance[keep], intra, shared)


Metric: TypeAlias = Callable[[pd.DataFrame], MetricValues]
"""From the particle table to the metric of each of its rows."""


@dataclass(frozen=True)
class Figure:
    """A column of the table of electrodes that summarises a metric."""

    column: str
    meaning: str
    limits: tuple[str, str] | None = None
    """Columns of its confidence limits"""


@dataclass(frozen=True)
class MetricEntry(Entry[Metric]):
    """One metric: where its function is, and what the program asks of it."""

    meaning: str
    """As it stands above figures and in tables"""
    unit: str
    """``1`` for pure numbers"""
    columns: tuple[str, ...]
    """Columns of the particle table without which there is no such metric"""
    helpful: tuple[str, ...] = field(default=(), kw_only=True)
    """Further columns that it uses where the table has them"""
    estimator: Literal["mean", "spread", "share"]
    """What an effect on it is an effect on: a mean, a standard deviation, or the share of particles of a kind"""
    limits: tuple[float, float] | None = None
    """Between which a mean of it lies, whatever the particles; None where nothing limits it"""
    primary: tuple[str, ...] = ()
    """Terms whose effect on it was declared before looking: not corrected for the number of tests"""
    partitioned: bool = False
    """Whether its variance is divided over electrodes, regions, particles, their inside, and noise"""
    figures: tuple[Figure, ...] = ()
    """How the table of electrodes summarises it"""


METRICS: Table[MetricEntry] = Table(
    "metric",
    {
        "soc_mean": MetricEntry(
            "stxmdist.heterogeneity.metrics.soc_mean:soc_mean",
            meaning="state of charge",
            unit="1",
            columns=("soc_mean",),
            helpful=("soc_se_stat", "soc_se", "soc_var_intra", "soc_sd", "soc_se_scan"),
            estimator="mean",
            limits=(0.0, 1.0),
            primary=("cycle",),
            partitioned=True,
            figures=(
                Figure("soc_mean", "state of charge", ("soc_ci_low", "soc_ci_high")),
                Figure("sd_inter", "spread between particles (SD)"),
            ),
        ),
        "soc_sd": MetricEntry(
            "stxmdist.heterogeneity.metrics.soc_sd:soc_sd",
            meaning="spread within particles",
            unit="1",
            columns=("soc_sd",),
            estimator="spread",
            limits=(0.0, 0.5),
            figures=(Figure("sd_intra", "spread within particles (SD)"),),
        ),
        "active": MetricEntry(
            "stxmdist.heterogeneity.metrics.active:active",
            meaning="active fraction",
            unit="1",
            columns=("active",),
            helpful=("soc_mean", "soc_se", "phase_class"),
            estimator="share",
            limits=(0.0, 1.0),
            figures=(Figure("active_fraction", "active fraction", ("active_ci_low", "active_ci_high")),),
        ),
    },
)
