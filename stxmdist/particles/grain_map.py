"""Grains of a plate: what closed lines of missing height part from one another."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from stxmdist.arrays import F64, I32, Mask
from stxmdist.particles.cracks import THROUGH
from stxmdist.particles.crevices import Crevices

CLOSED = 0.7
"""Two grains are parted by a border of which at least this share lies in a valley; a crack that ends inside a grain
parts nothing."""
CRACKED = 0.02
"""What a pixel of a border counts where a crack runs, of one where none does"""
STEPS_PER_PX = 10
LEAST_GRAIN_SIGMAS = 6.0
"""Grains narrower than so many sigmas of the point spread function are not told from the valleys around them."""


@dataclass(frozen=True, eq=False)
class GrainMap:
    """The grains of one particle."""

    grains: I32
    """(Y, X) 1, 2, ... over the particle's body, 0 outside"""
    border: Mask
    """(Y, X) pixels with another grain beside them, on one side of the border only"""


def grain_map(found: Crevices, sigma_px: float) -> GrainMap:
    """Watershed of the missing height, from the middles between valleys; basins without a closed valley are joined.

    Source: own; watershed: Beucher, Meyer (1993), as in skimage.
    """
    body = found.body
    nothing = GrainMap(np.zeros(body.shape, dtype=np.int32), np.zeros(body.shape, dtype=bool))
    if not body.any() or np.isnan(found.noise):
        return nothing
    if not found.valley.any():
        return replace(nothing, grains=body.astype(np.int32))
    free = body & ~found.valley
    # To valleys alone: the rim is no border of a grain.
    distance = np.where(free, ndimage.distance_transform_edt(~found.valley), 0.0)
    steps = np.round(distance * STEPS_PER_PX).astype(np.int32)
    h = max(1, round(STEPS_PER_PX * max(1.0, 0.1 * float(distance[free].max(initial=0.0)))))
    markers, count = ndimage.label(h_maxima(np.where(body, steps, 0), h) & free, structure=np.ones((3, 3)))
    if count == 0:
        markers, count = body.astype(np.int32), 1
    depth = np.where(np.isfinite(found.depth), found.depth, 0.0)
    basins = np.asarray(watershed(depth, markers, mask=body), dtype=np.int32)
    # A crack may run along a boundary or through a grain: it closes no border by itself.
    silent = ndimage.binary_dilation(depth >= THROUGH, iterations=2)
    joined = _joined(basins, ndimage.binary_dilation(found.valley), silent)
    grains = _without_slivers(joined, LEAST_GRAIN_SIGMAS * sigma_px, depth)
    return GrainMap(grains, border_of(grains))


def border_of(grains: I32) -> Mask:
    """(Y, X) pixels whose right or lower neighbour is of another grain."""
    border = np.zeros(grains.shape, dtype=bool)
    border[:-1] |= (grains[:-1] != grains[1:]) & (grains[:-1] > 0) & (grains[1:] > 0)
    border[:, :-1] |= (grains[:, :-1] != grains[:, 1:]) & (grains[:, :-1] > 0) & (grains[:, 1:] > 0)
    return border


def _joined(basins: I32, valley: Mask, silent: Mask) -> I32:
    """Join basins, the openest border first, until every border is closed; borders of joined basins are joined."""
    borders: dict[tuple[int, int], list[float]] = {}
    worth = np.where(silent, CRACKED, 1.0)
    for a, b, va, vb, w in (
        (basins[1:], basins[:-1], valley[1:], valley[:-1], worth[1:]),
        (basins[:, 1:], basins[:, :-1], valley[:, 1:], valley[:, :-1], worth[:, 1:]),
    ):
        at = (a != b) & (a > 0) & (b > 0)
        columns = (a[at].tolist(), b[at].tolist(), ((va | vb) & (w == 1.0))[at].tolist(), w[at].tolist())
        for one, other, deep, weight in zip(*columns, strict=True):
            entry = borders.setdefault((min(one, other), max(one, other)), [0.0, 0.0])
            entry[0] += deep
            entry[1] += weight
    name = np.arange(int(basins.max()) + 1)
    while borders:
        pair, (deep, length) = min(borders.items(), key=lambda item: item[1][0] / item[1][1])
        if deep / length >= CLOSED:
            break
        keep, gone = pair
        name[name == gone] = keep
        del borders[pair]
        for one, other in [key for key in borders if gone in key]:
            entry = borders.pop((one, other))
            rest = other if one == gone else one
            key = (min(keep, rest), max(keep, rest))
            before = borders.setdefault(key, [0.0, 0.0])
            before[0] += entry[0]
            before[1] += entry[1]
    return np.asarray(name[basins], dtype=np.int32)


def _without_slivers(grains: I32, least_px: float, depth: F64) -> I32:
    """Grains numbered 1, 2, ...; what is narrower than can be resolved goes to its neighbours."""
    sizes = np.bincount(grains.ravel())
    sizes[0] = 0
    wide = sizes >= np.pi / 4.0 * least_px**2
    if not wide.any():
        return (grains > 0).astype(np.int32)
    kept = np.where(wide[grains], grains, 0)
    numbers = np.unique(kept[kept > 0])
    kept = np.where(kept > 0, np.searchsorted(numbers, kept) + 1, 0)
    return np.asarray(watershed(depth, kept, mask=grains > 0), dtype=np.int32)
