"""Stacks ``.stk`` of Stony Brook: one block of XDR, big-endian throughout.

int32 columns, rows, energies
float32 x (X,) um, y (Y,) um, energy (ENERGY,) eV, dwell (ENERGY,) ms
float32 data, x fastest, then y, then energy
"""

import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.file_errors import unreadable
from stxmdist.readers.image_stack import StoredStack, binary_rows, recording_of
from stxmdist.readers.plausible import ENERGY_EV, look_like_kev
from stxmdist.readers.recording import Description, StxmRecording

_SIZES = struct.Struct(">3i")
_FLOAT = np.dtype(">f4")
# The format has no signature: sizes beyond these are those of another.
MOST_PIXELS, MOST_ENERGIES = 1 << 16, 1 << 16


@dataclass(frozen=True)
class _Header:
    x_um: F64
    y_um: F64
    energy_ev: F64
    dwell_ms: F64

    @property
    def data_offset(self) -> int:
        return _SIZES.size + _FLOAT.itemsize * (self.x_um.size + self.y_um.size + 2 * self.energy_ev.size)

    @property
    def file_bytes(self) -> int:
        return self.data_offset + _FLOAT.itemsize * self.energy_ev.size * self.y_um.size * self.x_um.size


def detects(path: Path, head: bytes) -> bool:
    """Whether the file begins with the sizes, axes and energies of a stack."""
    header = _header(head)
    if header is None:
        return False
    axes = all(np.isfinite(axis).all() and np.unique(axis).size == axis.size for axis in (header.x_um, header.y_um))
    in_range = bool(((header.energy_ev >= ENERGY_EV.least) & (header.energy_ev <= ENERGY_EV.most)).all())
    return axes and (in_range or look_like_kev(header.energy_ev))


def describe(path: Path) -> Description:
    """What the stack holds."""
    return described(path, "stk", "image stack", {}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a file.

    Raises
    ------
    InputError
        for a file that is longer or shorter than its header says.
    """
    try:
        n_bytes = path.stat().st_size
        with path.open("rb") as file:
            header = _header(file.read(_SIZES.size + _FLOAT.itemsize * 2 * (MOST_PIXELS + MOST_ENERGIES)))
    except OSError as error:
        raise unreadable(path, error) from error
    if header is None or n_bytes != header.file_bytes:
        raise InputError(
            where=path,
            problem="the stack does not have the size that its header says",
            got=f"{n_bytes} bytes",
            wanted="a whole header" if header is None else f"{header.file_bytes} bytes",
            mend="Copy it again",
        )
    stored = StoredStack(
        path=path,
        format="stk",
        energy_ev=header.energy_ev,
        y_um=header.y_um,
        x_um=header.x_um,
        dwell_ms=header.dwell_ms,
        rows=partial(binary_rows, path, _FLOAT, header.data_offset, (header.y_um.size, header.x_um.size)),
        files=(path,),
    )
    return (recording_of(stored, choices),)


def _header(head: bytes) -> _Header | None:
    if len(head) < _SIZES.size:
        return None
    nx, ny, n_energies = _SIZES.unpack_from(head)
    if not (0 < nx <= MOST_PIXELS and 0 < ny <= MOST_PIXELS and 0 < n_energies <= MOST_ENERGIES):
        return None
    lengths = (nx, ny, n_energies, n_energies)
    if len(head) < _SIZES.size + _FLOAT.itemsize * sum(lengths):
        return None
    numbers = np.frombuffer(head, _FLOAT, sum(lengths), _SIZES.size).astype(np.float64)
    return _Header(*np.split(numbers, np.cumsum(lengths)[:-1]))
