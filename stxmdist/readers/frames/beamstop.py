"""A beamstop: detector pixels around the zero frequency that receive no light, by an option or found in the frames."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.readers.recording import PtychographyRecording

# The edge of a shadow is where the light reaches half the brightness of the brightest ring.
EDGE = 0.5
# A ring in the shadow has less than this part of the light of the brightest ring.
DARK = 0.02
# Only rings within this part of the radius have to be dark: those at the edge are half lit.
INNER = 0.7
# Speckle makes a ring uneven. Even so, each side of a shadow has more than this part of the light of that ring.
EVERY_SIDE = 0.1
SIDES = 8
# A dark spot this small may be a minimum of the pattern.
LEAST_RADIUS_PX = 3
# A disc without light counts as dark where at least this many counts would be expected in it, so that it is not dark
# by chance.
EXPECTED_COUNTS = 100.0


def beamstop_masked(recording: PtychographyRecording, radius_px: float) -> PtychographyRecording:
    """The recording with the pixels that lie nearer than ``radius_px`` to the zero frequency not good.

    Raises
    ------
    InputError
        if no good pixel is left.
    """
    if radius_px == 0:
        return recording
    good = recording.good & (radii_px(recording.frame_shape) >= radius_px)
    if not good.any():
        ny, nx = recording.frame_shape
        raise InputError(
            where=recording.source,
            problem="the beamstop leaves no good detector pixel",
            got=f"beamstop_px {radius_px:g} on frames of {ny} x {nx} pixels",
            wanted="a radius that leaves light beside it",
            mend="Choose a smaller beamstop_px of ingest; it is a radius in pixels of the file",
        )
    n_masked = np.count_nonzero(recording.good & ~good)
    note = f"{n_masked} pixels nearer than {radius_px:g} pixels to the zero frequency are masked as a beamstop"
    return replace(recording, good=good, notes=(*recording.notes, note))


def shadow_radius_px(frames: Array, good: ArrayLike) -> int | None:
    """Radius of a dark disc around the zero frequency with light on all sides of it; None where there is none.

    Parameters
    ----------
    frames
        (FRAME, QY, QX) counts, some of a scan
    good
        (QY, QX) bool
    """
    if not len(frames):
        return None
    pattern: F64 = np.asarray(np.mean(frames, axis=0, dtype=np.float64))
    shape = (int(pattern.shape[0]), int(pattern.shape[1]))
    usable = np.asarray(good, bool) & np.isfinite(pattern)
    ring = np.floor(radii_px(shape) + 0.5).astype(int)
    # Rings that the frame holds whole.
    n_rings = (min(shape) - 1) // 2
    pixels = np.bincount(ring[usable], minlength=n_rings)[:n_rings]
    counts = np.bincount(ring[usable], weights=pattern[usable], minlength=n_rings)[:n_rings]
    means = counts / np.maximum(pixels, 1)
    if not n_rings or not means.max() > 0:
        return None
    brightest = float(means.max())
    radius = int(np.argmax(means >= EDGE * brightest))
    inside = np.arange(n_rings) < INNER * radius
    if radius < LEAST_RADIUS_PX or pixels[inside].sum() * brightest * len(frames) < EXPECTED_COUNTS:
        return None
    if means[inside & (pixels > 0)].max() > DARK * brightest:
        return None
    rim = usable & (ring >= radius) & (ring <= radius + 2)
    y, x = np.indices(shape)
    side = np.floor((np.arctan2(y - shape[0] // 2, x - shape[1] // 2) / (2 * np.pi) + 0.5) * SIDES).astype(int) % SIDES
    lit = [pattern[rim & (side == one)] for one in range(SIDES)]
    return radius if all(part.size and part.mean() > EVERY_SIDE * brightest for part in lit) else None


def shadow_note(radius_px: int) -> str:
    """The note about a shadow of this radius."""
    return (
        f"no light within {radius_px} pixels of the zero frequency and light around: the shadow of the zone plate's "
        f"central stop, or a beamstop, which beamstop_px: {radius_px} of ingest would mask"
    )


def radii_px(shape: tuple[int, int]) -> F64:
    """(QY, QX) distance of every pixel from the zero frequency, index n // 2."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance: F64 = np.hypot(y - shape[0] // 2, x - shape[1] // 2)
    return distance


__all__ = ["beamstop_masked", "radii_px", "shadow_note", "shadow_radius_px"]
