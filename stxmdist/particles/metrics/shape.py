"""Shape of a particle's rim in front of the point spread function: calipers, perimeter, circularity, orientation."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews

DIRECTIONS = 180
"""Of the calipers, over half a turn."""
LEAST_STEP_PX, STEP_SIGMAS = 1.0, 2.0
"""Vertices nearer than this, in pixels and in sigmas of the point spread function, are smoothed over before the
perimeter is measured: their steps are of the grid, and of noise."""
CALIPER_BIAS = 0.8
"""Both ends of a caliper rest where noise moves the rim out furthest: by so much of what it moves single places
(closure on planted plates, 0.7 to 0.9)"""
MOST_LONGER = 0.2
"""Share of a perimeter that is taken off for noise, at most"""
CALIPER_DOUBT_SIGMAS = 0.2
"""Standard error that the shape of corners adds, in sigmas of the point spread function (closure on planted plates)"""
LEAST_VERTICES = 8

SHAPE_COLUMNS = (
    "feret_max_um",
    "feret_min_um",
    "perimeter_um",
    "circularity",
    "convexity",
    "orientation_deg",
)


def shape(views: ParticleViews) -> Mapping[str, F64]:
    """Feret diameters, Crofton's perimeter, circularity 4 pi A / P^2, convexity and orientation of the long axis.

    A rim that lies further out by e makes Feret diameters larger by 2 e and the perimeter by 2 pi e (Steiner). Noise
    moves both ends of a caliper out and makes a perimeter longer: that is taken off. All of it gives standard errors.
    Orientation is that of the ellipse of equal second moments, from +x towards +y, 0 to 180 degrees.

    Source: calipers and perimeter by Cauchy and Crofton, Santalo, Integral Geometry (2004), I.3; Steiner's formula.
    """
    unknown = {name: np.full(len(views.soc), np.nan) for name in SHAPE_COLUMNS}
    if views.outline_px is None or len(views.outline_px) < LEAST_VERTICES:
        return unknown
    um = views.pixel_nm * 1e-3
    measured = shape_of(views.outline_px * um, um * max(LEAST_STEP_PX, STEP_SIGMAS * views.sigma_px))
    whole, places, corners = (
        um * part for part in (views.outline_se_px, views.outline_noise_px, CALIPER_DOUBT_SIGMAS * views.sigma_px)
    )
    caliper = float(np.sqrt(4.0 * whole**2 + 2.0 * places**2 + 2.0 * corners**2))
    further = CALIPER_BIAS * places
    measured |= {name: measured[name] - further for name in ("feret_max_um", "feret_min_um")}
    # A wave of height p and length s makes a line longer by a share of (p / s)^2 / 4.
    longer = measured["perimeter_um"] * min(0.25 * (views.outline_noise_px / views.sigma_px) ** 2, MOST_LONGER)
    measured["circularity"] *= (measured["perimeter_um"] / (measured["perimeter_um"] - longer)) ** 2
    measured["perimeter_um"] -= longer
    along = np.sqrt(4.0 * np.pi**2 * whole**2 + 4.0 * places**2 + 16.0 * corners**2 + longer**2)
    errors = {"feret_max_um_se": caliper, "feret_min_um_se": caliper, "perimeter_um_se": float(along)}
    # Of every view the rim is the same.
    return {name: np.full(len(views.soc), value) for name, value in (measured | errors).items()}


def shape_of(rim_um: F64, smooth_um: float) -> dict[str, float]:
    """The metrics of one closed rim (VERTEX, 2) (y, x) in um; steps shorter than ``smooth_um`` are smoothed over."""
    rim = _even(rim_um, smooth_um / 4.0)
    try:
        hull = rim[ConvexHull(rim).vertices]
    except QhullError:
        return dict.fromkeys(SHAPE_COLUMNS, float("nan"))
    angle = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    widths = np.ptp(hull @ np.stack([np.sin(angle), np.cos(angle)]), axis=0)
    # The hull's vertices alone, as those of a smooth rim lie evenly: Cauchy's formula is exact for it.
    of_hull = float(np.pi * widths.mean())
    smooth = ndimage.gaussian_filter1d(rim, 2.0, axis=0, mode="wrap")
    length, hulled = _length(smooth), _length(smooth[ConvexHull(smooth).vertices])
    convexity = min(1.0, hulled / length)
    perimeter = of_hull / convexity
    area, tensor = _moments(rim)
    values, vectors = np.linalg.eigh(tensor)
    long = vectors[:, int(np.argmax(values))]
    return {
        "feret_max_um": float(widths.max()),
        "feret_min_um": float(widths.min()),
        "perimeter_um": perimeter,
        "circularity": 4.0 * np.pi * area / perimeter**2,
        "convexity": convexity,
        "orientation_deg": float(np.degrees(np.arctan2(long[0], long[1])) % 180.0),
    }


def _even(rim: F64, step: float) -> F64:
    """The rim with vertices a step apart."""
    closed = np.concatenate([rim, rim[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    n = max(16, int(np.ceil(along[-1] / step)))
    at = np.arange(n) * along[-1] / n
    return np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)])


def _length(rim: F64) -> float:
    return float(np.hypot(*(np.roll(rim, -1, axis=0) - rim).T).sum())


def _moments(rim: F64) -> tuple[float, F64]:
    """Area of a polygon, and its central second moments (2, 2) over the area."""
    middle = rim.mean(axis=0)
    here = rim - middle
    after = np.roll(here, -1, axis=0)
    cross = here[:, 0] * after[:, 1] - after[:, 0] * here[:, 1]
    area = 0.5 * float(cross.sum())
    centre = ((here + after) * cross[:, None]).sum(axis=0) / (6.0 * area)
    tensor = np.empty((2, 2))
    for i in (0, 1):
        for j in (0, 1):
            both = (
                2.0 * here[:, i] * here[:, j]
                + here[:, i] * after[:, j]
                + after[:, i] * here[:, j]
                + 2.0 * after[:, i] * after[:, j]
            )
            tensor[i, j] = (both * cross).sum() / (24.0 * area) - centre[i] * centre[j]
    return abs(area), tensor
