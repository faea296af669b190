"""The tables of a campaign with all their columns: those that the store declares, and those of metrics and analyses."""

from dataclasses import replace

from storage.columns import TABLES, ColumnSpec, TableSpec
from stxmdist.heterogeneity.analyses.table import ANALYSES
from stxmdist.particles.metrics.table import PARTICLE_METRICS
from stxmdist.table_columns import TableColumn


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
    return specs | {"particles": replace(specs["particles"], columns=specs["particles"].columns + measured)}


def _declared(column: TableColumn, required: bool) -> ColumnSpec:
    return ColumnSpec(column.name, column.dtype, column.unit, column.meaning, required)
