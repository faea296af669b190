"""The sample sheet: one row per scan, and every mistake in it with its row."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from stxmdist.campaign.cells import scan_of
from stxmdist.campaign.problems import Problem, nearest, one_of
from stxmdist.campaign.scan import COLUMNS, NEEDED, Row, Scan, is_option


@dataclass(frozen=True)
class Sheet:
    """A sample sheet as read: what can be used, and what is wrong with the rest."""

    path: Path
    scans: tuple[Scan, ...]
    """Rows without a mistake, excluded ones among them, in the order of the sheet."""
    rejected: tuple[tuple[Row, Problem], ...]
    """Rows with a mistake, once per mistake."""
    fatal: tuple[Problem, ...]
    """Mistakes after which no row can be read: no such file, no text, wrong columns."""
    warnings: tuple[Problem, ...]
    option_columns: Mapping[str, int] = field(default_factory=dict)
    """Columns that hold options of the stages (``fit.background``) to the line that names them."""


def read_sheet(path: Path, *, chemistry: str = "LFP") -> Sheet:
    """Read a sample sheet and find every mistake in it.

    Parameters
    ----------
    path
        comma-separated text in UTF-8, first row the column names; files in it are relative to its folder.
    chemistry
        what an empty cell of the column ``chemistry`` means.
    """
    path = path.absolute()
    rows, options, fatal = _rows_of(path)
    if fatal:
        return Sheet(path, (), (), tuple(fatal), ())
    scans: list[Scan] = []
    rejected: list[tuple[Row, Problem]] = []
    repeated = _repeated_ids(rows)
    for row in rows:
        scan, problems = scan_of(row, path, chemistry)
        if row.scan_id.casefold() in repeated:
            problems.append(_duplicate(path, row, repeated[row.scan_id.casefold()]))
        if scan is None or problems:
            rejected.extend((row, problem) for problem in problems)
        else:
            scans.append(scan)
    warnings = [*_pair_warnings(path, scans, rejected), *_same_file_warnings(path, scans)]
    return Sheet(path, tuple(scans), tuple(rejected), (), tuple(warnings), options)


_Rows: TypeAlias = tuple[list[Row], dict[str, int], list[Problem]]


def _rows_of(path: Path) -> _Rows:
    """The rows of a sheet and its columns of options with their line, or why there are none."""

    def none(what: str, got: str, wanted: str, mend: str, line: int | None = None) -> _Rows:
        return [], {}, [Problem(path, line, "", what, got, wanted, mend)]

    wanted = "comma-separated text with the columns " + ", ".join(NEEDED)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        near = nearest(path.name, [f.name for f in sorted(path.parent.glob("*.csv"))])
        mend = (
            f"Did you mean {near!r}"
            if near
            else "Correct `samples` in the campaign file, or write one with `stxmdist init`"
        )
        return none("the sample sheet cannot be read", what, "a sample sheet", mend)
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        got = "a spreadsheet program's own file" if data.startswith((b"PK", b"\xd0\xcf")) else "binary data"
        return none("the sample sheet is not text", got, wanted, "Save it as CSV UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        got = f"byte 0x{data[error.start]:02x} at offset {error.start}"
        return none("the sample sheet is not text in UTF-8", got, wanted, "Save it as CSV UTF-8", line)
    if not text.strip():
        return none(
            "the sample sheet is empty",
            f"{len(data)} bytes",
            wanted,
            "Fill it, or write one with `stxmdist init`",
        )
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        return none("a row cannot be split into cells", str(error), wanted, "Mend the quotation marks", reader.line_num)
    (header_line, header), *body = lines
    header = [cell.strip() for cell in header]
    problems = _header_problems(path, header_line, header)
    if problems:
        return [], {}, problems
    if not body:
        return none(
            "the sample sheet has no scans",
            "only column names",
            "one row per scan",
            "Add a row per scan",
            header_line,
        )
    absent = dict.fromkeys((name for name in COLUMNS if name not in header), "")
    rows = []
    for line, cells in body:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            # Kept under a name that is no column, so that the row is rejected and the others are not.
            cells = [*cells[: len(header)], f"{len(cells)} cells"]
            rows.append(Row(line, absent | dict(zip([*header, ""], (cell.strip() for cell in cells), strict=True))))
            continue
        padded = [*cells, *[""] * len(header)][: len(header)]
        rows.append(Row(line, absent | dict(zip(header, (cell.strip() for cell in padded), strict=True))))
    return rows, {name: header_line for name in header if is_option(name)}, []


def _header_problems(path: Path, line: int, header: list[str]) -> list[Problem]:
    """Columns that are unknown, missing or there twice."""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        mark = "semicolons" if ";" in header[0] else "tabs"
        return [
            Problem(
                path,
                line,
                "",
                "the cells are not separated by commas",
                mark,
                "commas",
                "Save the sheet with commas and decimal points",
            )
        ]
    problems = []
    missing = [name for name in COLUMNS if name not in header]
    for name in dict.fromkeys(header):
        if header.count(name) > 1 and name:
            problems.append(
                Problem(
                    path,
                    line,
                    name,
                    "this column is there more than once",
                    f"{header.count(name)} times",
                    "once",
                    "Remove one",
                )
            )
        if name and name not in COLUMNS and not is_option(name):
            near = nearest(name, missing) or nearest(name, COLUMNS)
            otherwise = "Remove it; options of a stage for single scans are written stage.option, as in fit.background"
            mend = f"Did you mean {near!r}" if near else otherwise
            problems.append(
                Problem(
                    path, line, f"column {name!r}", "there is no column of this name", repr(name), one_of(COLUMNS), mend
                )
            )
    if "" in header:
        problems.append(
            Problem(
                path,
                line,
                "",
                "a column has no name",
                "an empty cell",
                one_of(COLUMNS),
                "Remove the column, or name it",
            )
        )
    problems.extend(
        Problem(
            path,
            line,
            name,
            "this column is missing",
            ", ".join(header),
            name,
            "Add the column",
        )
        for name in missing
        if name in NEEDED
    )
    return problems


def _repeated_ids(rows: Iterable[Row]) -> dict[str, list[int]]:
    """Scan ids that name more than one row, with their lines; capitals do not count, as on some file systems."""
    lines: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.scan_id:
            lines[row.scan_id.casefold()].append(row.line)
    return {name: where for name, where in lines.items() if len(where) > 1}


def _duplicate(path: Path, row: Row, lines: list[int]) -> Problem:
    others = ", ".join(str(line) for line in lines if line != row.line)
    return Problem(
        path,
        row.line,
        f"{row.scan_id}, scan_id",
        "another row has the same scan_id",
        f"{row.scan_id!r} on line {others} too",
        "one row per scan_id, capitals not counting",
        "Rename one of them, or remove it",
    )


def _pair_warnings(path: Path, scans: list[Scan], rejected: list[tuple[Row, Problem]]) -> list[Problem]:
    """Pairs that do not join one STXM stack with one ptychography stack."""
    pairs: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        if scan.pair_id and not scan.exclude:
            pairs[scan.pair_id].append(scan)
    # The partner of a rejected row is not lonely by its own fault: that row's mistake says enough.
    halved = {row.cells.get("pair_id") for row, _ in rejected}
    warnings = []
    for pair_id, members in pairs.items():
        modalities = sorted(scan.modality for scan in members)
        if modalities == ["ptychography", "stxm"] or (len(members) == 1 and pair_id in halved):
            continue
        got = " and ".join(f"{scan.scan_id} ({scan.modality})" for scan in members)
        what = "this pair has one scan" if len(members) == 1 else "this pair does not join STXM with ptychography"
        if len(members) > 2:
            what = "this pair has more than two scans"
        warnings.append(
            Problem(
                path,
                members[-1].line,
                f"{members[-1].scan_id}, pair_id",
                what,
                f"{pair_id!r} on {got}",
                "one stxm and one ptychography scan of the same region",
                "Correct pair_id; without it these scans are processed and not registered",
                warning=True,
            )
        )
    return warnings


def _same_file_warnings(path: Path, scans: list[Scan]) -> list[Problem]:
    """A file that stands for two scans of one region would count its particles twice."""
    seen: dict[tuple[tuple[Path, ...], str | None, str | None, str | None], Scan] = {}
    warnings = []
    for scan in scans:
        if scan.exclude:
            continue
        first = seen.setdefault((scan.files, scan.address, scan.file_region, scan.region_id), scan)
        if first is not scan:
            warnings.append(
                Problem(
                    path,
                    scan.line,
                    f"{scan.scan_id}, file",
                    "another scan names the same file and region",
                    f"{scan.address or scan.file.name} for {first.scan_id} (line {first.line}) too",
                    "one row per scan",
                    "Exclude one of them: its particles would count twice",
                    warning=True,
                )
            )
    return warnings
