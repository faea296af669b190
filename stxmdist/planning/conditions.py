"""The condition columns of the sample sheet, as they stand before every row of the particle table."""

from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

from stxmdist.campaign.scan import COLUMNS
from stxmdist.planning.survey import Survey

LEFT_OUT = ("exclude", "reason")
"""Columns that are left out: excluded scans have no particles."""

Condition: TypeAlias = str | float | None
"""A cell of the sample sheet; None where it is empty."""


def conditions_of(survey: Survey, scan_id: str) -> dict[str, Condition]:
    """Column name to value, in the order of the sheet; the file as seen from the sheet's folder."""
    scan = survey.scans[scan_id]
    row: dict[str, Condition] = {name: getattr(scan, name) for name in COLUMNS if name not in LEFT_OUT}
    row["file"] = scan.cell_from(survey.campaign.sheet_path.parent)
    return row


def with_conditions(table: pd.DataFrame, conditions: Mapping[str, Condition]) -> pd.DataFrame:
    """The particle table of a scan with the scan's conditions as its first columns."""
    whole = table.copy()
    for place, (column, value) in enumerate(conditions.items()):
        whole.insert(place, column, value)
    return whole
