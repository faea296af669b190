"""Detector pixels that cannot be trusted: hot, dead, never read; those that saturate; and masks of wrong polarity."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from stxmdist.arrays import Array, Mask
from stxmdist.errors import InputError
from stxmdist.readers.frames.unread import found_ceiling, unread
from stxmdist.readers.recording import PtychographyRecording

# A frame is band-limited, so that even its sharpest peak lifts its neighbours to a good third of its height.
HOT_FACTOR = 3.0
# Five standard deviations of the neighbours' Poisson noise, of at least one count.
HOT_SIGMAS = 5.0
NEARLY_ALL = 0.9
# In fewer frames a speckle may stay where it is.
LEAST_FRAMES = 8
SATURATED_OFTEN = 0.05
# Beside a saturated pixel it is brighter than this share of the ceiling; beside a hot one it is not.
BESIDE_SATURATED = 1.0 / 16.0
MOST_STUCK = 2
# A row or column without a single count is dead where both lines beside it have more than this many counts. This is
# enough even where the pattern falls off steeply.
EXPECTED_COUNTS = 100.0
# A mask with the wrong polarity leaves hardly a pixel, and hardly any of the light.
MOSTLY_BAD = 0.8
MOSTLY_LIGHT = 0.9
# Enough to tell a hot pixel from a bright speckle, few enough to be read at once.
FRAMES_LOOKED_AT = 32
KINDS = ("hot", "unread", "dead")


@dataclass(frozen=True)
class PixelFaults:
    """Pixels (QY, QX) bool that cannot be trusted, by what is wrong with them."""

    hot: Mask
    unread: Mask
    """Gaps: no number, the largest that there is, or one and the same negative number in nearly all frames"""
    dead: Mask
    saturated: Mask
    """At the ceiling in some frames, which then tell the least that there was: these pixels are not bad"""
    ceiling: float | None
    """Counts at which the detector saturates; None where it does not"""

    @property
    def bad(self) -> Mask:
        """(QY, QX) bool, those that tell nothing."""
        return self.hot | self.unread | self.dead

    @property
    def words(self) -> str:
        """How many of each."""
        counts = {name: np.count_nonzero(getattr(self, name)) for name in KINDS}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def pixel_faults(frames: Array, good: ArrayLike | None = None, *, ceiling: float | None = None) -> PixelFaults:
    """Hot, unread, dead and saturated pixels, by a look at some frames (FRAME, QY, QX) in counts.

    Frames without a number were not measured and say nothing; for hot pixels it takes at least eight that were.

    Parameters
    ----------
    good
        (QY, QX) bool, pixels already known to be good or bad; all good if None
    ceiling
        counts at which the detector saturates; if None, as ``unread.found_ceiling`` finds them
    """
    usable = np.ones(frames.shape[1:], bool) if good is None else np.asarray(good, bool)
    nothing = unread(frames)
    measured = (frames.any(axis=(1, 2), where=~nothing & usable)) if len(frames) else np.zeros(0, bool)
    frames, nothing = frames[measured], nothing[measured]
    if not len(frames):
        none = np.zeros(usable.shape, bool)
        return PixelFaults(none, none, none, none, ceiling)
    gaps = usable & _gaps(frames, nothing)
    readings, usable = np.where(nothing, 0, frames).astype(frames.dtype, copy=False), usable & ~gaps
    ceiling = found_ceiling(readings, usable) if ceiling is None else ceiling
    clipped = np.zeros(readings.shape, bool) if ceiling is None else (readings >= ceiling) & usable
    often = np.asarray(clipped.mean(axis=0) > SATURATED_OFTEN)
    stuck = _stuck(readings, usable, often, ceiling)
    dead = _dead(readings, usable)
    hot = stuck | (_hot(readings, usable & ~dead) & ~often)
    return PixelFaults(hot, gaps, dead, clipped.any(axis=0) & ~stuck, ceiling)


def faults_masked(
    recording: PtychographyRecording, frames: Array, *, ceiling: float | None = None
) -> tuple[PtychographyRecording, PixelFaults]:
    """The recording with hot, unread and dead pixels among those that are not good, and which these are.

    Its notes say how many. ``ceiling`` as for `pixel_faults`.

    Parameters
    ----------
    frames
        (FRAME, QY, QX) some of its frames that can be used, such as `sampled_frames` across positions and energies
    """
    faults = pixel_faults(frames, recording.good, ceiling=ceiling)
    if faults.saturated.any():
        count = np.count_nonzero(faults.saturated)
        note = (
            f"{count} pixels reach the detector's ceiling of {faults.ceiling:g} counts in some frames: such readings "
            "are taken for the least that there was"
        )
        recording = replace(recording, notes=(*recording.notes, note))
    if not faults.bad.any():
        return recording, faults
    if not (recording.good & ~faults.bad).any():
        raise InputError(
            where=recording.source,
            problem="no detector pixel can be trusted",
            got=f"{faults.words} of {recording.good.size} pixels",
            wanted="at least one pixel that is neither hot nor dead and holds numbers",
            mend="Look at the frames; mask_faults: false of ingest leaves them as they are",
        )
    note = f"pixels masked by a look at {len(frames)} frames: {faults.words}"
    return replace(recording, good=recording.good & ~faults.bad, notes=(*recording.notes, note)), faults


def sampled_frames(recording: PtychographyRecording, n_frames: int) -> Array:
    """Frames (FRAME, QY, QX) evenly spread over a recording's positions and energies, ``n_frames`` at most."""
    n_energies, n_positions = recording.positions_um.shape[:2]
    chosen = np.unique(np.linspace(0, n_energies * n_positions - 1, n_frames).astype(int))
    places = [divmod(int(index), n_positions) for index in chosen]
    return np.concatenate([recording.read(energy, slice(at, at + 1)) for energy, at in places])


