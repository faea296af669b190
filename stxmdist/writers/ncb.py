"""Stacks of aXis2000: numbers in a ``.ncb``, and a ``.dat`` of the same name that says what they are.

Whole counts that fit into 16 bits are written as such, all others as float32 (a negative scale), so that nothing is
lost; missing frames are NaN. The format knows the first and last coordinate only, no ring current and no time.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.writers.atomic import replacing
from stxmdist.writers.contract import FrameOf, checked_shape

MOST_INTEGER = 32767
# A step is some nanometres: a millionth of it is less than an atom.
EVEN = 1e-6


def write_stack(
    path: str | Path,
    frame_of: FrameOf,
    energy_ev: ArrayLike,
    y_um: ArrayLike,
    x_um: ArrayLike,
    dwell_ms: ArrayLike,
    ring_current_ma: ArrayLike = np.nan,
    *,
    start_time: datetime | None = None,
    frames: Iterable[int] | None = None,
) -> tuple[Path, ...]:
    """Write an image stack, one frame in memory at a time; each is asked for twice, to see what type holds them.

    Parameters
    ----------
    frame_of
        energy index to counts (Y, X); float64 is rounded to float32
    energy_ev
        (ENERGY,)
    y_um, x_um
        (Y,), (X,) pixel centres, evenly spaced, ascending or descending
    dwell_ms
        (ENERGY,) or one number; 0 is written where it is NaN
    ring_current_ma, start_time
        not written: the format has no place for them
    frames
        energy indices that were measured; the others are NaN. None: all

    Returns
    -------
    the ``.ncb`` and the ``.dat``, written last

    Raises
    ------
    InputError
        for coordinates that are not evenly spaced, frames that do not fit them, counts beyond float32.
    """
    path = Path(path).with_suffix(".ncb")
    energy, y, x = (np.asarray(axis, dtype=np.float64) for axis in (energy_ev, y_um, x_um))
    dwell = np.nan_to_num(np.broadcast_to(np.asarray(dwell_ms, dtype=np.float64), energy.shape))
    for name, axis in (("y", y), ("x", x)):
        _refuse_unless_even(path, name, axis)
    measured = set(range(energy.size)) if frames is None else set(frames)
    shape = (y.size, x.size)
    small = len(measured) == energy.size and all(
        _is_small(_checked(path, frame_of(index), shape)) for index in range(energy.size)
    )
    with replacing(path) as partial, partial.open("wb") as file:
        for index in range(energy.size):
            counts = _checked(path, frame_of(index), shape) if index in measured else np.full(shape, np.nan)
            file.write(counts.astype("<i2" if small else "<f4").tobytes())
    lines = [
        f"{x.size} {y.size} {1 if small else -1}",
        f"{_text(x[0])} {_text(x[-1])}",
        f"{_text(y[0])} {_text(y[-1])}",
    ]
    lines += [str(energy.size), *map(_text, energy)]
    lines += [f"{path.stem}_{index:03d} {_text(energy[index])} {_text(dwell[index])}" for index in range(energy.size)]
    header = path.with_suffix(".dat")
    with replacing(header) as partial:
        partial.write_text("".join(line + "\r\n" for line in lines), encoding="utf-8", newline="")
    return path, header


def _text(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(value))


def _is_small(counts: Array) -> bool:
    return bool((np.abs(counts) <= MOST_INTEGER).all() and (counts == np.round(counts)).all())


def _checked(path: Path, counts: Array, shape: tuple[int, int]) -> Array:
    counts = checked_shape(np.asarray(counts), shape, path)
    if np.issubdtype(counts.dtype, np.integer) and (counts.astype(np.float32) != counts).any():
        raise InputError(
            where=path,
            problem="the counts are larger than what the format holds exactly",
            got=f"up to {np.abs(counts).max()}",
            wanted="whole numbers that float32 holds",
            mend="Write the scan as nxstxm",
        )
    return counts


def _refuse_unless_even(path: Path, name: str, axis: F64) -> None:
    if axis.size > 1 and np.abs(axis - np.linspace(axis[0], axis[-1], axis.size)).max() > EVEN * abs(axis[1] - axis[0]):
        raise InputError(
            where=path,
            problem=f"the coordinates {name} are not evenly spaced, and the format keeps the first and last only",
            got=f"steps of {np.diff(axis).min():g} to {np.diff(axis).max():g} um",
            wanted="even steps",
            mend="Write the scan as sdf or nxstxm",
        )
