"""The pitch of an image's pixels, from the coordinates of their centres: one rule for every package."""

import numpy as np

from stxmdist.arrays import F64, Real


def axis_pitch_um(axis_um: Real) -> float:
    """Distance in um of neighbouring pixel centres (Y,) or (X,); NaN for an axis of one pixel, which has none."""
    axis = np.asarray(axis_um, dtype=np.float64)
    return float(abs(axis[-1] - axis[0])) / (len(axis) - 1) if len(axis) > 1 else float("nan")


def pitch_yx_um(y_um: Real, x_um: Real) -> F64:
    """Pitch (2,) in um along (y, x). A line scan has one row: its pixels are taken as high as they are wide.

    NaN for an image of one pixel.
    """
    along_y, along_x = axis_pitch_um(y_um), axis_pitch_um(x_um)
    return np.array([along_x if np.isnan(along_y) else along_y, along_y if np.isnan(along_x) else along_x])


def pixel_pitch_nm(y_um: Real, x_um: Real) -> float:
    """Pitch in nm of an image's pixels, the mean of both axes."""
    return float(np.mean(pitch_yx_um(y_um, x_um))) * 1e3
