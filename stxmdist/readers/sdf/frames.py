"""The files beside an SDF header: which belong to which region and photon energy, and the numbers in them.

``base_a000.xim`` is channel a, energy 0; with several regions the region's number follows (``base_a0001.xim`` is energy
0, region 1). A single image and a line scan have no energy in their name, spectra no channel: ``base_0.xsp``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.file_errors import unreadable

ENERGY_DIGITS = 3
# Frames of one scan differ in size by the digits of their counts; one that broke off differs by rows.
CLEARLY_SMALLER = 0.9

Frames = dict[int, Path]
"""Energy index to file"""


def find_frames(path: Path, kind: str, several: bool) -> dict[str, dict[int, Frames]]:
    """Letter of a channel that has frames (spectra name none, and are of the first) to region number to its frames.

    Raises
    ------
    InputError
        where no frame lies beside the header.
    """
    if kind == "point spectrum":
        return {"a": _find_spectra(path)}
    pattern = re.compile(rf"{re.escape(path.stem)}_([a-z])(\d*)\.xim", re.IGNORECASE)
    channels: dict[str, dict[int, Frames]] = {}
    for file in sorted(path.parent.iterdir()):
        match = pattern.fullmatch(file.name)
        if match:
            energy, region = _places(match[2], kind, several)
            frames = channels.setdefault(match[1].lower(), {}).setdefault(region, {})
            # A scan of one energy may go without a number; where both are there, the numbered one belongs to it.
            if match[2] or energy not in frames:
                frames[energy] = file
    if not channels:
        digits = ("0" if several else "") if kind != "image stack" else "0000" if several else "000"
        raise _no_frames(path, f"{path.stem}_a*.xim", f"{path.stem}_a{digits}.xim ...", "Copy the .xim files too")
    return channels


def _places(digits: str, kind: str, several: bool) -> tuple[int, int]:
    """Energy and region that the digits of a name stand for."""
    if not several:
        return int(digits or 0), 0
    if kind == "image stack" or len(digits) > ENERGY_DIGITS:
        return int(digits[:ENERGY_DIGITS] or 0), int(digits[ENERGY_DIGITS:] or 0)
    return 0, int(digits or 0)


def _find_spectra(path: Path) -> dict[int, Frames]:
    pattern = re.compile(rf"{re.escape(path.stem)}_(\d+)\.xsp", re.IGNORECASE)
    matches = [(pattern.fullmatch(file.name), file) for file in sorted(path.parent.iterdir())]
    found = {int(match[1]): {0: file} for match, file in matches if match}
    if not found:
        raise _no_frames(path, f"{path.stem}_*.xsp", f"{path.stem}_0.xsp ...", "Copy the .xsp files too")
    return found


def _no_frames(path: Path, got: str, wanted: str, mend: str) -> InputError:
    return InputError(
        where=path,
        problem="there are no frames beside the header",
        got=f"no file {got} in the folder",
        wanted=wanted,
        mend=f"{mend}, and rename none of them",
    )


def measured_rows(frames: Mapping[int, Path], n_rows: int) -> dict[int, int]:
    """How many rows a frame holds that breaks off, as that does in which a scan was aborted, by energy index.

    Only frames are opened that may be such: the last, and those that are clearly smaller than the others.
    """
    sizes = {index: _size(file) for index, file in frames.items()}
    usual = float(np.median(list(sizes.values())))
    doubtful = {max(frames)} | {index for index, size in sizes.items() if size < CLEARLY_SMALLER * usual}
    rows = {index: len(_whole_rows(frames[index], n_rows)) for index in sorted(doubtful)}
    return {index: found for index, found in rows.items() if found < n_rows}


def read_xim(file: Path, shape: tuple[int, int], *, whole: bool = False) -> F64:
    """Numbers of a ``.xim`` (rows, columns): counts or reals; NaN for masked pixels, and where the file breaks off.

    Raises
    ------
    InputError
        for a file of other columns, of more rows, of fewer where it has to be ``whole``, and for anything that is not a
        number.
    """
    counts = _whole_rows(file, shape[0])
    widths = sorted({len(row) for row in counts})
    rows_fit = len(counts) == shape[0] if whole else 0 < len(counts) <= shape[0]
    if not rows_fit or widths != [shape[1]]:
        raise InputError(
            where=file,
            problem="the frame does not have the size that its header says",
            got=f"{len(counts)} rows of {' or '.join(map(str, widths[:4])) or 'no'} numbers",
            wanted=f"{shape[0]} rows of {shape[1]} numbers",
            mend="Copy it again; if the scan was aborted here, remove the file, and the frame is masked as missing",
        )
    numbers = np.full(shape, np.nan)
    numbers[: len(counts)] = _numbers(file, counts)
    return numbers


def read_xsp(file: Path) -> tuple[F64, F64]:
    """Photon energy in eV and counts of a ``.xsp``, both (ENERGY,) float64.

    Raises
    ------
    InputError
        for a file that is not two columns of numbers.
    """
    rows = _table(_content(file))
    if not rows or {len(row) for row in rows} != {2}:
        raise InputError(
            where=file,
            problem="the spectrum does not have two columns",
            got=f"{len(rows)} rows of {sorted({len(row) for row in rows})[:4]} numbers",
            wanted="photon energy in eV and counts in every row",
            mend="Copy it again from the beamline",
        )
    energy_ev, counts = _numbers(file, rows).T
    return energy_ev, counts


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise unreadable(file, error) from error


def _whole_rows(file: Path, n_rows: int) -> list[list[bytes]]:
    """Rows of a ``.xim``, of which there should be ``n_rows``, without the one within which the file breaks off."""
    content = _content(file)
    rows = _table(content)
    if content.endswith((b"\n", b"\r")) or not rows or len(rows) > n_rows:
        return rows
    # The last number of a row without an end may be half a number.
    return rows[:-1] if len(rows) < n_rows or len(rows[-1]) < len(rows[0]) else rows


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from error


def _table(content: bytes) -> list[list[bytes]]:
    return [row for row in (line.split() for line in content.splitlines()) if row]


def _numbers(file: Path, rows: list[list[bytes]]) -> F64:
    try:
        numbers = np.array(rows).astype(np.float64)
    except ValueError as error:
        raise _garbage(file, str(error)) from error
    # float() takes digits with underscores, which no beamline writes.
    if any(b"_" in word for row in rows for word in row):
        raise _garbage(file, "an underscore")
    if np.isinf(numbers).any():
        raise _garbage(file, "an infinite number")
    return numbers


def _garbage(file: Path, got: str) -> InputError:
    return InputError(
        where=file,
        problem="the frame holds something other than counts",
        got=got,
        wanted="numbers with blanks or tabs between",
        mend="Copy it again from the beamline",
    )
