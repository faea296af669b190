"""The same particle in both images, and maps of one brought to the grid of the other."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage, optimize

from stxmdist.arrays import F64, I32, I64, Real
from stxmdist.crossmodal.register import Axes, Registration, sample

PAIR_COLUMNS = ("particle_id_stxm", "particle_id_ptychography", "iou", "distance_um")


def pair_particles(
    labels_stxm: I32,
    axes_stxm: Axes,
    labels_ptychography: I32,
    axes_ptychography: Axes,
    registration: Registration,
    least_iou: float = 0.3,
) -> Any:
    """Pair the particles of two label images one to one so that the sum of their overlaps is largest.

    Overlap is intersection over union, counted on ptychography pixels carried into the STXM frame. Only particles that
    both images see can be paired: one cut by the border of the ptychography field overlaps little and drops out.

    Parameters
    ----------
    labels_stxm, axes_stxm
        (Y, X) int32; (y_um, x_um)
    labels_ptychography, axes_ptychography
        (V, U) int32; (y_um, x_um)
    registration
        from ptychography to STXM
    least_iou
        pairs below are not pairs

    Returns
    -------
    DataFrame
        columns ``PAIR_COLUMNS``, by particle_id_stxm; distance_um is between centroids in the STXM frame

    Source: Kuhn, Nav. Res. Logist. 2, 83 (1955), for the assignment.
    """
    empty = pd.DataFrame({"particle_id_stxm": [], "particle_id_ptychography": [], "iou": [], "distance_um": []})
    empty = empty.astype({"particle_id_stxm": "int64", "particle_id_ptychography": "int64"})
    # The store writes -1 where nothing is known.
    labels_stxm, labels_ptychography = np.maximum(labels_stxm, 0), np.maximum(labels_ptychography, 0)
    ids_b = np.unique(labels_ptychography[labels_ptychography > 0])
    if ids_b.size == 0 or not (labels_stxm > 0).any():
        return empty
    y, x = registration(*np.meshgrid(*axes_ptychography, indexing="ij"))
    row, column = (
        np.round((where - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
        for where, axis in zip((y, x), axes_stxm, strict=True)
    )
    inside = (row >= 0) & (row < labels_stxm.shape[0]) & (column >= 0) & (column < labels_stxm.shape[1])
    under = np.zeros(labels_ptychography.shape, dtype=np.int64)
    under[inside] = labels_stxm[row[inside], column[inside]]
    shared = np.zeros((int(labels_stxm.max()) + 1, int(labels_ptychography.max()) + 1))
    np.add.at(shared, (under.ravel(), labels_ptychography.ravel().astype(np.int64)), 1.0)
    area_b = shared.sum(axis=0)
    pixels_per_pixel = _pixel_area(axes_stxm) / (_pixel_area(axes_ptychography) * registration.scale**2)
    area_a = np.bincount(labels_stxm.ravel(), minlength=shared.shape[0]) * pixels_per_pixel
    union = area_a[:, None] + area_b[None, :] - shared
    iou = np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
    iou[0, :] = iou[:, 0] = 0.0
    # Overlaps of less than the least must not be bought at the price of a true pair.
    first, second = optimize.linear_sum_assignment(np.where(iou >= least_iou, iou, 0.0), maximize=True)
    found = iou[first, second] >= least_iou
    first, second = first[found], second[found]
    if first.size == 0:
        return empty
    centre_a = _centroids(labels_stxm, first, *np.meshgrid(*axes_stxm, indexing="ij"))
    centre_b = _centroids(labels_ptychography, second, y, x)
    return pd.DataFrame(
        {
            "particle_id_stxm": first.astype(np.int64),
            "particle_id_ptychography": second.astype(np.int64),
            "iou": iou[first, second],
            "distance_um": np.hypot(*(centre_a - centre_b)),
        }
    )


def onto_fixed(
    thickness_nm: Real, moving_axes: Axes, fixed_axes: Axes, registration: Registration, sigma_um: float
) -> F64:
    """Maps of the moving image on the fixed grid, blurred by a Gaussian first; NaN beyond the moving image.

    Thicknesses are blurred linearly: soc on the fixed grid is the ratio of two maps brought over, not a map of
    ratios.

    Parameters
    ----------
    thickness_nm
        (..., V, U) floating
    sigma_um
        blur that brings the moving resolution to the fixed one, um in the fixed frame

    Returns
    -------
    maps
        (..., Y, X) float64
    """
    pitch = float(moving_axes[0][1] - moving_axes[0][0]) * registration.scale
    y, x = registration.inverse(*np.meshgrid(*fixed_axes, indexing="ij"))
    maps = np.asarray(thickness_nm, dtype=np.float64)
    planes = maps.reshape(-1, *maps.shape[-2:])
    out = np.stack([sample(_blurred(plane, sigma_um / pitch), moving_axes, y, x) for plane in planes])
    return out.reshape(*maps.shape[:-2], *y.shape)


def _blurred(plane: F64, sigma_px: float) -> F64:
    known = np.isfinite(plane)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma_px, mode="nearest")
    total = ndimage.gaussian_filter(np.where(known, plane, 0.0), sigma_px, mode="nearest")
    return np.where(known, total / np.where(weight > 0, weight, 1.0), np.nan)


def _pixel_area(axes: Axes) -> float:
    return float(abs((axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])))


def _centroids(labels: I32, ids: I64, y: Real, x: Real) -> F64:
    """(2, PARTICLE) mean coordinates of the pixels of each label."""
    return np.stack([np.asarray(ndimage.mean(axis, labels, ids), dtype=np.float64) for axis in (y, x)])
