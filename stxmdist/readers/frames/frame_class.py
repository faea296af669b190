"""Which frames of a scan carry a measurement: never written, saturated, or valid."""

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, U8, Array, MaskClass
from stxmdist.errors import InputError

# A detector at its ceiling clips a patch, noise does not: so many good pixels at one maximum are no coincidence.
SATURATED_FRACTION = 0.01
# In small or faint frames a few pixels share the maximum by chance: with 16 counts and more, Poisson noise puts one or
# two pixels of a frame at its highest value, so more than eight are clipped.
LEAST_REPEATS = 8
LEAST_CEILING = 16
# More photons than all the pixels of a lifetime, and fewer than any: a damaged file may hold any number.
MOST_COUNTS, LEAST_COUNTS = 1e30, 1e-30


def refuse_unless_counts(counts: F64, where: object) -> None:
    """Refuse an image (Y, X) whose largest number is no count; NaN stands for what was not measured.

    Raises
    ------
    InputError
        for numbers that float32 would make infinite or zero.
    """
    largest = float(np.nanmax(np.abs(counts), initial=0.0))
    if largest > MOST_COUNTS or 0 < largest < LEAST_COUNTS:
        raise InputError(
            where=where,
            problem="a frame holds something else than counts",
            got=f"{largest:g}",
            wanted="counts",
            mend="Copy the file again from the beamline",
        )


def frame_classes(
    frames: Array,
    good: ArrayLike | None = None,
    *,
    ceiling: float | None = None,
    saturated_fraction: float = SATURATED_FRACTION,
) -> U8:
    """Class (FRAME,) of images or diffraction frames (FRAME, Y, X) in counts: valid, missing or saturated.

    Missing: every good pixel is zero or NaN, which an aborted scan leaves behind. Saturated: more than
    `saturated_fraction` of the good pixels stand at the ceiling of the detector, given or the largest number of the
    integer type, or share one maximum.

    Parameters
    ----------
    frames
        (FRAME, Y, X) counts, integer or floating
    good
        (Y, X) bool, pixels that may be used; all if None
    ceiling
        counts at which the detector saturates, if known

    Returns
    -------
        (FRAME,) uint8 of `MaskClass`
    """
    if frames.ndim != 3:
        raise ValueError(f"frames are (FRAME, Y, X), got shape {frames.shape}")
    usable = np.ones(frames.shape[1:], bool) if good is None else np.asarray(good, bool)
    if ceiling is None and np.issubdtype(frames.dtype, np.integer):
        ceiling = float(np.iinfo(frames.dtype).max)
    classes = np.full(len(frames), MaskClass.valid, np.uint8)
    for index, frame in enumerate(frames):
        classes[index] = _class_of(frame[usable], ceiling, saturated_fraction)
    return classes


def _class_of(counts: Array, ceiling: float | None, saturated_fraction: float) -> MaskClass:
    if np.issubdtype(counts.dtype, np.floating):
        counts = counts[~np.isnan(counts)]
    if not np.any(counts):
        return MaskClass.missing
    if ceiling is not None and np.count_nonzero(counts >= ceiling) > saturated_fraction * counts.size:
        return MaskClass.saturated
    highest = counts.max()
    repeats = np.count_nonzero(counts == highest)
    if highest >= LEAST_CEILING and repeats > max(LEAST_REPEATS, saturated_fraction * counts.size):
        return MaskClass.saturated
    return MaskClass.valid
