"""Stacks of plain images, from formats that say little about the scan: put upright and made into a recording."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from stxmdist.arrays import F32, F64, MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.readers.choices import AS_THE_FILE_SAYS, ReadChoices
from stxmdist.readers.conversions import energies_ev
from stxmdist.readers.file_errors import unreadable
from stxmdist.readers.frames.frame_class import refuse_unless_counts
from stxmdist.readers.recording import StxmRecording
from stxmdist.readers.settled import settled

Quantity = Literal["counts", "transmission", "optical_density"]
"""What the numbers of a stack are, in the words of the option ``absorbance: input``"""
UNKNOWN_PIXEL_UM = 1.0
NOT_COUNTS: dict[Quantity, tuple[str, ...]] = {
    "counts": (),
    "transmission": ("the numbers are transmission, not counts (absorbance: input: transmission)",),
    "optical_density": ("the numbers are optical density, not counts (absorbance: input: optical_density)",),
}


@dataclass(frozen=True)
class StoredStack:
    """A stack as it lies in a file: any order of energies, axes that ascend or descend."""

    path: Path
    format: str
    energy_ev: F64
    """(ENERGY,), in `energy_unit` as long as that is not sure"""
    y_um: F64
    """(Y,)"""
    x_um: F64
    """(X,)"""
    dwell_ms: F64
    """(ENERGY,), NaN where the file does not say"""
    rows: Callable[[int, int], F64]
    """Energy index and how many rows to the first rows of that image (n, X) float64"""
    files: tuple[Path, ...]
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    energy_unit: str = "eV"
    """As the file says it, empty where it does not"""
    quantity: Quantity = "counts"
    region: str = ""
    start_time: str = ""


def recording_of(stored: StoredStack, choices: ReadChoices = AS_THE_FILE_SAYS) -> StxmRecording:
    """The recording of a stack; images without any number are missing.

    Raises
    ------
    InputError
        for axes that neither ascend nor descend, and for impossible photon energies.
    """
    path = stored.path
    energy = energies_ev(stored.energy_ev, stored.energy_unit, "the photon energy", choices, path)
    order, order_notes = axes.energy_order(energy.values, path)
    y_um, flip_y, y_notes = axes.ascending(stored.y_um, "y", path)
    x_um, flip_x, x_notes = axes.ascending(stored.x_um, "x", path)
    classes = np.array([_class_of(stored, int(index)) for index in order], np.uint8)
    notes = (*NOT_COUNTS[stored.quantity], *stored.notes, *energy.notes, *y_notes, *x_notes, *order_notes)
    missing = np.count_nonzero(classes == MaskClass.missing)
    if missing:
        notes += (f"{missing} of {len(order)} frames hold no numbers: masked",)
    lacks = (*stored.lacks, *energy.lacks)
    # What is divided by the incident beam does not need the ring current any more.
    if stored.quantity == "counts":
        lacks += ("ring current",)
    if np.isnan(stored.dwell_ms).all():
        lacks += ("dwell time",)
    recording = StxmRecording(
        source=path,
        format=stored.format,
        region=stored.region,
        energy_ev=energy.values[order],
        y_um=y_um,
        x_um=x_um,
        dwell_ms=np.where(stored.dwell_ms > 0, stored.dwell_ms, np.nan)[order],
        ring_current_ma=np.full(len(order), np.nan),
        frame_class=classes,
        read=partial(_read, stored, tuple(int(index) for index in order), flip_y, flip_x),
        files=stored.files,
        start_time=stored.start_time,
        lacks=lacks,
        notes=notes,
    )
    return settled(recording, choices)


def pixel_or_chosen(said_um: float | None, choices: ReadChoices) -> tuple[float, tuple[str, ...]]:
    """A pixel in um as the file says it, else as was chosen, else the unknown one, and what is lacking then."""
    if said_um is not None:
        return said_um, ()
    if choices.pixel_size_nm is not None:
        return choices.pixel_size_nm / 1e3, ()
    return UNKNOWN_PIXEL_UM, (f"pixel size (taken as {UNKNOWN_PIXEL_UM:g} um)",)


def _class_of(stored: StoredStack, index: int) -> MaskClass:
    # Only where the first row is missing does the rest have to be read.
    missing = all(_is_empty(stored.rows(index, n_rows)) for n_rows in (1, stored.y_um.size))
    return MaskClass.missing if missing else MaskClass.valid


def _is_empty(counts: F64) -> bool:
    """Whether an image holds nothing, or zeros alone, which stand for nothing in what was never written."""
    return not (np.abs(counts) > 0).any()


def _read(stored: StoredStack, order: tuple[int, ...], flip_y: bool, flip_x: bool, index: int) -> F32:
    """Counts (Y, X) of one energy."""
    counts = stored.rows(order[index], stored.y_um.size)
    if _is_empty(counts):
        counts = np.full_like(counts, np.nan)
    refuse_unless_counts(counts, f"{stored.path}, frame {order[index]}")
    return np.ascontiguousarray(counts[:: -1 if flip_y else 1, :: -1 if flip_x else 1], np.float32)


def binary_rows(
    path: Path, dtype: np.dtype[np.generic], offset: int, shape: tuple[int, int], index: int, n_rows: int
) -> F64:
    """The first rows (n, X) of an image (Y, X) of a stack that lies in one piece in a file, from ``offset`` on.

    Raises
    ------
    InputError
        where the file cannot be read, or has become shorter than it was.
    """
    ny, nx = shape
    try:
        with path.open("rb") as file:
            file.seek(offset + index * dtype.itemsize * ny * nx)
            content = file.read(dtype.itemsize * n_rows * nx)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) != dtype.itemsize * n_rows * nx:
        raise InputError(
            where=path,
            problem="the file breaks off",
            got=f"{len(content)} bytes of image {index}",
            wanted=f"{dtype.itemsize * n_rows * nx} bytes",
            mend="Copy it again",
        )
    # Some patterns of bits in a damaged file are signalling NaN, about which the processor warns.
    with np.errstate(invalid="ignore"):
        return np.frombuffer(content, dtype).astype(np.float64).reshape(n_rows, nx)
