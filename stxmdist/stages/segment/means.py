"""Means and sums of maps over the particles of a scan."""

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, I64, Real


def mean_of_particles(image: Real | None, labels: I32) -> F64 | None:
    """Mean (PARTICLE,) of a map (Y, X) over the pixels of each particle; None of none."""
    ids = np.unique(labels[labels > 0])
    if image is None or not ids.size:
        return None
    return np.asarray(ndimage.mean(np.nan_to_num(image), labels, ids), dtype=np.float64)


def sum_of_particles(image: Real | None, reach: I32, ids: I64) -> F64 | None:
    """Sum (PARTICLE,) of a map (Y, X) over the pixels in which each particle is seen; None of none."""
    return None if image is None else np.asarray(ndimage.sum_labels(np.nan_to_num(image), reach, ids), np.float64)


def mean_thickness(thickness: Real, labels: I32) -> F64:
    """Mean (COMPONENT, PARTICLE) of thicknesses (COMPONENT, Y, X), in their unit."""
    ids = np.unique(labels[labels > 0])
    if not ids.size:
        return np.empty((2, 0))
    return np.stack([ndimage.mean(np.nan_to_num(part), labels, ids) for part in thickness])
