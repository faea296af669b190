"""Particles as labelled regions of a thickness map: threshold, distance transform, watershed, half-height outline."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.errors import InputError

EDT_STEPS_PER_PX = 100
"""The distance transform is rounded to 1/100 px, because h-maxima of floating point images are not exact."""

NOISE_SIGMAS = 4.0
"""A particle stands this many standard deviations of the empty field above it (one false pixel in 30,000)."""


@dataclass(frozen=True)
class SegmentOptions:
    """How particles are separated from the empty field and from each other."""

    smoothing_px: float = 0.7
    """Gaussian sigma of the smoothing before the threshold, pixels."""
    minimum_thickness_nm: float = 20.0
    """No particle is thinner than this: its edge jump would be too small to give a state of charge."""
    minimum_diameter_um: float = 0.15
    """Regions of a smaller equivalent diameter are dropped: they are noise, or smaller than the resolution."""
    outline_fraction: float = 0.5
    """The outline lies where thickness falls to this fraction of the particle's plateau; a half is unbiased for any
    symmetric point spread function at a straight edge."""
    h_px: float = 0.75
    """Two maxima of the distance transform are two particles only if the saddle between is this much lower, pixels."""
    neck_fraction: float = 0.75
    """Two maxima are two particles only if the neck is also narrower than this fraction of the inscribed circle of the
    smaller one."""


def segment(thickness_nm: Real, known: Mask, pixel_nm: float, options: SegmentOptions | None = None) -> I32:
    """Label the particles of a thickness map; 0 is the empty field and what is not known.

    Otsu's threshold is taken twice, the second time on thickness clipped at the median plateau of the first, because
    it sits too high where thickness varies from particle to particle. Regions are split at the necks of their distance
    transform, and each is then trimmed to half of its own plateau.

    Parameters
    ----------
    thickness_nm
        (Y, X) floating, nm; NaN where not known
    known
        (Y, X) bool, False where thickness was not measured or may not be trusted
    pixel_nm
        pitch of the (square) pixels, nm

    Returns
    -------
    labels
        (Y, X) int32, numbered 1, 2, ... by the position of the centroid (rows first)

    Raises
    ------
    InputError
        where shapes differ or the pixel pitch is not positive.

    Source: Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979); Soille, Morphological Image Analysis (2003), 6.3 and 9.2.
    """
    options = options or SegmentOptions()
    _check(thickness_nm, known, pixel_nm)
    usable = known & np.isfinite(thickness_nm)
    labels = np.zeros(thickness_nm.shape, dtype=np.int32)
    if not usable.any():
        return labels
    smooth = smoothed(thickness_nm, usable, options.smoothing_px)
    threshold = particle_threshold(smooth[usable], options.minimum_thickness_nm)
    if threshold is None:
        return labels
    minimum_px = np.pi / 4.0 * (options.minimum_diameter_um * 1e3 / pixel_nm) ** 2
    foreground = _without_small(usable & (smooth > threshold), minimum_px)
    basins = split_touching(foreground, options.h_px, options.neck_fraction)
    outlined = _outline(basins, smooth, options.outline_fraction)
    return _renumbered(_without_small_labels(outlined, minimum_px))


def smoothed(values: Real, usable: Mask, sigma_px: float) -> F64:
    """Gaussian smoothing of (Y, X) that ignores what is not usable (normalised convolution); 0 there."""
    if sigma_px <= 0:
        return np.where(usable, values, 0.0).astype(np.float64)
    weight = ndimage.gaussian_filter(usable.astype(np.float64), sigma_px, mode="nearest")
    total = ndimage.gaussian_filter(np.where(usable, values, 0.0).astype(np.float64), sigma_px, mode="nearest")
    return np.asarray(np.where(usable, total / np.maximum(weight, 1e-9), 0.0), dtype=np.float64)


def particle_threshold(thickness_nm: Real, minimum_thickness_nm: float) -> float | None:
    """The thickness that separates particle from empty field, or None where there is no contrast to separate.

    A field without particles (or one full of a single plate) is cut by Otsu somewhere inside its noise: the two
    classes must lie apart by the minimum thickness and by several standard deviations of the lower class.

    Parameters
    ----------
    thickness_nm
        (PIXEL,) floating, nm, finite
    """
    low, high = np.percentile(thickness_nm, [0.1, 99.9])
    if not high > low:
        return None
    clipped = np.clip(thickness_nm, low, high)
    first = float(threshold_otsu(clipped))
    above = clipped > first
    if not above.any() or above.all():
        return None
    plateau = float(np.median(clipped[above]))
    threshold = float(threshold_otsu(np.minimum(clipped, plateau)))
    empty = clipped[clipped <= threshold]
    centre = float(np.median(empty))
    # The lower half only: the upper half of the empty field holds the blurred feet of the particles.
    below = empty[empty <= centre]
    sigma = 1.4826 * float(np.median(centre - below))
    if plateau - centre < max(minimum_thickness_nm, 2.0 * NOISE_SIGMAS * sigma):
        return None
    # Half of Otsu's height above the empty field lets plates much thinner than the median in;
    # each outline is set by its own plateau later, so this does not swell the others.
    detection = centre + 0.6 * (threshold - centre)
    return max(detection, centre + NOISE_SIGMAS * sigma, 0.5 * minimum_thickness_nm)


def split_touching(foreground: Mask, h_px: float, neck_fraction: float) -> I32:
    """Cut (Y, X) foreground at its necks: watershed of the distance transform, basins without a true neck rejoined."""
    # The border of the field is no outline: a particle that it cuts is not narrower there.
    distance = ndimage.distance_transform_edt(np.pad(foreground, 1, mode="edge"))[1:-1, 1:-1]
    steps = np.round(distance * EDT_STEPS_PER_PX).astype(np.int32)
    if not foreground.any():
        return np.zeros(foreground.shape, dtype=np.int32)
    markers, _ = ndimage.label(h_maxima(steps, max(1, round(h_px * EDT_STEPS_PER_PX))), structure=np.ones((3, 3)))
    markers[~foreground] = 0
    basins = watershed(-steps, markers, mask=foreground)
    return _rejoined(np.asarray(basins, dtype=np.int32), np.asarray(distance), neck_fraction)


def _rejoined(basins: I32, distance: F64, neck_fraction: float) -> I32:
    """Join basins whose common border is as wide as the smaller of them: pixelation made them, not two plates."""
    count = int(basins.max())
    peak = np.zeros(count + 1)
    np.maximum.at(peak, basins.ravel(), distance.ravel())
    saddle: dict[tuple[int, int], float] = {}
    for one, other, depth_one, depth_other in (
        (basins[1:], basins[:-1], distance[1:], distance[:-1]),
        (basins[:, 1:], basins[:, :-1], distance[:, 1:], distance[:, :-1]),
    ):
        border = (one != other) & (one > 0) & (other > 0)
        depths = np.minimum(depth_one, depth_other)[border]
        for a, b, depth in zip(one[border].tolist(), other[border].tolist(), depths.tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            saddle[pair] = max(saddle.get(pair, 0.0), depth)
    parent = list(range(count + 1))

    def root(label: int) -> int:
        while parent[label] != label:
            label = parent[label]
        return label

    # Widest necks first, and the joined basin inherits the larger circle.
    for (a, b), depth in sorted(saddle.items(), key=lambda item: (-item[1], item[0])):
        one_root, other_root = root(a), root(b)
        if one_root != other_root and depth >= neck_fraction * min(peak[one_root], peak[other_root]):
            keep, gone = min(one_root, other_root), max(one_root, other_root)
            parent[gone] = keep
            peak[keep] = max(peak[keep], peak[gone])
    return np.asarray([root(label) for label in range(count + 1)], dtype=np.int32)[basins]


def _outline(basins: I32, smooth: F64, fraction: float) -> I32:
    """Trim each basin to what stands above a fraction of its plateau: the largest connected piece, holes filled."""
    out = np.zeros_like(basins)
    for label, box in enumerate(ndimage.find_objects(basins), start=1):
        if box is None:
            continue
        inside = basins[box] == label
        values = smooth[box][inside]
        # The 80th percentile is on the plateau even of a plate with as many rim as inner pixels.
        plateau = float(np.percentile(values, 80))
        pieces, count = ndimage.label(inside & (smooth[box] >= fraction * plateau))
        if count == 0:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        body = ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes))) & inside
        out[box][body] = label
    return out


def _without_small(foreground: Mask, minimum_px: float) -> Mask:
    pieces, _ = ndimage.label(foreground)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(sizes[pieces] >= max(1.0, minimum_px))


def _without_small_labels(labels: I32, minimum_px: float) -> I32:
    sizes = np.bincount(labels.ravel())
    return np.where(sizes[labels] >= max(1.0, minimum_px), labels, 0).astype(np.int32)


def _renumbered(labels: I32) -> I32:
    """Number by position alone, so that equal maps get equal numbers whatever order they were cut in."""
    present = np.unique(labels[labels > 0])
    if present.size == 0:
        return np.zeros_like(labels)
    centres = np.asarray(ndimage.center_of_mass(np.ones_like(labels), labels, present)).round(6)
    order = np.lexsort((present, centres[:, 1], centres[:, 0]))
    lookup = np.zeros(int(labels.max()) + 1, dtype=np.int32)
    lookup[present[order]] = np.arange(1, present.size + 1, dtype=np.int32)
    return np.asarray(lookup[labels])


def without_gaps(labels: I32) -> I32:
    """Labels (Y, X) numbered 1, 2, ... again, in the same order; what is below 1 stays."""
    present = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(present, labels) + 1, labels).astype(np.int32)


def _check(thickness_nm: Real, known: Mask, pixel_nm: float) -> None:
    if thickness_nm.ndim != 2 or thickness_nm.shape != known.shape:
        raise InputError(
            where="particles.segment",
            problem="the thickness map and the map of known pixels do not match",
            got=f"shapes {thickness_nm.shape} and {known.shape}",
            wanted="two maps (Y, X) of one shape",
            mend="Pass both from the same fit",
        )
    if not pixel_nm > 0:
        raise InputError(
            where="particles.segment",
            problem="the pixel pitch is not a length",
            got=pixel_nm,
            wanted="nm above 0",
            mend="Take it from the map's x_um coordinates",
        )
