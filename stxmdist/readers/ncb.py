"""Stacks of aXis2000: numbers in ``.ncb``, and a text ``.dat`` of the same name that says what they are.

    columns rows scale
    x of the first column, of the last, um
    y of the first row, of the last, um
    how many energies
    the energies in eV
    for each of them: the name of an image, its energy in eV, its dwell time in ms

The numbers are little-endian, x fastest, then y, then energy: int16 that are divided by the scale, or float32 as they
are where the scale is negative. Either of the two files may be given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.axes import ENERGY_TOLERANCE_EV
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.file_errors import header_not_understood, size_of, unreadable
from stxmdist.readers.image_stack import StoredStack, binary_rows, recording_of
from stxmdist.readers.recording import Description, StxmRecording
from stxmdist.readers.stk import MOST_ENERGIES, MOST_PIXELS

MOST_HEADER_BYTES = 16 << 20
_INTEGER, _REAL = np.dtype("<i2"), np.dtype("<f4")


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, int]
    """(Y, X)"""
    scale: float
    y_um: tuple[float, float]
    x_um: tuple[float, float]
    energy_ev: F64
    dwell_ms: F64

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return _REAL if self.scale < 0 else _INTEGER

    @property
    def frame_bytes(self) -> int:
        return self.dtype.itemsize * self.shape[0] * self.shape[1]


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is a header with the numbers beside it, or numbers with such a header beside them."""
    return _pair(path) is not None


def describe(path: Path) -> Description:
    """What the stack holds."""
    return described(path, "ncb", "image stack", {}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a pair of files.

    Raises
    ------
    InputError
        for a header that breaks off, or numbers that are more or fewer than it says.
    """
    pair = _pair(path)
    if pair is None:
        raise header_not_understood(path, "no header with numbers beside it", "a .dat and a .ncb of the same name")
    header_path, data_path = pair
    header = _header(header_path)
    n_bytes = size_of(data_path)
    wanted = header.energy_ev.size * header.frame_bytes
    if n_bytes != wanted:
        raise InputError(
            where=data_path,
            problem="the stack does not have the size that its header says",
            got=f"{n_bytes} bytes",
            wanted=f"{wanted} bytes: {header.energy_ev.size} images of {header.shape[0]} x {header.shape[1]} "
            f"numbers of {header.dtype.itemsize} bytes",
            mend="Bring .dat and .ncb of the same stack together, or copy them again",
        )
    rows = partial(binary_rows, data_path, header.dtype, 0, header.shape)
    stored = StoredStack(
        path=path,
        format="ncb",
        energy_ev=header.energy_ev,
        y_um=np.linspace(*header.y_um, header.shape[0]),
        x_um=np.linspace(*header.x_um, header.shape[1]),
        dwell_ms=header.dwell_ms,
        rows=rows if header.scale < 0 else partial(_scaled, rows, header.scale),
        files=(path, data_path if path == header_path else header_path),
    )
    return (recording_of(stored, choices),)


def _pair(path: Path) -> tuple[Path, Path] | None:
    """Header and numbers, whichever of the two is given."""
    beside = {file.suffix.lower(): file for file in path.parent.glob(f"{_literal(path.stem)}.*") if file != path}
    if ".ncb" in beside and _begins(path):
        return path, beside[".ncb"]
    if ".dat" in beside and path.suffix.lower() == ".ncb" and _begins(beside[".dat"]):
        return beside[".dat"], path
    return None


def _literal(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _begins(path: Path) -> bool:
    """Whether a file begins with two sizes and a scale, and two lines of two numbers."""
    try:
        with path.open("rb") as file:
            lines = file.read(1024).split(b"\n")[:3]
        words = [[float(word) for word in line.split()] for line in lines]
    except (OSError, ValueError):
        return False
    return [len(line) for line in words] == [3, 2, 2]


def _header(path: Path) -> _Header:
    if size_of(path) > MOST_HEADER_BYTES:
        raise header_not_understood(path, f"{size_of(path)} bytes", f"at most {MOST_HEADER_BYTES} bytes")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if not content.endswith(b"\n"):
        raise header_not_understood(path, "a last line without an end", "whole lines")
    lines = [line for line in content.decode("latin-1").splitlines() if line.strip()]
    nx, ny, scale = _numbers(path, lines, 0, 3)
    x_um, y_um = _numbers(path, lines, 1, 2), _numbers(path, lines, 2, 2)
    (n_energies,) = _numbers(path, lines, 3, 1)
    whole = all(size == int(size) and 0 < size <= MOST_PIXELS for size in (nx, ny))
    if not whole or n_energies != int(n_energies) or not 0 < n_energies <= MOST_ENERGIES or scale == 0:
        got = f"{nx:g} columns, {ny:g} rows, scale {scale:g}, {n_energies:g} energies"
        raise header_not_understood(path, got, "whole numbers above 0, and a scale that is not 0")
    energies: list[float] = []
    at = 4
    while len(energies) < n_energies:
        energies += _numbers(path, lines, at)
        at += 1
    if len(energies) != n_energies or len(lines) - at not in (0, n_energies):
        got = f"{len(energies)} energies, {len(lines) - at} lines after them"
        raise header_not_understood(
            path, got, f"{n_energies:g} energies, then as many lines of name, energy and dwell time"
        )
    dwell_ms = np.full(len(energies), np.nan)
    for index, line in enumerate(lines[at:]):
        # Names may hold blanks.
        energy, dwell_ms[index] = _numbers(path, [" ".join(line.split()[-2:])], 0, 2, at + index)
        if abs(energy - energies[index]) > ENERGY_TOLERANCE_EV:
            raise header_not_understood(
                path, f"{energy:g} eV in line {at + index + 1}", f"{energies[index]:g} eV as in the list"
            )
    return _Header(
        (int(ny), int(nx)), scale, (y_um[0], y_um[1]), (x_um[0], x_um[1]), np.array(energies), np.array(dwell_ms)
    )


def _numbers(path: Path, lines: list[str], index: int, wanted: int = 0, line: int | None = None) -> list[float]:
    """Numbers of a line, so many of them if said; ``line`` is its place in the file if it is not the index."""
    place = (index if line is None else line) + 1
    if index >= len(lines):
        raise header_not_understood(path, f"the end of the file after {index} lines", "the whole header")
    words = lines[index].split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all() or (wanted and len(numbers) != wanted) or "_" in lines[index]:
        raise header_not_understood(
            path, f"{lines[index].strip()[:60]!r} in line {place}", f"{wanted or 'only'} finite numbers"
        )
    return numbers


def _scaled(rows: Callable[[int, int], F64], scale: float, index: int, n_rows: int) -> F64:
    return rows(index, n_rows) / scale
