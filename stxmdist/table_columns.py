"""What a column of a table is, said where the numbers are made: name, unit, meaning, type."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TableColumn:
    """One column of a table; a value that is not known is null."""

    name: str
    unit: str
    """``1`` for pure numbers, empty for names and codes"""
    meaning: str
    dtype: Literal["float64", "int64", "string", "bool"] = "float64"
