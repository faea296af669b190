"""State of charge over the depth inside a particle, beside what a homogeneous particle would show."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I64, Mask, Real

LEAST_PIXELS = 4
"""Rings of fewer are joined with the next one inwards"""
TWO_SIDED_95 = 1.96


@dataclass(frozen=True, eq=False)
class RadialProfile:
    """Means over rings of equal depth below the outline."""

    depth_nm: F64
    """(RING,) mean depth of the ring's pixels below the outline"""
    soc: F64
    """(RING,) mean state of charge"""
    se: F64
    """(RING,) its standard error by counting"""
    null_low: F64
    """(RING,) between these two ends lie 95 % of rings of a particle that has its mean everywhere"""
    null_high: F64
    n_pixels: I64
    """(RING,)"""

    @property
    def beyond(self) -> int:
        """Rings outside of the band."""
        return int(((self.soc < self.null_low) | (self.soc > self.null_high)).sum())


def radial_profile(
    soc: Real, soc_se: Real, inside: Mask, trusted: Mask, pixel_yx_nm: F64, noise_correlation_px2: float = 1.0
) -> RadialProfile:
    """Rings of about one pixel of maps (Y, X) of a particle; RING may be 0.

    Parameters
    ----------
    inside
        (Y, X) the particle, with at least one pixel around it or cut by the border of the field: depth is measured to
        the nearest pixel that is not inside.
    trusted
        (Y, X) pixels whose state of charge counts.
    pixel_yx_nm
        (2,)
    noise_correlation_px2
        area over which noise is correlated; errors of means grow by its root.

    The band takes the particle's own mean for all rings, and the error of each ring by counting: blur and misfit are
    not in it. What blur does is in the bands of the metrics, which were made with twins.
    """
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=pixel_yx_nm)[1:-1, 1:-1]
    used = inside & trusted & np.isfinite(soc) & np.isfinite(soc_se)
    step = float(np.mean(pixel_yx_nm))
    ring = np.asarray((depth[used] - 0.5 * step) // step, dtype=np.int64)
    values, errors, depths = (np.asarray(each[used], np.float64) for each in (soc, soc_se, depth))
    ring = _joined(ring)
    n = np.bincount(ring) if ring.size else np.zeros(0, np.int64)
    if not n.size:
        nothing = np.zeros(0)
        return RadialProfile(nothing, nothing, nothing, nothing, nothing, np.zeros(0, np.int64))
    means = np.bincount(ring, values) / n
    se = np.sqrt(np.bincount(ring, errors**2) * max(1.0, noise_correlation_px2)) / n
    weights = 1.0 / np.maximum(errors, 1e-6) ** 2
    centre = float((weights * values).sum() / weights.sum())
    half = TWO_SIDED_95 * se
    return RadialProfile(np.bincount(ring, depths) / n, means, se, centre - half, centre + half, n)


def _joined(ring: I64) -> I64:
    """Numbers of rings 0, 1, ... from the outline inwards, none with few pixels where another is beside it."""
    if not ring.size:
        return ring
    counts = np.bincount(ring)
    number = np.zeros(counts.size, np.int64)
    current = held = 0
    for i, n in enumerate(counts):
        if held >= LEAST_PIXELS:
            current, held = current + 1, 0
        number[i] = current
        held += int(n)
    if 0 < held < LEAST_PIXELS and current > 0:
        number[number == current] = current - 1
    return np.asarray(number[ring])
