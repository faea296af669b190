"""Reading spectra from text files of two columns, which all programs of the field write."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64, Index
from stxmdist.errors import InputError

_COMMENT = ("*", "#", "%", ";", "!")
_MOST_SD = 0.25
"""Largest standard deviation as a share of the spectrum's height; a column with larger values is something else"""
# A comma or semicolon that has a blank before it and none after it leaves an empty field, which is refused.
_SEPARATOR = re.compile(r"\s*[,;]\s+|[,;]|\s+")
_ENERGY_NAMES = ("e", "energy", "energy_ev", "ev")
VALUE_NAMES = ("xmu", "norm", "mu", "od", "flat")
"""Athena's names of the columns that may be the spectrum; the first of these that a file has is taken"""


def read_spectrum(path: str | Path) -> tuple[F64, F64]:
    """Photon energy and value, both (ENERGY,) float64, from a file of two columns, or of several with their names.

    Energies are sorted in ascending order, and values at the same energy are averaged. The formats are ``.xas`` and
    Mantis' ``.csv`` (comments start with ``*``), ``.xsp``, ``.t``, ``.txt`` and similar: comments and headings are
    skipped, columns are separated by blanks, tabs, commas or semicolons. From Athena's ``.nor`` and ``.xmu`` one column
    is taken; `read_column` also returns its name.

    Raises
    ------
    InputError
        for a file that is missing, empty, not text, or has a line that is not two numbers, with the line's number
    """
    energy, value, _ = read_column(path)
    return energy, value


def read_column(path: str | Path) -> tuple[F64, F64, str]:
    """The same with the name of the column that was taken, which is empty for two columns without names.

    From more than two columns the first of `VALUE_NAMES` is taken. The names are in the last line before the numbers,
    and the first of them is the energy's.

    Raises
    ------
    InputError
        as :func:`read_spectrum`, and for several columns without names
    """
    table = _table_of(Path(path), with_error=False)
    return table.energy_ev, table.mean, table.name


