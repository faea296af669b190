"""Plates that cracks have cut into several regions are put together again."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.contacts import contact_graph
from stxmdist.particles.crevices import closed_outline
from stxmdist.particles.segment import renumbered

LEAST_STEPS = 3.0
"""A gap as wide as the widest crack holds at least so many pixels, and sigmas of the point spread function: in coarser
maps a crack cannot be told from a contact, and nothing is joined."""
STEP_DEPTH_NM = 40.0
"""Thickness beside a gap is taken this far from a rim, where the rim no longer thins it ..."""
STEP_REACH_NM = 160.0
"""... and this near to the other side."""
LEAST_STEP_PX = 10
"""Of fewer pixels the thickness of the whole side is taken."""
PIECE_SMOOTHING_PX = 0.7
"""Sigma of the smoothing in which they are looked for."""
LEAST_PIECE_PX = 15
"""Pieces of fewer pixels that belong to no particle are left where they are."""
MOST_STEP = 0.15
"""A greater difference of thickness tells no more."""


@dataclass(frozen=True)
class JoinOptions:
    """When two regions are believed to be parts of one cracked plate. The weights follow a logistic regression on 61
    pairs that cracks had parted and 129 pairs of plates that touch, in planted fields of ptychography; convexity weighs
    more than there, for powders whose plates are all equally thick."""

    widest_crack_nm: float = 60.0
    """A wider gap lies between two plates."""
    border_weight: float = 4.0
    """Of the length of the common gap over the diameter of the smaller side: two plates touch over a part of their
    width, a crack runs over all of it (this alone tells 183 of the 190 pairs)"""
    convex_weight: float = 5.0
    """Of the share of the hull that both fill together: plates that touch leave notches at the ends of their contact"""
    step_weight: float = 30.0
    """Of the difference of thickness on both sides over their mean: a plate is as thick on both sides of its crack"""
    least_score: float = 9.2
    """A little above where a gap is as likely a crack as a contact: 3 of the 129 pairs would be joined were all
    equally thick, none as they were, and 6 of the 61 stay apart."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two regions as one plate."""

    score: float
    box: tuple[slice, slice]
    whole: Mask
    """(Y, X) of the box: both, and what lies between"""


def join_cracked(
    labels: I32,
    total_nm: Real,
    pixel_nm: float,
    psf_sigma_nm: float,
    options: JoinOptions | None = None,
) -> I32:
    """Labels (Y, X) in which the regions that cracks have parted are one, numbered 1, 2, ... by position.

    Two regions are one plate where a narrow gap runs over the whole width of the smaller, both sides are equally thick
    and both together are about convex. The gap belongs to the plate then, as do cracks that run in from its outline. A
    pair that two plates could make as well is left as it is, and so is all of a map too coarse to show cracks.
    State of charge is not asked: a boundary of two phases likes to lie at a crack. Pieces that were too small to be
    particles, but are half as thick as the nearest one, are joined in the same way, or stay nobody's.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 or less between particles
    total_nm
        (Y, X) thickness of both end-members, NaN where not known
    pixel_nm
        pitch of the (square) pixels

    Source: own; plates of LiFePO4 are convex (Yu et al., Nano Lett. 15, 4282 (2015)).
    """
    options = options or JoinOptions()
    if not cracks_are_seen(pixel_nm, psf_sigma_nm, options):
        return labels
    joined = _with_pieces(labels, total_nm)
    y_um, x_um = (1e-3 * pixel_nm * np.arange(n, dtype=np.float64) for n in labels.shape)
    graph = contact_graph(joined, y_um, x_um, options.widest_crack_nm)
    if not graph.one.size:
        return labels
    n_particles = int(labels.max())
    waiting = set(zip(graph.one.tolist(), graph.other.tolist(), strict=True))
    found: dict[tuple[int, int], _Pair] = {}
    while waiting:
        boxes = ndimage.find_objects(np.maximum(joined, 0))
        found |= {pair: _pair(joined, total_nm, boxes, pair, pixel_nm, options) for pair in waiting - set(found)}
        best = max(sorted(waiting), key=lambda pair: found[pair].score)
        if found[best].score < options.least_score:
            break
        keep, gone = best
        here = joined[found[best].box]
        here[(here == gone) | (found[best].whole & (here == 0))] = keep
        waiting = {_sorted(keep if a == gone else a, keep if b == gone else b) for a, b in waiting - {best}}
        found = {pair: seen for pair, seen in found.items() if keep not in pair and gone not in pair}
    return np.where(labels < 0, labels, renumbered(np.where(joined > n_particles, 0, np.maximum(joined, 0))))


