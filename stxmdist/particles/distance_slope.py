"""How a quantity changes with the distance from lines inside a particle."""

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask

LEAST_PIXELS = 30
LEAST_RANGE_SIGMAS = 4.0
"""Where distances differ by less than so many sigmas of the point spread function there is no slope."""


def slope_from_lines(values: F64, line: Mask, pixels: Mask, pixel_nm: float, sigma_nm: float) -> F64:
    """Slope (VIEW,) in 1/um of values (VIEW, Y, X) over the distance to the nearest line, by least squares.

    Pixels nearer to a line than two sigmas of the point spread function see it and are left out. NaN where there is no
    line, or too little to see.

    Parameters
    ----------
    line
        (Y, X) middle lines of cracks or grain boundaries
    pixels
        (Y, X) the particle's pixels that are trusted
    """
    nothing = np.full(len(values), np.nan)
    if not line.any():
        return nothing
    distance = ndimage.distance_transform_edt(~line) * 1e-3 * pixel_nm
    far = pixels & (distance > 2e-3 * sigma_nm)
    if far.sum() < LEAST_PIXELS or np.ptp(distance[far]) < LEAST_RANGE_SIGMAS * 1e-3 * sigma_nm:
        return nothing
    d, seen = distance[far], values[:, far]
    known = np.isfinite(seen)
    n = np.maximum(known.sum(axis=1), 1)
    mean_d = (known * d).sum(axis=1) / n
    mean = np.where(known, seen, 0.0).sum(axis=1) / n
    from_mean = np.where(known, d - mean_d[:, None], 0.0)
    squares = (from_mean**2).sum(axis=1)
    slope = (from_mean * np.where(known, seen - mean[:, None], 0.0)).sum(axis=1) / np.maximum(squares, 1e-12)
    return np.where(known.sum(axis=1) >= LEAST_PIXELS, slope, np.nan)
