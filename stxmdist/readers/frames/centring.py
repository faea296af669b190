"""Bringing the zero frequency of detector frames to index n // 2, by whole pixels."""

import numpy as np
from scipy import ndimage

from stxmdist.arrays import Array

# The illuminated disc of a zone plate is brighter than this part of its brightest spots; what it scatters is fainter.
DISC_LEVEL = 0.25
BRIGHTEST_PERCENT = 99.5


def centred(frames: Array, centre: tuple[int, int]) -> Array:
    """Frames (..., rows, columns) moved so that the pixel ``centre`` comes to index n // 2.

    Pixels that come from outside the frames are zero.
    A centre at (0, 0) is that of a Fourier transform before its shift: such frames are rolled, and no pixel is lost.
    """
    shape = frames.shape[-2:]
    rows, columns = (n // 2 - at for n, at in zip(shape, centre, strict=True))
    if centre == (0, 0):
        return np.roll(frames, (rows, columns), (-2, -1))
    if rows == columns == 0:
        return frames
    moved = np.zeros_like(frames)
    (to_y, from_y), (to_x, from_x) = (_overlap(by, n) for by, n in zip((rows, columns), shape, strict=True))
    moved[..., to_y, to_x] = frames[..., from_y, from_x]
    return moved


def disc_centre(pattern: Array) -> tuple[int, int] | None:
    """Pixel (row, column) at the centre of the bright disc in a mean frame (rows, columns); None where there is none.

    Pixels that stand out alone are not counted.
    """
    smooth = ndimage.median_filter(np.nan_to_num(np.asarray(pattern, np.float64)), 3)
    bright = np.percentile(smooth, BRIGHTEST_PERCENT)
    if not bright > 0:
        return None
    rows, columns = np.nonzero(smooth > DISC_LEVEL * bright)
    return int(np.floor(rows.mean() + 0.5)), int(np.floor(columns.mean() + 0.5))


def _overlap(by: int, n: int) -> tuple[slice, slice]:
    return slice(max(0, by), n + min(0, by)), slice(max(0, -by), n - max(0, by))