def read_spectrum_with_error(path: str | Path) -> tuple[F64, F64, F64 | None]:
    """The same with the standard deviation of each value, (ENERGY,) float64; None if the file does not contain it.

    It is the third of three columns without names. Otherwise it is estimated from the differences of repeated energies,
    pooled over the spectrum. Means over repeated energies have correspondingly smaller errors.

    Raises
    ------
    InputError
        as ``read_spectrum``, and for a third column that some lines lack, or that is not a standard deviation
    """
    table = _table_of(Path(path), with_error=True)
    if table.sd is not None:
        # A third column may also be a second spectrum or the incident beam.
        if (table.sd < 0.0).any() or np.median(table.sd) > _MOST_SD * np.ptp(table.mean):
            raise InputError(
                where=path,
                problem="the third column is not a standard deviation of the second",
                got=f"values from {table.sd.min():g} to {table.sd.max():g}",
                wanted=f"no negative values, most of them below {_MOST_SD * np.ptp(table.mean):.3g}",
                mend="Delete the column, or give the standard deviation of the second one",
            )
        of_means = np.sqrt(np.bincount(table.place, weights=table.sd**2)) / table.repeats
        return table.energy_ev, table.mean, of_means
    freedom = int((table.repeats - 1).sum())
    if not freedom:
        return table.energy_ev, table.mean, None
    pooled = np.sqrt(np.sum((table.value - table.mean[table.place]) ** 2) / freedom)
    return table.energy_ev, table.mean, np.asarray(pooled / np.sqrt(table.repeats), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Table:
    """The lines of a file, and their energies."""

    energy_ev: F64
    """(ENERGY,) ascending, without repetition"""
    place: Index
    """(LINE,) index of the energy of each line"""
    value: F64
    """(LINE,) value of each line"""
    sd: F64 | None
    """(LINE,) standard deviation of each value, if the file has it"""
    name: str
    """Name of the column of values; empty if columns have no names"""

    @property
    def repeats(self) -> Index:
        """(ENERGY,) number of lines of each energy."""
        return np.bincount(self.place)

    @property
    def mean(self) -> F64:
        """(ENERGY,) mean value of each energy."""
        return np.asarray(np.bincount(self.place, weights=self.value) / self.repeats, dtype=np.float64)


def _table_of(path: Path, *, with_error: bool) -> _Table:
    """The lines of a file; ``with_error`` takes a third column without a name for the standard deviation."""
    rows: list[list[float]] = []
    heading: list[str] = []
    columns, value_at, sd_at = 2, 1, 0
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        stripped = line.strip()
        values = _numbers(stripped)
        if not stripped or stripped.startswith(_COMMENT) or (not rows and _is_heading(stripped)):
            heading = _words(stripped) or heading
            continue
        if values is not None and not rows and len(values) > 2:
            columns, value_at = len(values), _place(heading, len(values))
            if with_error and columns == 3 and not value_at:
                value_at, sd_at = 1, 2
        if values is None or len(values) != columns or not np.isfinite(values).all() or not value_at:
            raise InputError(
                where=f"{path}, line {number}",
                problem="this line of the spectrum cannot be read",
                got=repr(stripped[:80]),
                wanted=_wanted(columns, with_sd=bool(sd_at)),
                mend="Correct or delete the line, or keep only two columns",
            )
        rows.append(values)
    if len(rows) < 2:
        raise InputError(
            where=path,
            problem="there is no spectrum in the file",
            got=f"{len(rows)} line(s) of two numbers",
            wanted="at least two: photon energy in eV and a value",
            mend="Give a text file of two columns",
        )
    table = np.array(rows, dtype=np.float64)
    energy, place = np.unique(table[:, 0], return_inverse=True)
    if energy.size < 2:
        raise InputError(
            where=path,
            problem="the spectrum has one energy only",
            got=f"{energy[0]:g} in every line",
            wanted="at least two energies",
            mend="Check that the first column is the photon energy",
        )
    name = heading[value_at] if len(heading) == columns else ""
    return _Table(energy, place, table[:, value_at], table[:, sd_at] if sd_at else None, name)


def _wanted(columns: int, *, with_sd: bool) -> str:
    if columns == 2:
        return "two finite numbers: photon energy in eV and a value"
    if with_sd:
        return "three finite numbers: photon energy in eV, a value, and its standard deviation"
    return f"{columns} finite numbers under a line of their names, energy first, one of {VALUE_NAMES}"


def _words(line: str) -> list[str]:
    return [word.lower() for word in _SEPARATOR.split(line.lstrip("".join(_COMMENT))) if word]


def _is_heading(line: str) -> bool:
    """Whether a line is a heading; two words of which one is a number are a damaged line instead."""
    words = _words(line)
    return _numbers(line) is None and not (len(words) == 2 and any(_numbers(word) for word in words))


def _place(names: list[str], columns: int) -> int:
    """Index of the column that is the spectrum; 0 if the names of the columns do not tell it."""
    if len(names) != columns or names[0] not in _ENERGY_NAMES:
        return 0
    return next((names.index(name) for name in VALUE_NAMES if name in names), 0)


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            where=path,
            problem="the spectrum cannot be opened",
            got=error.strerror or type(error).__name__,
            wanted="a readable text file",
            mend="Check the name in the campaign file",
        ) from error
    if b"\x00" in content[:65536]:
        raise InputError(
            where=path,
            problem="the spectrum is not a text file",
            got="binary content",
            wanted="a text file of two columns",
            mend="Export the spectrum as text",
        )
    return content.decode("utf-8-sig", errors="replace")


def _numbers(line: str) -> list[float] | None:
    # float() accepts digits with underscores, which no program writes.
    if "_" in line:
        return None
    try:
        return [float(word) for word in _SEPARATOR.split(line.strip().rstrip(",;"))]
    except ValueError:
        return None
