"""What a registration holds on to: particles, and tiles of larger ones, and by how much each of them lies off."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, I64, Mask, Real

MARGIN_PX = 4
"""Pixels around a particle that belong to its landmark: its outline is what moves."""

LEAST_PIXELS = 24
"""A landmark with fewer known pixels is none: six numbers are fitted to it"""


@dataclass(frozen=True, eq=False)
class Displacements:
    """By how much each landmark of the warped image lies off in the fixed one; what is not known is NaN."""

    centre_um: F64
    """(LANDMARK, 2): (y, x) in the fixed image, before the displacement"""
    displacement_um: F64
    """(LANDMARK, 2): place in the fixed image less that in the warped one"""
    covariance_um2: F64
    """(LANDMARK, 2, 2): what noise does to it"""
    score: F64
    """(LANDMARK,) correlation of both images over the landmark's pixels"""
    pixels: I64
    """(LANDMARK,)"""


def level_of(image: Real) -> float:
    """Optical density half-way between the empty and the covered part of an image: Otsu's threshold of known pixels.

    Source: Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979).
    """
    values = image[np.isfinite(image)]
    counts, edges = np.histogram(values, bins=128)
    middle = (edges[1:] + edges[:-1]) / 2.0
    below, sum_below = np.cumsum(counts), np.cumsum(counts * middle)
    above, sum_above = below[-1] - below, sum_below[-1] - sum_below
    good = (below > 0) & (above > 0)
    between = np.where(
        good, below * above * (sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)) ** 2, -1.0
    )
    return float(middle[int(np.argmax(between))])


