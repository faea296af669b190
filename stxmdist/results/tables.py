"""Tables with their units: ``attrs`` of a data frame hold the unit and the meaning of every column.

``attrs`` survive what pandas hands on: selection of rows, ``copy``, ``sort_values``, ``to_parquet``. A merge of two
tables has none.
"""

from collections.abc import Mapping

import pandas as pd

from storage.columns import TableSpec


def described(columns: Mapping[str, tuple[object, str, str]]) -> pd.DataFrame:
    """A table of columns (values, unit, meaning)."""
    table = pd.DataFrame({name: values for name, (values, _, _) in columns.items()})
    table.attrs = {
        "units": {name: unit for name, (_, unit, _) in columns.items()},
        "descriptions": {name: meaning for name, (_, _, meaning) in columns.items()},
    }
    return table


def with_units(table: pd.DataFrame, spec: TableSpec) -> pd.DataFrame:
    """A table of the campaign, with units and meanings as its specification has them."""
    known = {column.name: column for column in spec.columns if column.name in table.columns}
    table.attrs = {
        "name": spec.name,
        "description": spec.meaning,
        "units": {name: column.unit for name, column in known.items()},
        "descriptions": {name: column.meaning for name, column in known.items()},
    }
    return table
