"""Pixels of single frames that tell nothing, or only the least that there was: gaps, numbers that are none, saturation.

In kept frames the largest number of an integer type, or NaN, stands for a pixel that was not read.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import Array, Mask

# A detector that counts in 32 bits writes its largest number where there is no pixel; no light reaches it.
BITS_OF_GAPS = 32
# A ceiling is shared by more pixels than this, and by more than this many times the readings that nearly reach it.
LEAST_REPEATS = 8
PILED_UP = 2.0
NEARLY = 0.99
LEAST_CEILING = 16
"""Fewer counts than this are shared by chance"""


def unread(frames: Array) -> Mask:
    """Readings (...) that are no numbers: NaN, infinity, the largest integer of 32 bits and more."""
    if frames.dtype.kind == "f":
        return np.asarray(~np.isfinite(frames))
    if frames.dtype.itemsize * 8 >= BITS_OF_GAPS:
        return np.asarray(frames == np.iinfo(frames.dtype).max)
    return np.zeros(frames.shape, bool)


def found_ceiling(frames: Array, good: ArrayLike) -> float | None:
    """Counts at which the detector saturates, by some frames (FRAME, QY, QX); None where it does not.

    That is the largest number of the type, or a highest count at which readings pile up.
    """
    readings = frames[:, np.asarray(good, bool)]
    known = ~unread(readings)
    if not known.any():
        return None
    highest = float(readings[known].max())
    if frames.dtype.kind in "iu" and highest == np.iinfo(frames.dtype).max:
        return highest
    there = known & (readings == highest)
    nearly = int(np.count_nonzero(known & (readings >= min(NEARLY * highest, highest - 1.0)) & ~there))
    # One pixel may stand there by itself, in every frame.
    many = np.count_nonzero(there.any(axis=0)) > LEAST_REPEATS
    piled = highest >= LEAST_CEILING and many and np.count_nonzero(there) > PILED_UP * nearly
    return highest if piled else None


def mark(dtype: np.dtype[Any]) -> float:
    """What stands in kept frames of a type for a pixel that was not read."""
    return float("nan") if dtype.kind == "f" else float(np.iinfo(dtype).max)


def marked(frames: Array, lost: Mask) -> Array:
    """Frames with what stands for a pixel that was not read where it was ``lost``, in place."""
    if lost.any():
        frames[lost] = mark(frames.dtype)
    return frames


def known_readings(frames: Array, ceiling: float) -> tuple[Array, Mask]:
    """Kept frames with 0 where nothing was read, and which readings are but the least that there was.

    Parameters
    ----------
    ceiling
        counts at which the detector saturates; NaN where it does not
    """
    standing = mark(frames.dtype)
    nothing = np.isnan(frames) if np.isnan(standing) else frames == standing
    if ceiling == standing:
        nothing = np.zeros_like(nothing)
    return np.where(nothing, 0, frames).astype(frames.dtype, copy=False), np.asarray(nothing | (frames >= ceiling))


__all__ = ["found_ceiling", "known_readings", "mark", "marked", "unread"]
