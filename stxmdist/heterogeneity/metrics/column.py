"""A column of the particle table as an endpoint: its number, and its standard error where it has one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.metrics.table import METRICS, Metric, MetricEntry, MetricValues

COMMON = {
    "core_shell_index": "state of charge of the rim less that of the core",
    "f_mixed": "mixed share of the mass",
    "crack_share": "share of the volume missing in cracks",
    "grain_d50_um": "median diameter of grains",
    "boundary_density_per_um": "length of phase boundaries over area",
}
"""Columns that are endpoints without being asked for, where the table has them with any number, and their words."""


@dataclass(frozen=True)
class ColumnMetric(MetricEntry):
    """The entry of a column that has no file of its own among the metrics."""

    def load(self) -> Metric:
        """The column's numbers, with the square of its standard error as noise."""
        (name,) = self.columns

        def column(particles: pd.DataFrame) -> MetricValues:
            noise = np.nan_to_num(numbers(particles, f"{name}_se")) ** 2
            return MetricValues(numbers(particles, name), noise)

        return column


def metric_of(name: str, particles: pd.DataFrame, units: Mapping[str, str] | None = None) -> MetricEntry:
    """The metric of an endpoint: of the table where it stands there, else the column of that name.

    Raises
    ------
    InputError
        where there is neither.
    """
    if name in METRICS or name not in particles.columns:
        return METRICS[name]
    unit = (units or {}).get(name, "1")
    meaning = COMMON.get(name, name.replace("_", " "))
    return ColumnMetric("", meaning=meaning, unit=unit, columns=(name,), helpful=(f"{name}_se",), estimator="mean")


def default_endpoints(particles: pd.DataFrame) -> Sequence[str]:
    """The metrics of the table, and those of ``COMMON`` of which the particles have a number."""
    return (*METRICS, *(name for name in COMMON if np.isfinite(numbers(particles, name)).any()))
