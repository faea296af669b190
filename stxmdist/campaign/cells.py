"""One row of the sample sheet, cell by cell: the scan it describes, or everything that is wrong with it."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from stxmdist.campaign.problems import Problem, did_you_mean, nearest, one_of
from stxmdist.campaign.scan import (
    CHEMISTRIES,
    DIRECTIONS,
    IMAGES_ONLY,
    MODALITIES,
    ROI_RULES,
    SAMPLE_GEOMETRIES,
    Row,
    Scan,
    is_option,
)
from stxmdist.tiled.address import is_address

TRUE_WORDS = ("true", "yes", "y", "1", "x")
FALSE_WORDS = ("", "false", "no", "n", "0")

FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What every file system takes as a folder name, and no shell needs to quote."""

# Coulometry counts side reactions too, so it may leave the interval a little; beyond this it is a percentage or a slip.
NUMBER_RANGES: Mapping[str, tuple[float, float, str]] = {
    "cycle": (0.0, math.inf, "a cycle number, 0 for pristine"),
    "c_rate": (0.0, math.inf, "a rate in units of C, for example 0.1 for C/10; the sign belongs into `direction`"),
    "soc_nominal": (0.0, 1.0, "a fraction from 0 (discharged) to 1 (charged)"),
    "soc_coulometric": (-0.2, 1.2, "a fraction from 0 (discharged) to 1 (charged)"),
    "time_h": (-math.inf, math.inf, "hours since any moment that all scans of a region share"),
    "polarisation_deg": (-360.0, 360.0, "an angle in degrees from the horizontal"),
}

Complaint = Callable[..., None]


def scan_of(row: Row, sheet: Path, campaign_chemistry: str) -> tuple[Scan | None, list[Problem]]:
    """The scan that a row describes, or every mistake in the row."""
    problems: list[Problem] = []
    cells = row.cells

    def wrong(column: str, problem: str, wanted: str, mend: str, got: str | None = None) -> None:
        where = ", ".join(part for part in (row.scan_id, column) if part)
        said = repr(cells[column]) if got is None else got
        problems.append(Problem(sheet, row.line, where, problem, said, wanted, mend))

    def word(column: str, known: tuple[str, ...]) -> str | None:
        if cells[column] and cells[column] not in known:
            mend = did_you_mean(cells[column], known, "Choose one of those, or leave the cell empty")
            wrong(column, f"there is no {column} of this name", one_of(known), mend)
            return None
        return cells[column] or None

    if "" in cells:
        wrong(
            "",
            "the row has more cells than there are columns",
            "as many cells as columns",
            "Quote cells that hold commas",
            cells[""],
        )
    excluded = _exclusion(cells, wrong)
    if not FOLDER_NAME.fullmatch(cells["scan_id"]):
        wrong(
            "scan_id",
            "this cannot name a folder",
            "1 to 100 letters, digits, points, dashes or underscores",
            "Rename the scan",
        )
    if not cells["modality"]:
        wrong("modality", "every scan needs a modality", one_of(MODALITIES), "Fill the cell", "an empty cell")
    chemistry = word("chemistry", CHEMISTRIES) or campaign_chemistry
    if not cells["electrode_id"] and not excluded and chemistry != IMAGES_ONLY:
        wrong(
            "electrode_id",
            "every scan needs an electrode, the experimental unit of the statistics",
            "its name",
            "Fill the cell",
            "an empty cell",
        )
    modality = word("modality", MODALITIES)
    direction = word("direction", DIRECTIONS)
    roi_rule = word("roi_rule", ROI_RULES)
    sample_geometry = word("sample_geometry", SAMPLE_GEOMETRIES)
    numbers = {column: _number(cells, column, wrong) for column in NUMBER_RANGES}
    address = cells["file"] if is_address(cells["file"]) else None
    files, part = ((), None) if address else files_and_part(sheet.parent, cells["file"])
    for file in files:
        _check_file(cells, file, excluded, wrong)
    if problems:
        return None, problems
    scan = Scan(
        scan_id=cells["scan_id"],
        files=tuple(file.absolute() for file in files),
        modality=modality,  # type: ignore[arg-type]
        electrode_id=cells["electrode_id"],
        cell_id=cells["cell_id"] or None,
        beamtime_id=cells["beamtime_id"] or None,
        region_id=cells["region_id"] or None,
        direction=direction,  # type: ignore[arg-type]
        chemistry=chemistry,
        pair_id=cells["pair_id"] or None,
        roi_rule=roi_rule,  # type: ignore[arg-type]
        sample_geometry=sample_geometry,  # type: ignore[arg-type]
        exclude=excluded,
        reason=cells["reason"] or None,
        file_region=part,
        address=address,
        line=row.line,
        options={name: text for name, text in cells.items() if is_option(name) and text},
        **numbers,
    )
    return scan, []