def inverted(good: Mask, frames: Array) -> bool:
    """Whether nearly all light of some frames (FRAME, QY, QX) falls on pixels (QY, QX) that are not good."""
    # A mask of the wrong polarity leaves hot and dead pixels. They stand alone, and the median filter removes them:
    # what is left is light.
    pattern = np.nan_to_num(np.asarray(frames, np.float64)).clip(min=0).mean(axis=0)
    light = np.minimum(pattern, ndimage.median_filter(pattern, 3))
    return bool(light.sum() > 0 and light[~good].sum() > MOSTLY_LIGHT * light.sum())


def refuse_inverted(good: Mask, frames: Array, where: object, convention: str) -> None:
    """Refuse a mask of the opposite polarity: nearly every pixel bad, and the light on exactly those.

    Parameters
    ----------
    good
        (QY, QX) bool, as the mask says
    frames
        (FRAME, QY, QX) counts, a few
    convention
        what the format's values mean, e.g. ``0 is good, any bit is bad``
    """
    if np.count_nonzero(~good) <= MOSTLY_BAD * good.size or not inverted(good, frames):
        return
    raise InputError(
        where=where,
        problem="the mask has the opposite polarity",
        got=f"{np.count_nonzero(~good)} of {good.size} pixels bad, with over {MOSTLY_LIGHT:.0%} of the light on them",
        wanted=convention,
        mend="Invert the mask in the file: it marks the good pixels instead of the bad ones, or the reverse",
    )


def _hot(frames: Array, usable: Mask) -> Mask:
    """Pixels (QY, QX) bool that are far above six of their eight neighbours in nearly all frames.

    The other two neighbours may be hot as well.

    Pixels at the edge of a disc or a beamstop have three neighbours like themselves.
    """
    height, width = usable.shape
    shifts = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    unknown = np.pad(~usable, 1, constant_values=True)
    n_near = np.sum([~unknown[y : y + height, x : x + width] for y, x in shifts], axis=0)
    third = np.maximum(n_near - 3, 0)[None]
    seen = np.zeros(usable.shape, np.int64)
    for frame in frames:
        around = np.pad(frame.astype(np.float32), 1)
        around[unknown] = np.inf
        near = np.stack([around[y : y + height, x : x + width] for y, x in shifts])
        near.sort(axis=0)
        level = np.take_along_axis(near, third, 0)[0].clip(min=0)
        seen += frame > HOT_FACTOR * level + HOT_SIGMAS * np.sqrt(level + 1)
    found: Mask = usable & (seen >= NEARLY_ALL * max(LEAST_FRAMES, len(frames)))
    return found


def _gaps(frames: Array, nothing: Mask) -> Mask:
    """Pixels (QY, QX) bool that hold no number in nearly all frames, or the same negative one, as light never does."""
    level = frames[0]
    marked = (frames == level).all(axis=0) & (level < 0) if len(frames) > 1 else np.zeros(level.shape, bool)
    found: Mask = np.asarray(marked | (nothing.mean(axis=0) >= NEARLY_ALL))
    if frames.dtype.kind in "iu":
        # A line of pixels that all stand at the largest number in all frames is a gap, at any number of bits.
        full = (frames == np.iinfo(frames.dtype).max).mean(axis=0) >= NEARLY_ALL
        for axis in (0, 1):
            found |= full & full.all(axis=axis, keepdims=True) & ~full.all()
    return found


def _stuck(frames: Array, usable: Mask, often: Mask, ceiling: float | None) -> Mask:
    """Those pixels (QY, QX) bool ``often`` at the ceiling that are alone or by twos, while it is dark around them."""
    if ceiling is None or not often.any():
        return often
    parts, count = ndimage.label(often, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    mean = np.where(usable & ~often, frames.mean(axis=0, dtype=np.float64), 0.0)
    beside = ndimage.maximum_filter(mean, 3)
    found: Mask = often & (sizes[parts] <= MOST_STUCK) & (beside < BESIDE_SATURATED * ceiling)
    return found


def _dead(frames: Array, usable: Mask) -> Mask:
    """Rows and columns without a count in any frame, between others that have many."""
    counts = np.where(usable, np.nan_to_num(frames).astype(np.float64).sum(axis=0), 0)
    dark = np.where(usable, ~frames.any(axis=0), True)
    dead = np.zeros(usable.shape, bool)
    for axis in (0, 1):
        lines = dark.all(axis=1 - axis)
        lit = np.flatnonzero(~lines)
        totals = counts.sum(axis=1 - axis)
        for line in np.flatnonzero(lines):
            after = int(np.searchsorted(lit, line))
            if 0 < after < lit.size and totals[lit[after - 1 : after + 1]].min() > EXPECTED_COUNTS:
                dead[(line, slice(None)) if axis == 0 else (slice(None), line)] = True
    return dead & usable
