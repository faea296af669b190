"""Cracks of a plate: valleys that reach through most of it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask
from stxmdist.particles.crevices import Crevices, line_length_px

THROUGH = 0.6
"""A valley that misses at least this share of the height is a crack; a groove along a grain boundary is shallower. A
crack half as wide as the point spread function looks like a groove."""
ALONG_PX = 3.0
"""Sigma in pixels along which the depth of a middle line is averaged."""
FLANK_SIGMAS = 3.0
"""Material missing so close to a crack's middle line belongs to it."""


@dataclass(frozen=True, eq=False)
class Cracks:
    """The cracks of one particle."""

    line: Mask
    """(Y, X) their middle lines"""
    share: float
    """Share of the body's volume that is missing in them"""
    share_se: float
    length_per_um: float
    """Length over the body's area, 1/um"""


def cracks_of(found: Crevices, pixel_nm: float, sigma_nm: float) -> Cracks:
    """Share and length of the cracks among the valleys of a plate; NaN where none could be seen.

    The missing height is summed over the flanks of each crack, so that blur and threshold do not change it. Both
    numbers are taken over the body, the particle without the rim in which nothing can be told.

    Source: black top-hat and share after Li et al., Science 376, 517 (2022); THROUGH is ours.
    """
    if np.isnan(found.noise):
        unknown = float("nan")
        return Cracks(found.line, unknown, unknown, unknown)
    deep = _line_depth(found) >= THROUGH
    line = found.line & deep
    area = float(found.body.sum())
    share, se = 0.0, 0.0
    if line.any():
        to_crack, to_other = (_distance(part) for part in (line, found.line & ~deep))
        half_px = max(2.0, FLANK_SIGMAS * sigma_nm / pixel_nm)
        thick = ndimage.binary_dilation(_valley_of(found, line, to_crack, to_other), iterations=round(half_px / 2))
        flanks = thick & found.body & (to_crack <= to_other) & np.isfinite(found.raw_depth)
        share = float(found.raw_depth[flanks].sum()) / area
        se = found.noise * float(np.sqrt(flanks.sum() * 4.0 * np.pi)) / area
    length = line_length_px(line) * 1e-3 * pixel_nm / (area * (1e-3 * pixel_nm) ** 2)
    return Cracks(line, share, se, length)


def _line_depth(found: Crevices) -> F64:
    """(Y, X) depth of the middle lines, averaged along them; 0 elsewhere."""
    depth = np.where(found.line, np.nan_to_num(found.depth), 0.0)
    weight = ndimage.gaussian_filter(found.line.astype(np.float64), ALONG_PX)
    along = ndimage.gaussian_filter(depth, ALONG_PX) / np.maximum(weight, 1e-9)
    return np.where(found.line, along, 0.0)


def _distance(line: Mask) -> F64:
    if not line.any():
        return np.full(line.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~line), dtype=np.float64)


def _valley_of(found: Crevices, line: Mask, to_crack: F64, to_other: F64) -> Mask:
    """The valleys' pixels that lie nearer to a crack's line than to another."""
    return np.asarray((found.valley | line) & (to_crack <= to_other))