def files_and_part(folder: Path, cell: str) -> tuple[tuple[Path, ...], str | None]:
    """The files that a cell names, and the region or channel of all of them that stands behind.

    ``scan.hdr#region1``, ``a.hdr;b.hdr;c.hdr#PMT``; names of files may hold both marks.
    """
    if (folder / cell).exists():
        return (folder / cell,), None
    names, mark, part = cell.rpartition("#")
    last = cell.rpartition(";")[2].strip()
    if not mark or not part or ";" in part or (folder / last).exists():
        names, part = cell, ""
    files = (folder / names,) if (folder / names).exists() else tuple(folder / name for name in _split(names))
    return files, part or None


def _split(names: str) -> tuple[str, ...]:
    """The names between semicolons; one that is empty if there is none."""
    return tuple(name for part in names.split(";") if (name := part.strip())) or ("",)


def _exclusion(cells: Mapping[str, str], wrong: Complaint) -> bool:
    """Whether the row is left out; leaving out without a reason is a mistake, for the reason is published."""
    said = cells["exclude"].casefold()
    if said not in TRUE_WORDS and said not in FALSE_WORDS:
        wrong("exclude", "this is neither true nor false", "true or false", "Write true or false")
        return False
    excluded = said in TRUE_WORDS
    if excluded and not cells["reason"]:
        wrong(
            "reason",
            "the scan is excluded without a reason",
            "why it is left out",
            "Say why: it is published with the statistics",
            "an empty cell",
        )
    return excluded


def _number(cells: Mapping[str, str], column: str, wrong: Complaint) -> float | None:
    """The number in a cell, None where it is empty."""
    text = cells[column]
    if not text:
        return None
    low, high, wanted = NUMBER_RANGES[column]
    try:
        number = float(text)
    except ValueError:
        rate = re.fullmatch(r"(?i)([0-9.]*)\s*C\s*(?:/\s*([0-9.]+))?", text)
        if column == "c_rate" and rate:
            mend = f"Write {float(rate[1] or 1) / float(rate[2] or 1):g}"
        elif re.fullmatch(r"[+-]?\d+,\d+", text):
            mend = f"Write {text.replace(',', '.')}, with a decimal point"
        elif text.endswith("%"):
            mend = "Write it as a fraction, for example 0.5 for 50 %"
        else:
            mend = "Write a number, or leave the cell empty where it is not known"
        wrong(column, "this is not a number", wanted, mend)
        return None
    if not math.isfinite(number):
        wrong(column, "this is not a finite number", wanted, "Leave the cell empty where it is not known")
        return None
    if not low <= number <= high:
        percent = column.startswith("soc") and 1 < number <= 100
        wrong(
            column,
            "this number is out of range",
            wanted,
            f"Write {number / 100:g}" if percent else "Correct the number",
        )
        return None
    return number


def _check_file(cells: Mapping[str, str], file: Path, excluded: bool, wrong: Complaint) -> None:
    """The beamline file of a row must be there, unless the row is left out."""
    if not cells["file"]:
        if not excluded:
            wrong(
                "file",
                "every scan needs a file",
                "a beamline file, relative to the sheet's folder",
                "Fill the cell",
                "an empty cell",
            )
        return
    if excluded or file.is_file():
        return
    near = None
    if file.parent.is_dir() and not file.exists():
        near = nearest(file.name, [other.name for other in sorted(file.parent.iterdir()) if other.is_file()])
    if file.is_dir():
        got = f"a folder, {file}"
    elif file.exists():
        got = f"no regular file, {file}"
    elif file.parent.is_dir():
        got = f"no such file, {file}"
    else:
        got = f"no such folder, {file.parent}"
    mend = (
        f"Did you mean {near!r}"
        if near
        else "Correct the path, which is relative to the sheet's folder, or exclude the scan"
    )
    wrong("file", "the beamline file cannot be found", "a file", mend, got)
