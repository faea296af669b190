"""The files beside an SDF header: which belong to which region and photon energy, and the numbers in them.

``base_a000.xim`` is channel a, energy 0; with several regions the region's number follows (``base_a0001.xim`` is energy
0, region 1). A single image and a line scan have no energy in their name, spectra no channel: ``base_0.xsp``.
"""

import re
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.file_errors import unreadable

ENERGY_DIGITS = 3

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


def read_xim(file: Path, shape: tuple[int, int]) -> F64:
    """Numbers of a ``.xim`` (rows, columns): counts or reals; ``nan`` stands for a masked pixel.

    Raises
    ------
    InputError
        for a file of another size, or with anything that is not a number.
    """
    counts = _table(file)
    widths = sorted({len(row) for row in counts})
    if (len(counts), widths) != (shape[0], [shape[1]]):
        raise InputError(
            where=file,
            problem="the frame does not have the size that its header says",
            got=f"{len(counts)} rows of {' or '.join(map(str, widths[:4])) or 'no'} numbers",
            wanted=f"{shape[0]} rows of {shape[1]} numbers",
            mend="Copy it again; if the scan was aborted here, remove the file, and the frame is masked as missing",
        )
    return _numbers(file, counts)


def read_xsp(file: Path) -> tuple[F64, F64]:
    """Photon energy in eV and counts of a ``.xsp``, both (ENERGY,) float64.

    Raises
    ------
    InputError
        for a file that is not two columns of numbers.
    """
    rows = _table(file)
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


def _table(file: Path) -> list[list[bytes]]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from error
    # float() would take digits with underscores, which no beamline writes.
    if b"_" in content:
        raise _garbage(file, "an underscore")
    return [row for row in (line.split() for line in content.splitlines()) if row]


def _numbers(file: Path, rows: list[list[bytes]]) -> F64:
    try:
        numbers = np.array(rows).astype(np.float64)
    except ValueError as error:
        raise _garbage(file, str(error)) from error
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
