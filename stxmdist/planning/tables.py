"""The tables of a campaign with all their columns: those that the store declares, and those of metrics and analyses."""

from dataclasses import replace

from storage.columns import TABLES, ColumnSpec, TableSpec
from stxmdist.heterogeneity.analyses.table import ANALYSES
from stxmdist.particles.metrics.field_table import FIELD_METRICS
from stxmdist.particles.metrics.table import PARTICLE_METRICS
from stxmdist.table_columns import TableColumn

NULL_BANDS = "null_bands"
"""The table of what homogeneous twins show, beside that of particles"""


def table_specs() -> dict[str, TableSpec]:
    """Every table of a campaign by name: adding a metric or an analysis adds its columns here."""
    specs = TABLES | {
        name: TableSpec(name, entry.meaning, tuple(_declared(column, required=True) for column in entry.columns))
        for name, entry in ANALYSES.items()
    }
    known = {column.name for column in specs["particles"].columns}
    measured = tuple(
        _declared(each, required=False)
        for entry in PARTICLE_METRICS.values()
        for column in entry.columns
        for each in (column, TableColumn(f"{column.name}_se", column.unit, f"standard error of {column.name}"))
        if each.name not in known
    )
    among = tuple(_declared(column, required=False) for entry in FIELD_METRICS.values() for column in entry.columns)
    particles = replace(specs["particles"], columns=specs["particles"].columns + measured + among)
    return specs | {"particles": particles, NULL_BANDS: _null_bands()}


def _null_bands() -> TableSpec:
    """What homogeneous twins of each particle show, metric for metric."""
    said = (
        ("_bias", "mean of {} on homogeneous twins of the particle"),
        ("_null_low", "lower end of the band in which {} of 95 % of homogeneous twins lies"),
        ("_null_high", "upper end of that band of {}"),
    )
    identity = (
        ColumnSpec("scan_id", "string", "", "the acquisition"),
        ColumnSpec("particle_id", "int64", "", "label of the particle in its scan"),
    )
    measured = tuple(
        ColumnSpec(f"{column.name}{ending}", "float64", column.unit, meaning.format(column.name), required=False)
        for entry in PARTICLE_METRICS.values()
        if entry.banded
        for column in entry.columns
        for ending, meaning in said
    )
    meaning = "one row per particle: what its metrics show on homogeneous twins, seen through the same noise and blur"
    return TableSpec(NULL_BANDS, meaning, identity + measured)


def _declared(column: TableColumn, required: bool) -> ColumnSpec:
    return ColumnSpec(column.name, column.dtype, column.unit, column.meaning, required)
