"""Sizes of the rows of a particle table, and for how many particles each stands."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.heterogeneity.kept import has_flag
from stxmdist.heterogeneity.size_distribution import border_weights

UNKNOWN_SIZE_FLAGS = ("touches border", "overlap suspected")
"""Particles so flagged have a size that is not theirs."""


def sizes_and_weights(particles: pd.DataFrame, fields: pd.DataFrame | None) -> tuple[F64, F64]:
    """(PARTICLE,) diameters in um and weights: both NaN of particles whose size is not theirs.

    Parameters
    ----------
    fields
        ``scan_id, height_um, width_um, pixel_nm`` of the fields of view; without them every particle counts 1
    """
    size = numbers(particles, "d_eq_um")
    weight = np.ones(len(size)) if fields is None else size_weights(particles, fields)
    wrong = np.logical_or.reduce([has_flag(particles, flag) for flag in UNKNOWN_SIZE_FLAGS])
    usable = ~wrong & np.isfinite(size) & (size > 0) & np.isfinite(weight)
    return np.where(usable, size, np.nan), np.where(usable, weight, np.nan)


def size_weights(particles: pd.DataFrame, fields: pd.DataFrame) -> F64:
    """(PARTICLE,) border weights of particles; 1 where the field of view is not known, NaN where it is too small."""
    size = numbers(particles, "d_eq_um")
    aspect = np.maximum(np.nan_to_num(numbers(particles, "aspect"), nan=1.0), 1.0)
    scan, names = pd.factorize(text(particles, "scan_id"))
    looked_up = fields.drop_duplicates("scan_id").set_index("scan_id").reindex(names).iloc[scan]
    height, width = (looked_up[name].to_numpy(dtype=np.float64) for name in ("height_um", "width_um"))
    pixel = np.nan_to_num(1e-3 * looked_up["pixel_nm"].to_numpy(dtype=np.float64))
    known = np.isfinite(height * width * size)
    weight = np.ones(len(size))
    size, aspect, height, width, pixel = (part[known] for part in (size, aspect, height, width, pixel))
    angle = np.deg2rad(numbers(particles, "orientation_deg"))[known]
    weight[known] = border_weights(size * np.sqrt(aspect), size / np.sqrt(aspect), height, width, pixel, angle)
    return weight