def landmarks(image: Real, tallest_px: float, widest_px: float) -> I32:
    """Labels (Y, X) of landmarks: particles above Otsu's threshold with a margin, cut into tiles where they are large.

    Parameters
    ----------
    image
        (Y, X) optical density, NaN where not known
    tallest_px, widest_px
        what spreads further than this along rows or columns is cut into parts of about equal size

    Returns
    -------
    labels
        (Y, X) int32, 0 where there is none
    """
    known = np.isfinite(image)
    if not known.any():
        return np.zeros(image.shape, np.int32)
    smooth = ndimage.gaussian_filter(np.where(known, image, 0.0), 1.0)
    covered = known & (smooth > level_of(image))
    labels, n = ndimage.label(covered)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    labels[sizes[labels] < 4] = 0
    next_label = n + 1
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        extent = [side.stop - side.start for side in box]
        parts = [max(1, round(length / most)) for length, most in zip(extent, (tallest_px, widest_px), strict=True)]
        if parts == [1, 1]:
            continue
        rows, columns = np.nonzero(labels[box] == index)
        cell = (rows * parts[0] // extent[0]) * parts[1] + columns * parts[1] // extent[1]
        labels[box][rows, columns] = next_label + cell
        next_label += parts[0] * parts[1]
    distance, (row, column) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    near = np.where((distance <= MARGIN_PX) & known, labels[row, column], 0)
    _, compact = np.unique(near, return_inverse=True)
    # Where no pixel is free of landmarks, the first label is a landmark too.
    first = 0 if (near == 0).any() else 1
    return np.asarray(compact.reshape(near.shape) + first, dtype=np.int32)


def whole_pixel_displacements(
    labels: I32, warped: Real, fixed: Real, origin_um: F64, pitch_um: float, reach_px: int
) -> Displacements:
    """The whole-pixel shift of each landmark with the largest correlation within a reach; its error is half a pixel."""
    where, label, values = _pixels(labels, warped)
    n = int(labels.max(initial=0))
    best, best_score = np.full((n, 2), np.nan), np.full(n, -np.inf)
    padded = np.pad(fixed, reach_px, constant_values=np.nan)
    for row in range(-reach_px, reach_px + 1):
        for column in range(-reach_px, reach_px + 1):
            other = padded[where[0] + reach_px + row, where[1] + reach_px + column]
            score = _correlations(label, values, other, n)
            better = score > best_score
            best[better], best_score[better] = (row, column), score[better]
    found = np.isfinite(best_score)
    covariance = np.broadcast_to(np.eye(2) * (0.5 * pitch_um) ** 2, (n, 2, 2))
    return Displacements(
        centre_um=_centres(where, label, np.ones(label.size), n, origin_um, pitch_um),
        displacement_um=np.where(found[:, None], best * pitch_um, np.nan),
        covariance_um2=np.where(found[:, None, None], covariance, np.nan),
        score=np.where(found, best_score, np.nan),
        pixels=np.bincount(label, minlength=n),
    )


def displacements(labels: I32, warped: Real, fixed: Real, origin_um: F64, pitch_um: float) -> Displacements:
    """One Gauss-Newton step of the shift of each landmark, with its own gain and offset.

    Parameters
    ----------
    labels
        (Y, X) int32 of `landmarks`
    warped, fixed
        (Y, X) the moving image on the grid of the fixed one, and that one; NaN where not known
    origin_um
        (2,) coordinates of the first pixel

    Source: Lucas, Kanade, Proc. IJCAI (1981); covariance: inverse curvature times the residual's variance and the
    number of pixels over which the residual is alike.
    """
    gradient = np.array(np.gradient(np.asarray(warped, dtype=np.float64), pitch_um))
    usable = np.where(np.isfinite(fixed) & np.isfinite(gradient).all(axis=0), labels, 0)
    where, label, values = _pixels(usable, warped)
    n = int(labels.max(initial=0))
    wanted = np.asarray(fixed[where], dtype=np.float64)
    count = np.bincount(label, minlength=n).astype(np.float64)
    slopes = gradient[:, where[0], where[1]]

    def sums(values: F64) -> F64:
        return np.asarray(np.bincount(label, values, minlength=n))

    def centred(values: F64) -> F64:
        return np.asarray(values - (sums(values) / np.maximum(count, 1))[label])

    m, f, g = centred(values), centred(wanted), np.stack([centred(part) for part in slopes])
    m_m, f_m, f_f = sums(m * m), sums(f * m), sums(f * f)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain, score = f_m / m_m, f_m / np.sqrt(m_m * f_f)
        residual = f - gain[label] * m
        # What the gain can do as well is no displacement.
        jacobian = -gain[label] * (g - np.stack([(sums(part * m) / m_m)[label] for part in g]) * m)
        curvature = np.array([[sums(jacobian[i] * jacobian[j]) for j in range(2)] for i in range(2)])
        gradient_of = np.array([sums(jacobian[i] * residual) for i in range(2)])
        power = sums(residual**2) / np.maximum(count - 4.0, 1.0)
    good = (count >= LEAST_PIXELS) & np.isfinite(score) & (gain > 0) & (score > 0)
    typical = float(np.median(power[good])) if good.any() else 0.0
    # Few pixels say little of their own noise; what all landmarks say counts as twenty.
    power = (power * count + 20.0 * typical) / (count + 20.0)
    power *= _alike(residual, where, good[label], (labels.shape[0], labels.shape[1]))
    h = np.moveaxis(curvature, 2, 0)
    h = np.where(good[:, None, None], h, np.eye(2))
    # Along a straight edge nothing is known: a millionth of the other direction keeps the inverse finite.
    h = h + 1e-6 * np.trace(h, axis1=1, axis2=2)[:, None, None] * np.eye(2)
    inverse = np.linalg.inv(h)
    step = np.einsum("lij,lj->li", inverse, np.nan_to_num(gradient_of.T))
    weight = np.nan_to_num((jacobian**2).sum(axis=0))
    return Displacements(
        centre_um=_centres(where, label, weight + 1e-12, n, origin_um, pitch_um),
        displacement_um=np.where(good[:, None], step, np.nan),
        covariance_um2=np.where(good[:, None, None], inverse * power[:, None, None], np.nan),
        score=np.where(good, score, np.nan),
        pixels=count.astype(np.int64),
    )


def _pixels(labels: I32, values: Real) -> tuple[tuple[I64, I64], I64, F64]:
    """(row, column), landmark 0, 1, ..., and value (PIXEL,) of the known pixels of landmarks."""
    where = np.nonzero((labels > 0) & np.isfinite(values))
    return (where[0], where[1]), np.asarray(labels[where] - 1, dtype=np.int64), np.asarray(values[where], np.float64)


def _correlations(label: I64, one: F64, other: Real, n: int) -> F64:
    """(LANDMARK,) Pearson correlation of the pixels known in both; -inf where too few are."""
    both = np.isfinite(other)
    label, one, other = label[both], one[both], other[both]
    count = np.maximum(np.bincount(label, minlength=n), 1)
    a, b = (np.bincount(label, values, minlength=n) for values in (one, other))
    aa, bb, ab = (np.bincount(label, values, minlength=n) for values in (one * one, other * other, one * other))
    spread = (aa - a * a / count) * (bb - b * b / count)
    good = (count >= LEAST_PIXELS) & (spread > 1e-12)
    return np.where(good, (ab - a * b / count) / np.sqrt(np.where(good, spread, 1.0)), -np.inf)


def _centres(where: tuple[I64, I64], label: I64, weight: F64, n: int, origin_um: F64, pitch_um: float) -> F64:
    total = np.maximum(np.bincount(label, weight, minlength=n), 1e-300)
    return np.stack(
        [np.bincount(label, weight * axis, minlength=n) / total * pitch_um for axis in where], axis=1
    ) + np.asarray(origin_um)


def _alike(residual: F64, where: tuple[I64, I64], used: Mask, shape: tuple[int, int]) -> float:
    """Pixels over which the residual is alike, at least 1: misfit at outlines is no white noise."""
    image = np.zeros(shape)
    image[where] = np.where(used, np.nan_to_num(residual), 0.0)
    power = float((image**2).sum())
    if power <= 0.0:
        return 1.0
    area = 1.0
    for row, column in [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)]:
        one = image[max(0, row) :, max(0, column) : shape[1] + min(0, column)]
        other = image[: shape[0] - row, max(0, -column) : shape[1] - max(0, column)]
        area += 2.0 * float((one * other).sum()) / power
    return max(1.0, area)
