"""Leave a scan out of a campaign, or take it in again: two cells of the sample sheet change, every other byte stays."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from storage.atomic import refusal, replacing
from stxmdist.errors import InputError

BOM = "\ufeff"
LONGEST_REASON = 300
FORMULA_SIGNS = "=+-@"
"""A spreadsheet program computes a cell that begins so"""

_writing = Lock()


def state_of_sheet(path: Path) -> str:
    """A few letters that change with any byte of the sheet; empty where it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def exclude(path: Path, scan_id: str, reason: str, *, seen: str) -> None:
    """Leave a scan out, and say in the sheet why.

    Parameters
    ----------
    path
        sample sheet
    reason
        published with the statistics; white space in it becomes blanks
    seen
        `state_of_sheet` when the decision was made

    Raises
    ------
    InputError
        when the sheet has changed since then, has no such scan or two of them, or cannot be edited safely; and for a
        reason that is empty, too long, or one that a spreadsheet program would compute.
    StoreError
        when the file system refuses.
    """
    said = " ".join(reason.split())
    if not said or len(said) > LONGEST_REASON or said[0] in FORMULA_SIGNS or not said.isprintable():
        raise InputError(
            where="reason",
            problem="the scan cannot be left out for this reason",
            got=repr(said[:60]) if said else "nothing",
            wanted=f"up to {LONGEST_REASON} letters that do not begin with {' '.join(FORMULA_SIGNS)}",
            mend="Say in a few words why: it is published with the statistics",
        )
    _edit(path, scan_id, {"exclude": "true", "reason": said}, seen)


def include(path: Path, scan_id: str, *, seen: str) -> None:
    """Take a scan in again that was left out; its reason is removed. Arguments and errors as those of `exclude`."""
    _edit(path, scan_id, {"exclude": "", "reason": ""}, seen)


def _edit(path: Path, scan_id: str, values: dict[str, str], seen: str) -> None:
    path = path.resolve()
    with _writing:
        data = path.read_bytes()
        if sha256(data).hexdigest()[:16] != seen:
            raise _refusal(
                path, "the sheet has changed meanwhile", "other contents", "those that were looked at", "Look again"
            )
        try:
            changed = with_cells(data.decode("utf-8"), scan_id, values, path).encode("utf-8")
        except UnicodeDecodeError as error:
            raise _refusal(
                path, "the sheet is not text in UTF-8", str(error), "UTF-8", "Save it as CSV UTF-8"
            ) from None
        try:
            mode = path.stat().st_mode & 0o7777
            with replacing(path) as partial:
                partial.write_bytes(changed)
                os.chmod(partial, mode)
        except OSError as error:
            raise refusal(path, error, len(changed)) from error


@dataclass(frozen=True)
class _Cell:
    """Where a cell stands in the text, quotation marks among it."""

    start: int
    end: int


def with_cells(text: str, scan_id: str, values: dict[str, str], path: Path) -> str:
    """The text of a sheet with some cells of one scan's row replaced; columns that are absent are added behind.

    Raises
    ------
    InputError
        where the row is not there once, or the result would not read as the sheet with these cells alone changed.
    """
    before = list(csv.reader(io.StringIO(text.removeprefix(BOM), newline="")))
    rows = list(_rows(text))
    header = next((i for i, row in enumerate(before) if any(map(str.strip, row))), None)
    names = [] if header is None else [cell.strip() for cell in before[header]]
    if len(before) != len(rows) or header is None or "scan_id" not in names:
        raise _refusal(path, "the sheet cannot be edited", "no column scan_id", "a sample sheet", "Edit it by hand")
    at = names.index("scan_id")
    found = [i for i, row in enumerate(before) if i > header and len(row) > at and row[at].strip() == scan_id]
    if len(found) != 1:
        got = "no such row" if not found else f"{len(found)} rows"
        raise _refusal(path, f"the sheet does not say once what scan {scan_id!r} is", got, "one row", "Look again")
    wanted = [list(row) for row in before]
    edits: list[tuple[int, int, str]] = []
    absent = [name for name in values if name not in names]
    if absent:
        if any(cell.strip() for row in before for cell in row[len(names) :]):
            raise _refusal(
                path, "a row has more cells than there are columns", "too many cells", "one each", "Remove them"
            )
        edits.append((rows[header][-1].end, rows[header][-1].end, "".join(f",{name}" for name in absent)))
        wanted[header] += absent
    row, line = found[0], wanted[found[0]]
    places = {name: names.index(name) if name in names else len(names) + absent.index(name) for name in values}
    behind, replaced = "", []
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        if place < len(rows[row]):
            # Written as the name of the column is: a program that quotes all cells has quoted that too.
            title = rows[header][place] if name in names else None
            quoted = title is not None and text[title.start : title.end][:1] == '"'
            cell = rows[row][place]
            replaced.append((cell.start, cell.end, _written(values[name], quoted=quoted)))
        else:
            behind += "," * (place - len(line) + 1) + _written(values[name], quoted=False)
            line += [""] * (place - len(line) + 1)
        line[place] = values[name]
    edits += [(rows[row][-1].end, rows[row][-1].end, behind), *replaced]
    # From the end to the beginning, so that places before an edit stay where they are.
    changed = text
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        changed = changed[:start] + new + changed[end:]
    after = list(csv.reader(io.StringIO(changed.removeprefix(BOM), newline="")))
    if after != wanted:
        raise _refusal(path, "the sheet cannot be edited safely", "unusual quotation marks", "CSV", "Edit it by hand")
    return changed


def _rows(text: str) -> Iterator[Sequence[_Cell]]:
    """Cells of each line, in the reading of `csv.reader`: commas, double quotation marks, any end of lines."""
    i = len(BOM) if text.startswith(BOM) else 0
    start, cells, quoted = i, list[_Cell](), False
    while i < len(text):
        letter = text[i]
        if quoted:
            quoted = letter != '"'
        elif letter == '"' and text[start] == '"':
            # At the beginning of a cell, or the second of two in one that is quoted: they stand for one.
            quoted = True
        elif letter == ",":
            cells.append(_Cell(start, i))
            start = i + 1
        elif letter in "\r\n":
            yield [*cells, _Cell(start, i)]
            i += text.startswith("\r\n", i)
            start, cells = i + 1, []
        i += 1
    if cells or start < len(text):
        yield [*cells, _Cell(start, len(text))]


def _written(value: str, *, quoted: bool) -> str:
    needed = any(letter in value for letter in ',"\r\n')
    return '"' + value.replace('"', '""') + '"' if quoted or needed else value


def _refusal(path: Path, problem: str, got: str, wanted: str, mend: str) -> InputError:
    return InputError(where=path, problem=problem, got=got, wanted=wanted, mend=mend)
