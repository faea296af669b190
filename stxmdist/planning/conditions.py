"""The condition columns of the sample sheet, as they stand before every row of the particle table."""

from typing import Any

from stxmdist.campaign.scan import COLUMNS
from stxmdist.planning.survey import Survey

LEFT_OUT = ("exclude", "reason")
"""Excluded scans have no particles."""


def conditions_of(survey: Survey, scan_id: str) -> dict[str, Any]:
    """Column name to value, in the order of the sheet; the file as seen from the sheet's folder."""
    scan = survey.scans[scan_id]
    row = {name: getattr(scan, name) for name in COLUMNS if name not in LEFT_OUT}
    folder = survey.campaign.sheet_path.parent
    cell = scan.file.with_name(scan.cell)
    row["file"] = cell.relative_to(folder).as_posix() if cell.is_relative_to(folder) else scan.cell
    return row
