"""Tables as CSV, in which nothing is a formula: a spreadsheet computes text that begins like one when it is opened.

Source: OWASP, CSV Injection: such text gets an apostrophe before it, with which a spreadsheet shows it as text.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Of what a spreadsheet takes for a formula; numbers are no text and stay as they are"""


def csv_bytes(table: "pd.DataFrame", header: bool = True, float_format: str | None = None) -> bytes:
    """A table without its index as CSV: empty cells where nothing is known, floats with all digits unless formatted."""
    text: str = without_formulas(table).to_csv(
        index=False, header=header, lineterminator="\n", float_format=float_format
    )
    return text.encode()


def without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with an apostrophe before text, in cells and in names of columns, that begins as formulas do."""
    made = table.rename(columns=_as_text).copy(deep=False)
    for place, kind in enumerate(made.dtypes):
        if kind.kind == "O" or str(kind) in ("string", "str", "category"):
            column = made.iloc[:, place]
            if any(isinstance(value, str) and value.startswith(BEGINNINGS) for value in column):
                made.isetitem(place, [_as_text(value) for value in column])
    return made


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(BEGINNINGS) else value
