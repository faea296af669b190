"""The rim of a plate as a closed line: what blur drew in is undone, and what noise makes of its places is known."""

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64

RIM_SMOOTHING = 4.0
"""Sigma in half pixels over which the curvature of a rim is taken."""
RIM_GAIN = 2.0
"""By which the rounding of a rim is undone more than the blur's variance says: the rim whose curvature is taken is
round already, and smoothed (closure on planted superellipses: calipers within 0.026 and not 0.048)."""


def local_noise(se_px: float, length_px: float, sigma_px: float) -> float:
    """By how much noise moves single places of a rim that is known as a whole to ``se_px``.

    Noise hangs together over the point spread function: ``length / (2 sqrt(pi) sigma)`` places are independent.
    """
    return se_px * float(np.sqrt(max(1.0, length_px / (2.0 * np.sqrt(np.pi) * sigma_px))))


def unrounded(rim_px: F64, sigma_px: float) -> F64:
    """A closed rim (VERTEX, 2) with the rounding by a blur undone to first order, vertices half a pixel apart.

    Blur draws a half-height line in by half its variance times the curvature. How much that is on average is in the
    offset of the rim already: what is left moves ends out and long sides in, and the area stays.
    """
    closed = np.concatenate([rim_px, rim_px[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    n = max(16, round(2.0 * float(along[-1])))
    at = np.arange(n) * along[-1] / n
    even = np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)])
    smooth = ndimage.gaussian_filter1d(even, RIM_SMOOTHING, axis=0, mode="wrap")
    tangent = 0.5 * (np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0))
    bend = np.roll(smooth, -1, axis=0) - 2.0 * smooth + np.roll(smooth, 1, axis=0)
    speed = np.maximum(np.hypot(*tangent.T), 1e-9)
    curvature = (tangent[:, 0] * bend[:, 1] - tangent[:, 1] * bend[:, 0]) / speed**3
    normal = np.column_stack([tangent[:, 1], -tangent[:, 0]]) / speed[:, None]
    mean = np.sum(speed * curvature) / speed.sum()
    # The normal points out where the curvature is counted positive for a convex rim.
    return np.asarray(even + (0.5 * RIM_GAIN * sigma_px**2 * (curvature - mean))[:, None] * normal)
