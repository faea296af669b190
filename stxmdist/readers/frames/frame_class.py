"""Which frames of a scan carry a measurement: never written, saturated, or valid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, U8, Array, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.readers.recording import StxmRecording

# A saturated detector clips a whole patch, noise does not: more than this part of the good pixels at one maximum means
# that the frame is saturated.
SATURATED_FRACTION = 0.01
# In small or faint frames a few pixels share the maximum by chance: with 16 counts and more, Poisson noise puts one or
# two pixels of a frame at its highest value, so more than eight are clipped.
LEAST_REPEATS = 8
LEAST_CEILING = 16
# A row with more than this part of its pixels above zero cannot be a row of zeros by chance.
LIT_FRACTION = 0.5
# No measurement has larger or smaller counts than these, but a damaged file may hold any number.
MOST_COUNTS, LEAST_COUNTS = 1e30, 1e-30


def refuse_unless_counts(counts: F64, where: object) -> None:
    """Refuse an image (Y, X) whose largest number cannot be a count; NaN stands for what was not measured.

    Raises
    ------
    InputError
        for numbers that float32 would make infinite or zero.
    """
    largest = float(np.nanmax(np.abs(counts), initial=0.0))
    if largest > MOST_COUNTS or 0 < largest < LEAST_COUNTS:
        raise InputError(
            where=where,
            problem="a frame holds something other than counts",
            got=f"{largest:g} as the largest",
            wanted=f"counts between {LEAST_COUNTS:g} and {MOST_COUNTS:g}",
            mend="Copy the file again from the beamline",
        )


def refuse_without_counts(where: object, recordings: Sequence[StxmRecording]) -> None:
    """Refuse a file none of whose scans has a count, by the class of each frame and a look at the first measured one.

    Raises
    ------
    InputError
        saying whether nothing was measured, or all numbers are negative.
    """
    first = [(one, int(np.argmax(one.frame_class == MaskClass.valid))) for one in recordings]
    measured = [one.read(at) for one, at in first if one.frame_class[at] == MaskClass.valid]
    if not measured:
        frames = sum(len(one.frame_class) for one in recordings)
        raise InputError(
            where=where,
            problem="not one frame was measured",
            got=f"{frames} of {frames} frames without a number, or with zeros where the scan had not been",
            wanted="at least one frame with counts",
            mend="Leave the scan out of the sample sheet (exclude)",
        )
    if all(np.nanmax(counts) < 0 for counts in measured):
        counts = measured[0]
        raise InputError(
            where=where,
            problem="all numbers are negative, and counts are not",
            got=f"{np.nanmin(counts):g} to {np.nanmax(counts):g} in the first frame that was measured",
            wanted="counts, none of them below zero",
            mend="Choose another detector with ingest: channel, or write the numbers with the other sign",
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


def unmeasured_rows(counts: F64, neighbours: Sequence[F64], reached: Mask | None = None) -> Mask:
    """Rows (Y,) of zeros in an image (Y, X) that were never measured, of a program that leaves zeros there.

    A true row of zeros is dark in the images before and after it too, or stands in an image that is dim all over: with
    half of a row's pixels lit by Poisson noise, a row of n zeros has the probability 2^-n.

    Parameters
    ----------
    counts
        (Y, X), not zero throughout; NaN stays what it is
    neighbours
        (Y, X) each, the images measured before and after it; without any, what was reached decides
    reached
        (Y,) bool, rows in which the motors have reported positions, None if they do not say
    """
    empty = ~counts.any(axis=1)
    unreached = np.zeros_like(empty) if reached is None else ~reached
    seen = np.full_like(empty, reached is None) if not neighbours else np.any([_lit(one) for one in neighbours], axis=0)
    lit = _lit(counts[~empty])
    return np.asarray(empty & (unreached | (seen & bool(lit.mean() > LIT_FRACTION))))


def _lit(counts: F64) -> Mask:
    """Rows (Y,) most of whose pixels have a count."""
    return np.asarray((np.nan_to_num(counts) != 0).mean(axis=1) > LIT_FRACTION)
