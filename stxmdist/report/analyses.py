"""T5 and on: the table of every analysis of the campaign, as its entry describes it."""

from collections.abc import Sequence

import pandas as pd

from stxmdist.heterogeneity.analyses.table import ANALYSES, AnalysisEntry
from stxmdist.planning.columns import text_of
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import Sheet, figure_of, plain

FIRST = ("calibration", "transport", "closure")
"""Analyses whose tables come before the others: T5, T6 and T7"""
FIRST_NUMBER = 5
MOST_ROWS = 60
"""Longer tables are cut on the page; the CSV beside has all of it"""


def analyses(evidence: Evidence) -> Sequence[Sheet]:
    """One table for each analysis."""
    order = [name for name in FIRST if name in ANALYSES] + [name for name in ANALYSES if name not in FIRST]
    return [
        _sheet(f"T{FIRST_NUMBER + place}", name, ANALYSES[name], evidence.table(name))
        for place, name in enumerate(order)
    ]


def _sheet(number: str, name: str, entry: AnalysisEntry, table: pd.DataFrame) -> Sheet:
    """The first rows of a table, without columns in which nothing is known."""
    present = [column for column in entry.columns if column.name in table.columns]
    shown = [column for column in present if table[column.name].notna().any() and (table[column.name] != "").any()]
    numeric = tuple(place for place, column in enumerate(shown) if column.dtype in ("float64", "int64"))
    cut = f" {len(table) - MOST_ROWS} more rows stand in the file." if len(table) > MOST_ROWS else ""
    return Sheet(
        f"{number}-{name}",
        name.replace("_", " ").capitalize(),
        f"{entry.meaning[:1].upper()}{entry.meaning[1:]}. Method: {entry.source}.{cut}",
        tuple(_heading(column.name, column.unit) for column in shown),
        tuple(
            tuple(_cell(column.dtype, value) for column, value in zip(shown, row, strict=True))
            for row in table[[column.name for column in shown]].head(MOST_ROWS).itertuples(index=False)
        ),
        numeric,
        (name,) if len(table) else (),
        "There is nothing to be said: see what was left out.",
    )


def _cell(dtype: str, value: object) -> str:
    """A number to three digits, one that counts or names in full, and words as they are."""
    if dtype == "int64":
        return plain(value)
    return figure_of(value) if dtype == "float64" else text_of(value)


def _heading(name: str, unit: str) -> str:
    """A column's name in words, with its unit where the name does not say it."""
    said = name.replace("_", " ")
    return said if unit in ("", "1") or unit in name.split("_") else f"{said} ({unit})"
