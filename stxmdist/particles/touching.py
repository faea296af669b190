"""Plates that touch: where a straight cut between notches of their common outline parts them, and whether it should."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours
from skimage.segmentation import watershed

from stxmdist.arrays import F64, I32, I64, Mask

MOST_NOTCH_PX, MOST_GROOVE, MOST_STEP = 2.0, 0.3, 0.6
"""Beyond these a notch, a groove or a step tells no more."""

CUT_BEYOND_PX = 2.0
"""A cut is made so much longer than the contour says, which is smoothed and lies inside of notches."""


@dataclass(frozen=True)
class CutOptions:
    """When a cut through a region is believed. The weights were found by logistic regression on 570 true and 35,000
    false cuts through planted plates that touch; the difference of the states of charge on both sides told nothing
    beyond them (1.1 standard errors), because plates of two phases have it too."""

    reach_px: float = 3.5
    """Notches are looked for between points of the outline that are so far from them."""
    aside_px: float = 2.0
    """Thickness beside a cut is taken so far from it, where the point spread function no longer fills a groove."""
    least_notch_px: float = 0.6
    """A cut starts at a notch at least so deep; single plates have none deeper than a tenth of a pixel."""
    least_other_notch_px: float = -0.3
    """The outline at its other end is at most so convex."""
    groove_weight: float = 6.0
    """Of the share of material that lacks along the cut, against pixels of notch."""
    step_weight: float = 4.0
    """Of the difference of thickness on both sides, over their mean."""
    neck_weight: float = 2.5
    """Of the length of the cut over the diameter of the smaller part: against the cut."""
    least_score: float = -0.5
    """At which a cut is as likely true as false."""


@dataclass(frozen=True, eq=False)
class Contours:
    """The outer outline of a region and those of its holes, points half a pixel apart, the region on one side."""

    points_px: F64
    """(POINT, 2) (y, x)"""
    line: I64
    """(POINT,) to which of the outlines each belongs"""
    place: I64
    """(POINT,) its place along it"""
    length: I64
    """(POINT,) points of its outline"""
    notch_px: F64
    """(POINT,) depth of the outline below the chord of its neighbours; negative where it is convex"""


@dataclass(frozen=True, eq=False)
class CutEvidence:
    """What speaks for each of several straight cuts through one region."""

    ends_px: F64
    """(CUT, 2, 2) both ends (y, x)"""
    notch: F64
    """(CUT,) depth of the deeper notch at its ends, pixels"""
    other_notch: F64
    """(CUT,) depth of the other one; negative where the outline is convex there"""
    groove: F64
    """(CUT,) by what share the material is thinner along the cut than on the thinner side of it"""
    step: F64
    """(CUT,) difference of the thicknesses on both sides over their mean"""
    neck: F64
    """(CUT,) length of the cut over the diameter of the circle as large as the smaller part"""
    possible: Mask
    """(CUT,) lies within the region and leaves no part that is too small"""

    def score(self, options: CutOptions) -> F64:
        """(CUT,) how likely the cut parts two plates; -inf where it must not be made."""
        score = (
            np.minimum(self.other_notch, MOST_NOTCH_PX)
            + options.groove_weight * np.clip(self.groove, -MOST_GROOVE, MOST_GROOVE)
            + options.step_weight * np.minimum(self.step, MOST_STEP)
            - options.neck_weight * self.neck
        )
        allowed = self.possible & (self.notch >= options.least_notch_px)
        return np.where(allowed & (self.other_notch >= options.least_other_notch_px), score, -np.inf)


def part_touching(region: Mask, smooth_nm: F64, minimum_px: float, options: CutOptions | None = None) -> I32:
    """Cut one region (Y, X) at notches of its outline into plates, 1, 2, ...; a region without any stays whole.

    Plates are convex: two that touch have a common outline with a notch at each end of their contact, and bevelled rims
    leave a groove between. Each straight cut from a notch to another point of the outline is scored by the notch at its
    other end, by the groove along it, by the step of thickness across and by its length; the best one is made, and both
    parts are looked at again. A cut from the outline to that of a hole, which plates in a ring enclose, only opens it.

    Parameters
    ----------
    region
        (Y, X) bool, connected
    smooth_nm
        (Y, X) float64, nm
    minimum_px
        parts of fewer pixels are not cut off

    Source: own; pairs of concave points as in Farhan et al., Pattern Recognit. 46, 741 (2013).
    """
    options = options or CutOptions()
    parts = np.where(region, 1, 0).astype(np.int32)
    count, at = 1, 1
    while at <= count:
        here = parts == at
        level_nm = half_of_plates(smooth_nm[here])
        pieces = _bridged(here, smooth_nm, level_nm, minimum_px)
        if pieces is None:
            cut = _best_cut(here, smooth_nm, level_nm, minimum_px, options)
            pieces = None if cut is None else _pieces(here, cut, minimum_px)
        if pieces is None:
            at += 1
            continue
        # A cut that opened a ring leaves its own pixels to nobody, for now.
        parts[here & (pieces == 0)] = -1
        for piece in range(2, int(pieces.max()) + 1):
            count += 1
            parts[pieces == piece] = count
    if (parts < 0).any():
        nearest = ndimage.distance_transform_edt(parts <= 0, return_distances=False, return_indices=True)
        parts = np.where(parts < 0, parts[tuple(nearest)], parts)
    return parts


def half_of_plates(thickness_nm: F64) -> float:
    """Half of the thinner plates of a region whose pixels (PIXEL,) these are, nm.

    The outlines of the thicker ones swell a little at that level, those of the thin ones are not lost.
    """
    plates = thickness_nm[thickness_nm > 0.6 * np.percentile(thickness_nm, 80)]
    return 0.5 * float(np.percentile(plates, 20))


def _bridged(here: Mask, smooth_nm: F64, level_nm: float, minimum_px: float) -> I32 | None:
    """The region (Y, X) as 1, 2, ... where only blurred skirts join it; None where more than they does."""
    islands, _ = ndimage.label(here & (smooth_nm >= level_nm))
    sizes = np.bincount(islands.ravel())
    sizes[0] = 0
    wide = np.flatnonzero(sizes >= minimum_px)
    if wide.size < 2:
        return None
    markers = np.zeros(sizes.size, dtype=np.int32)
    markers[wide] = np.arange(1, wide.size + 1)
    return np.asarray(watershed(-smooth_nm, markers[islands], mask=here), dtype=np.int32)


def contours_of(values: F64, level: float, inside: Mask, reach: int, smoothing_px: float = 0.7) -> Contours:
    """The outlines of a region where its smoothed values (Y, X) fall to a level, those of tiny holes left out."""
    filled = np.where(inside, np.clip(values / (2.0 * level), 0.0, 1.0), 0.0)
    image = np.pad(ndimage.gaussian_filter(np.pad(filled, 2), smoothing_px), 1)
    lines = []
    for line in find_contours(image, 0.5):
        closed = line - 3.0
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
        n = round(2.0 * float(along[-1]))
        if n < 3 * reach:
            continue
        at = np.arange(n) * along[-1] / n
        lines.append(np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)]))
    if not lines:
        none = np.zeros(0, dtype=np.int64)
        return Contours(np.zeros((0, 2)), none, none, none, np.zeros(0))
    sizes = [len(line) for line in lines]
    return Contours(
        np.concatenate(lines),
        np.repeat(np.arange(len(lines)), sizes),
        np.concatenate([np.arange(n) for n in sizes]),
        np.repeat(np.asarray(sizes), sizes),
        np.concatenate([notch_depths(line, reach) for line in lines]),
    )


def notch_depths(outline: F64, reach: int) -> F64:
    """(POINT,) depth in pixels of the outline below the chord of the points ``reach`` points away; negative: convex.

    The outline (POINT, 2) runs as ``skimage.measure.find_contours`` lets it, with what is high on its left.
    """
    before, after = np.roll(outline, reach, axis=0), np.roll(outline, -reach, axis=0)
    chord, away = after - before, outline - before
    length = np.maximum(np.hypot(*chord.T), 1e-9)
    return np.asarray((chord[:, 1] * away[:, 0] - chord[:, 0] * away[:, 1]) / length)


def possible_cuts(contours: Contours, least_notch_px: float, apart: int) -> tuple[I64, I64]:
    """Indices (CUT,) of the ends of all straight cuts from a notch of the outline to any of its other points."""
    notch = contours.notch_px
    peaks = (notch >= ndimage.maximum_filter1d(notch, apart | 1, mode="wrap")) & (notch > least_notch_px)
    first = np.flatnonzero(peaks)
    one, other = np.meshgrid(first, np.arange(notch.size), indexing="ij")
    between = np.abs(contours.place[one] - contours.place[other])
    near = np.minimum(between, contours.length[one] - between) < apart
    far = ~near | (contours.line[one] != contours.line[other])
    return one[far], other[far]


def evidence_of(
    contours: Contours, cuts: tuple[I64, I64], smooth_nm: F64, inside: Mask, minimum_px: float, aside_px: float
) -> CutEvidence:
    """Thickness along and beside each cut, and the shape of what it would leave."""
    one, other = cuts
    start, end = contours.points_px[one], contours.points_px[other]
    way = end - start
    length = np.maximum(np.hypot(*way.T), 1e-9)
    normal = np.column_stack([-way[:, 1], way[:, 0]]) / length[:, None]
    share = np.linspace(0.15, 0.85, 8)
    line = start[:, None] + share[None, :, None] * way[:, None]
    weight = inside.astype(np.float64)
    weighed = smooth_nm * weight

    def mean(*offsets: float) -> tuple[F64, F64]:
        covered, total = np.zeros(len(start)), np.zeros(len(start))
        for offset in offsets:
            at = np.moveaxis(line + offset * normal[:, None], 2, 0).reshape(2, -1)
            covered += ndimage.map_coordinates(weight, at, order=1).reshape(len(start), -1).mean(axis=1)
            total += ndimage.map_coordinates(weighed, at, order=1).reshape(len(start), -1).mean(axis=1)
        return np.where(covered > 0.25, total / np.maximum(covered, 1e-9), 0.0), covered

    along, within = mean(0.0)
    (left, _), (right, _) = (mean(side * aside_px, 1.5 * side * aside_px) for side in (1.0, -1.0))
    lower = np.minimum(left, right)
    good = lower > 0
    groove = np.where(good, 1.0 - along / np.where(good, lower, 1.0), -1.0)
    step = np.where(good, np.abs(left - right) / np.maximum(left + right, 1e-9) * 2.0, 0.0)
    smaller = _smaller_part(contours, one, other, float(inside.sum()))
    notch = contours.notch_px
    deeper, shallower = np.maximum(notch[one], notch[other]), np.minimum(notch[one], notch[other])
    neck = length / (2.0 * np.sqrt(np.maximum(smaller, 1e-9) / np.pi))
    ends = np.stack([start, end], axis=1)
    return CutEvidence(ends, deeper, shallower, groove, step, neck, (within > 0.7) & (smaller >= minimum_px))


def _smaller_part(contours: Contours, one: I64, other: I64, whole: float) -> F64:
    """(CUT,) area of the smaller part that a cut leaves; of one that only opens a ring, half of the region."""
    points = contours.points_px
    after = np.roll(points, -1, axis=0)
    cross = points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]
    running = np.concatenate([[0.0], np.cumsum(cross)])
    first, last = np.minimum(one, other), np.maximum(one, other)
    closing = points[last, 0] * points[first, 1] - points[first, 0] * points[last, 1]
    part = 0.5 * np.abs(running[last] - running[first] + closing)
    parts = contours.line[one] == contours.line[other]
    return np.where(parts, np.minimum(part, np.abs(whole - part)), 0.5 * whole)


def _worth_a_look(contours: Contours, cuts: tuple[I64, I64], whole: float, options: CutOptions) -> tuple[I64, I64]:
    """The cuts whose shape alone does not rule them out, whatever groove and step they have."""
    one, other = cuts
    notch = np.minimum(contours.notch_px[one], contours.notch_px[other])
    length = np.hypot(*(contours.points_px[one] - contours.points_px[other]).T)
    neck = length / (2.0 * np.sqrt(np.maximum(_smaller_part(contours, one, other, whole), 1e-9) / np.pi))
    most = options.groove_weight * MOST_GROOVE + options.step_weight * MOST_STEP
    kept = np.minimum(notch, MOST_NOTCH_PX) + most - options.neck_weight * neck >= options.least_score
    kept &= notch >= options.least_other_notch_px
    return one[kept], other[kept]


def _best_cut(here: Mask, smooth_nm: F64, level_nm: float, minimum_px: float, options: CutOptions) -> F64 | None:
    """Ends (2, 2) of the cut with the highest score, None where none is believed."""
    if here.sum() < 2.0 * minimum_px:
        return None
    reach = max(2, round(2 * options.reach_px))
    contours = contours_of(smooth_nm, level_nm, here, reach)
    cuts = _worth_a_look(contours, possible_cuts(contours, options.least_notch_px, reach), float(here.sum()), options)
    if cuts[0].size == 0:
        return None
    evidence = evidence_of(contours, cuts, smooth_nm, here, minimum_px, options.aside_px)
    score = evidence.score(options)
    best = int(np.argmax(score))
    return evidence.ends_px[best] if score[best] >= options.least_score else None


def _pieces(here: Mask, ends_px: F64, minimum_px: float) -> I32 | None:
    """The region (Y, X) on both sides of a cut, 1 and 2; 1 and a gap where it opens a ring; None if nothing changes."""
    way = ends_px[1] - ends_px[0]
    length = float(np.hypot(*way))
    along = way / max(length, 1e-9)
    y, x = np.nonzero(here)
    off = np.stack([y - ends_px[0, 0], x - ends_px[0, 1]])
    ahead, across = along @ off, along[0] * off[1] - along[1] * off[0]
    line = (np.abs(across) <= 0.75) & (ahead > -CUT_BEYOND_PX) & (ahead < length + CUT_BEYOND_PX)
    opened = here.copy()
    opened[y[line], x[line]] = False
    pieces, count = ndimage.label(opened)
    if count == 1:
        return opened.astype(np.int32) if line.any() else None
    side = np.zeros(here.shape)
    side[y, x] = np.where(np.abs(across) < 3.0, across, 0.0) * ((ahead > 0) & (ahead < length))
    half = np.zeros(count + 1, dtype=np.int32)
    half[1:] = np.where(ndimage.sum(side, pieces, np.arange(1, count + 1)) > 0, 2, 1)
    out = half[pieces]
    out[y[line], x[line]] = np.where(across[line] > 0, 2, 1)
    return np.asarray(out, dtype=np.int32) if min((out == 1).sum(), (out == 2).sum()) >= minimum_px else None