def cracks_are_seen(pixel_nm: float, psf_sigma_nm: float, options: JoinOptions) -> bool:
    """Whether pixels of a pitch under a point spread function of a sigma are fine enough to show cracks."""
    return LEAST_STEPS * max(pixel_nm, psf_sigma_nm) <= options.widest_crack_nm


def _with_pieces(labels: I32, total_nm: Real) -> I32:
    """The labels (Y, X) and, with numbers above theirs, pieces beside them that are half as thick as the nearest."""
    out, present = np.array(labels, dtype=np.int32), np.unique(labels[labels > 0])
    if not present.size:
        return out
    thick = np.where(np.isfinite(total_nm), total_nm, 0.0)
    half = np.zeros(int(present.max()) + 1)
    half[present] = 0.5 * ndimage.median(thick, labels, present)
    nearest = ndimage.distance_transform_edt(labels <= 0, return_distances=False, return_indices=True)
    free = (labels == 0) & (ndimage.gaussian_filter(thick, PIECE_SMOOTHING_PX) >= half[labels[tuple(nearest)]])
    pieces, count = ndimage.label(ndimage.binary_opening(free))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = np.cumsum(sizes >= LEAST_PIECE_PX) + int(present.max())
    return np.where(sizes[pieces] >= LEAST_PIECE_PX, kept[pieces], out).astype(np.int32)


def _sorted(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _pair(
    labels: I32,
    total_nm: Real,
    boxes: list[tuple[slice, slice]],
    pair: tuple[int, int],
    pixel_nm: float,
    options: JoinOptions,
) -> _Pair:
    """How likely two regions are one cracked plate, and what it would be."""
    one, other = (boxes[number - 1] for number in pair)
    margin = round(options.widest_crack_nm / pixel_nm)
    box = tuple(
        slice(max(0, min(a.start, b.start) - margin), max(a.stop, b.stop) + margin)
        for a, b in zip(one, other, strict=True)
    )
    here, thick = labels[box[0], box[1]], total_nm[box[0], box[1]]
    sides = [here == number for number in pair]
    away = [pixel_nm * ndimage.distance_transform_edt(~side) for side in sides]
    whole = closed_outline(sides[0] | sides[1], max(1, round(0.5 * options.widest_crack_nm / pixel_nm)))
    convex = float(whole.sum() / max(int(convex_hull_image(whole).sum()), 1))
    smaller = min(int(side.sum()) for side in sides)
    facing = [
        int((side & ~ndimage.binary_erosion(side) & (far <= options.widest_crack_nm)).sum())
        for side, far in zip(sides, reversed(away), strict=True)
    ]
    border = 0.5 * sum(facing) / (2.0 * np.sqrt(smaller / np.pi))
    beside = [_thickness_beside(thick, side, far, pixel_nm) for side, far in zip(sides, reversed(away), strict=True)]
    step = 2.0 * abs(beside[0] - beside[1]) / max(beside[0] + beside[1], 1e-9)
    score = options.border_weight * min(border, 2.0) + options.convex_weight * convex
    return _Pair(score - options.step_weight * min(step, MOST_STEP), (box[0], box[1]), whole)


def _thickness_beside(total_nm: Real, side: Mask, away_nm: F64, pixel_nm: float) -> float:
    """Median thickness of a region near to another one, away from its own rim as far as there is such a place."""
    for inner in (ndimage.binary_erosion(side, iterations=max(1, round(STEP_DEPTH_NM / pixel_nm))), side):
        for looked in (inner & (away_nm < STEP_REACH_NM), inner):
            values = total_nm[looked & np.isfinite(total_nm)]
            if values.size > LEAST_STEP_PX:
                return float(np.median(values))
    return 0.0
