"""Interpolation that moves a frame by a fraction of a pixel, and its effect on the noise."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, Index, Mask

_OVERSHOOT = 0.015
"""How far a result may leave the range of its neighbours, as a share of that range, so that noise is hardly clipped"""


def resample(plane: F32, shift_px: F64) -> F32:
    """Frame (Y, X) float32 whose content is moved by ``shift_px`` (rows, columns), by one cubic spline interpolation.

    Borders are padded with their own values, so that the spline does not ring there. Values from outside the frame or
    from an unknown pixel are NaN. A spline overshoots at sharp edges by up to a tenth, so the result is limited to the
    range of the 4 x 4 pixels it is computed from, extended by 1.5 %; elsewhere this limit is hardly ever reached.
    """
    shift = np.asarray(shift_px, dtype=np.float64)
    if not np.isfinite(shift).all():
        return np.full(plane.shape, np.nan, dtype=np.float32)
    known = np.isfinite(plane)
    if not shift.any():
        return np.where(known, plane, np.nan).astype(np.float32)
    if not known.any():
        return np.full(plane.shape, np.nan, dtype=np.float32)
    filled = np.asarray(plane, dtype=np.float32)
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled = filled[tuple(nearest)]
    moved = ndimage.shift(filled, shift, order=3, mode="nearest", output=np.float32)
    whole = np.floor(shift).astype(int)
    # Output pixel i lies at i - shift, between input pixels i - whole - 1 and i - whole; one more on each side is used.
    low = _windowed(filled, ndimage.minimum_filter1d, whole)
    high = _windowed(filled, ndimage.maximum_filter1d, whole)
    slack = np.float32(_OVERSHOOT) * (high - low)
    moved = np.clip(moved, low - slack, high + slack)
    return np.where(_reached(known, shift), moved, np.float32(np.nan)).astype(np.float32)


def reached(shape: tuple[int, int], shift_px: F64) -> Mask:
    """Pixels (Y, X) that still lie inside the field when its content is moved by ``shift_px`` (rows, columns)."""
    return _reached(np.ones(shape, dtype=np.bool_), np.asarray(shift_px, dtype=np.float64))


def variance_factor(shift_px: F64) -> float:
    """Variance of white noise after ``resample`` by this shift (2,) in pixels, relative to the variance before.

    It is 1 at whole pixels and about 0.4 at half pixels.
    """
    return _factor(float(shift_px[0])) * _factor(float(shift_px[1]))


def noise_correlation_px2(shift_px: F64) -> float:
    """Correlation area in px of noise after ``resample``: the inverse of the variance factor.

    Interpolation does not change the variance of an average over many pixels: the variance of each pixel falls, and
    the correlation between pixels rises by the same factor.
    """
    return 1.0 / variance_factor(shift_px)


def _windowed(filled: F32, extreme: Callable[..., F32], whole: Index) -> F32:
    result = filled
    for axis in range(2):
        # The window of four pixels reaches from i - whole - 2 to i - whole + 1.
        result = extreme(result, size=4, axis=axis, origin=0, mode="nearest")
        n = result.shape[axis]
        index = np.clip(np.arange(n) - whole[axis], 0, n - 1)
        result = np.take(result, index, axis=axis)
    return result


def _reached(known: Mask, shift: F64) -> Mask:
    """Which output pixels lie within half a pixel of the frame and have known pixels as nearest neighbours only."""
    result = known
    for axis in range(2):
        n = known.shape[axis]
        source = np.arange(n) - shift[axis]
        low = np.floor(source + 1e-9).astype(int)
        high = np.ceil(source - 1e-9).astype(int)
        inside = (source >= -0.5) & (source <= n - 0.5)
        result = np.take(result, np.clip(low, 0, n - 1), axis) & np.take(result, np.clip(high, 0, n - 1), axis)
        result = result & (inside[:, None] if axis == 0 else inside[None, :])
    return result


def _factor(shift: float) -> float:
    fraction = shift - np.floor(shift)
    if fraction == 0.0:
        return 1.0
    impulse = np.zeros(41)
    impulse[20] = 1.0
    response = ndimage.shift(impulse, fraction, order=3)
    return float(np.sum(response**2))
