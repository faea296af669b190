"""Frames as they are kept: which of them can be used, their numbers, and a detector without its faulty pixels."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, U8, Array, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.readers.frames.beamstop import shadow_note, shadow_radius_px
from stxmdist.readers.frames.frame_class import frame_classes
from stxmdist.readers.frames.pixels import FRAMES_LOOKED_AT, PixelFaults, faults_masked, sampled_frames
from stxmdist.readers.frames.unread import found_ceiling, marked, unread
from stxmdist.readers.frames.windowing import stored_type, summed
from stxmdist.readers.recording import PtychographyRecording


def judge_images(images: F32, classes: U8, saturated_fraction: float) -> U8:
    """Class (ENERGY,) of each image (ENERGY, Y, X); those that cannot be used are filled with NaN, in place.

    ``classes`` (ENERGY,) are those that the file gives; only images that are valid there are looked at. Pixels of NaN
    were not measured, which is no fault of the others; infinite ones become NaN.
    """
    images[np.isinf(images)] = np.nan
    found = frame_classes(images, saturated_fraction=saturated_fraction)
    found = np.where(classes == MaskClass.valid, found, classes)
    images[found != MaskClass.valid] = np.nan
    return found


def frames_in_part(images: F32) -> int:
    """How many images (ENERGY, Y, X) hold numbers in some of their pixels alone, NaN in the others."""
    known = np.isfinite(images).reshape(len(images), -1)
    return int((known.any(axis=1) & ~known.all(axis=1)).sum())


@dataclass(frozen=True, eq=False)
class JudgedFrames:
    """Some diffraction frames at one energy, as they are kept."""

    frames: Array
    """(POSITION, QY, QX) summed to larger pixels, in the type in which they are kept"""
    classes: U8
    """(POSITION,) of `MaskClass`"""
    counts: F64
    """(POSITION,) sum over good pixels"""
    unread: int
    """Good pixels of the file without a number, of all frames"""
    clipped: int
    """Good pixels of the file at the detector's ceiling, of all frames"""


def judged_frames(
    frames: Array, good: Mask, good_of_sums: Mask, bin_px: int, lost_fraction: float, ceiling: float | None = None
) -> JudgedFrames:
    """Diffraction frames (POSITION, QY, QX) of the file, their pixels summed ``bin_px`` on a side, and their classes.

    Pixels are judged before frames, and before they are summed: those that hold no number, and sums of which a pixel is
    saturated, are marked as ``unread`` says. A frame is left out where more than ``lost_fraction`` of its good pixels
    are lost: saturated, or without a number.

    Parameters
    ----------
    good
        (QY, QX) pixels of the file that can be used
    good_of_sums
        (QY / bin_px, QX / bin_px) pixels that can be used once they are summed
    ceiling
        counts of a pixel of the file at which the detector saturates
    """
    lost = unread(frames)
    numbers = np.where(lost, 0, frames).astype(frames.dtype, copy=False)
    classes = frame_classes(numbers, good, ceiling=ceiling, saturated_fraction=lost_fraction)
    classes[lost[:, good].mean(axis=1) > lost_fraction] = MaskClass.missing
    clipped = np.zeros_like(lost) if ceiling is None else frames >= ceiling
    sums = summed(numbers, bin_px)
    counts = sums[:, good_of_sums].sum(axis=1, dtype=np.float64)
    kept = sums.astype(stored_type(sums.dtype), copy=False)
    gone = lost | clipped if bin_px > 1 else lost
    marked(kept, summed(gone.astype(np.uint8), bin_px) > 0)
    return JudgedFrames(
        kept, classes, counts, int(np.count_nonzero(lost[:, good])), int(np.count_nonzero(clipped[:, good]))
    )


def lost_words(unread: int, clipped: int, n_frames: int) -> tuple[str, ...]:
    """What good pixels of single frames do not tell, of all frames together, in words; none where nothing is lost."""
    said = ((unread, "hold no number: the model is kept there"), (clipped, "are saturated: they are taken for limits"))
    return tuple(f"{count / n_frames:.3g} good pixels of a frame {what}" for count, what in said if count)


@dataclass(frozen=True, eq=False)
class CheckedDetector:
    """A recording after a look at some of its frames."""

    recording: PtychographyRecording
    """Without the faulty pixels, if they are masked"""
    faults: PixelFaults | None
    """None where faults were not looked for"""
    notes: tuple[str, ...]
    """What else the frames show"""
    ceiling: float | None
    """Counts at which it saturates; None where it does not"""


def checked_detector(recording: PtychographyRecording, *, mask_faults: bool, lost_fraction: float) -> CheckedDetector:
    """The recording without the pixels that a look at some frames shows to be faulty, and what else that shows.

    Raises
    ------
    InputError
        if no pixel is left.
    """
    frames = sampled_frames(recording, FRAMES_LOOKED_AT)
    lost = unread(frames)
    numbers = np.where(lost, 0, frames).astype(frames.dtype, copy=False)
    classes = frame_classes(numbers, recording.good, saturated_fraction=lost_fraction)
    frames = frames[classes == MaskClass.valid]
    shadow = shadow_radius_px(frames, recording.good)
    notes = () if shadow is None else (shadow_note(shadow),)
    if not mask_faults:
        return CheckedDetector(recording, None, notes, found_ceiling(frames, recording.good))
    masked, faults = faults_masked(recording, frames)
    return CheckedDetector(masked, faults, notes, faults.ceiling)


def frames_by_class(classes: U8) -> dict[MaskClass, int]:
    """How many frames are of each class; a class without frames is left out."""
    values, counts = np.unique(classes, return_counts=True)
    return {MaskClass(value): int(n) for value, n in zip(values, counts, strict=True)}


def refuse_unless_some_valid(classes: U8, where: object) -> None:
    """Refuse a scan of which no frame can be used.

    Raises
    ------
    InputError
        with what is wrong with its frames.
    """
    if not (classes == MaskClass.valid).any():
        found = ", ".join(f"{n} frames {kind.name}" for kind, n in frames_by_class(classes).items())
        raise InputError(
            where=where,
            problem="none of the frames can be used",
            got=found or "no frames",
            wanted="at least one of the frames with counts below the detector's ceiling",
            mend="Look at the file with `stxmdist inspect`; exclude the scan in the sample sheet if it failed",
        )
