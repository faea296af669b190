"""Columns of a campaign's tables as arrays and as records, with one rule for what is missing: NaN, or no text."""

from dataclasses import fields
from typing import TypeVar, get_type_hints

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, Text

RowT = TypeVar("RowT")


def number(value: object) -> float:
    """A float; NaN for what is missing (JSON has no NaN) or is no number."""
    if not isinstance(value, str | int | float | np.number):
        return float("nan")
    try:
        return float(value)
    except ValueError:
        return float("nan")


def text_of(value: object, unknown: str = "") -> str:
    """A word; ``unknown`` for what is missing."""
    return unknown if value is None or value != value or value == "" else str(value)


def column(table: pd.DataFrame, name: str) -> F64:
    """A column (ROW,) of a table as floats; NaN where it is missing or the table lacks it."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return np.asarray(pd.to_numeric(table[name], errors="coerce").astype("Float64").to_numpy(float, na_value=np.nan))


def words(table: pd.DataFrame, name: str) -> Text:
    """A column (ROW,) of a table as text; empty where it is missing."""
    if name not in table.columns:
        return np.full(len(table), "")
    return np.array([text_of(item) for item in table[name]], dtype=np.str_)


def rows_of(kind: type[RowT], table: pd.DataFrame) -> list[RowT]:
    """The rows of a table as records, whose fields are floats, texts or truth values (False where missing)."""
    hints = get_type_hints(kind)
    columns: list[list[object]] = []
    for one in (field.name for field in fields(kind)):  # type: ignore[arg-type]
        if hints[one] is str:
            columns.append(list(map(str, words(table, one))))
        elif hints[one] is bool:
            columns.append([bool(value == 1.0) for value in column(table, one)])
        else:
            columns.append(list(map(float, column(table, one))))
    return [kind(*values) for values in zip(*columns, strict=True)]
