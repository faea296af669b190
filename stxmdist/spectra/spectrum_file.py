"""Spectra in text files of two columns, as every program of the field writes them, or of three with an error."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stxmdist.errors import InputError

Floats = NDArray[np.float64]

_COMMENT = ("*", "#", "%", ";", "!")
_MOST_SD = 0.25
"""Share of a spectrum's height that a standard deviation may be: with more, it is none, or there is no spectrum"""
_SEPARATOR = re.compile(r"[,;\s]+")


def read_spectrum(path: str | Path) -> tuple[Floats, Floats]:
    """Photon energy and value, both (ENERGY,) float64, from a file of two columns.

    Energies ascend and repeated ones are averaged. Reads ``.xas`` and Mantis' ``.csv`` (comments start with ``*``),
    ``.xsp``, ``.t``, ``.txt`` and the like: comments and headings are passed over, columns are parted by blanks, tabs,
    commas or semicolons.

    Raises
    ------
    InputError
        for a file that is missing, empty, not text, or has a line that is not two numbers; the line is named
    """
    energy, inverse, table = _table_of(Path(path), most_columns=2)
    return energy, np.asarray(np.bincount(inverse, weights=table[:, 1]) / np.bincount(inverse), dtype=np.float64)


def read_spectrum_with_error(path: str | Path) -> tuple[Floats, Floats, Floats | None]:
    """The same with the standard deviation of each value, (ENERGY,) float64; None where the file does not tell it.

    It is the third column where there is one, else what repeated energies differ by, pooled over the spectrum. Means
    of repeated energies have that much smaller errors.

    Raises
    ------
    InputError
        as ``read_spectrum``, and for a third column on some lines only, or that is no standard deviation
    """
    path = Path(path)
    energy, inverse, table = _table_of(path, most_columns=3)
    repeats = np.bincount(inverse)
    value = np.bincount(inverse, weights=table[:, 1]) / repeats
    if table.shape[1] == 3:
        # A second spectrum or an incident beam stands in third columns, too.
        if (table[:, 2] < 0.0).any() or np.median(table[:, 2]) > _MOST_SD * np.ptp(value):
            raise InputError(
                where=path,
                problem="the third column is not a standard deviation of the second",
                got=f"values from {table[:, 2].min():g} to {table[:, 2].max():g}",
                wanted=f"no negative values, most of them below {_MOST_SD * np.ptp(value):.3g}",
                mend="Delete the column, or give the standard deviation of the second one",
            )
        return energy, value, np.sqrt(np.bincount(inverse, weights=table[:, 2] ** 2)) / repeats
    freedom = int((repeats - 1).sum())
    if not freedom:
        return energy, value, None
    pooled = np.sqrt(np.sum((table[:, 1] - value[inverse]) ** 2) / freedom)
    return energy, value, np.asarray(pooled / np.sqrt(repeats), dtype=np.float64)


def _table_of(path: Path, most_columns: int) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Ascending energies, which of them each line has, and the lines (LINE, COLUMN)."""
    rows: list[list[float]] = []
    columns = 2
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith(_COMMENT):
            continue
        values = _numbers(stripped)
        if values is None and not rows:
            continue  # a heading
        if values is not None and not rows:
            columns = min(max(len(values), 2), most_columns)
        if values is None or len(values) != columns or not np.isfinite(values).all():
            raise InputError(
                where=f"{path}, line {number}",
                problem="this line of the spectrum cannot be read",
                got=repr(stripped[:80]),
                wanted=("two" if columns == 2 else "three")
                + " finite numbers: photon energy in eV and a value"
                + ("" if columns == 2 else ", and its standard deviation"),
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
    energy, inverse = np.unique(table[:, 0], return_inverse=True)
    if energy.size < 2:
        raise InputError(
            where=path,
            problem="the spectrum has one energy only",
            got=f"{energy[0]:g} in every line",
            wanted="at least two energies",
            mend="Check that the first column is the photon energy",
        )
    return energy, inverse, table


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
    try:
        return [float(word) for word in _SEPARATOR.split(line) if word]
    except ValueError:
        return None
