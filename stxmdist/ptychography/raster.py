"""Scans on a raster: frames cannot tell whether the object or the probe has a pattern with the periods of the raster.

If O and P explain the frames, so do O g and P / g, for any g that has the steps of the scan as its periods (raster-grid
pathology). Irregular start positions lessen it; or the pattern is moved from the object to the probe.

Source: Thibault et al., Ultramicroscopy 109, 338 (2009).
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, C128, F32, F64, Array

REGULAR = 0.02
"""Positions lie on a raster up to this rms distance from its points, as share of the step"""

_FEWEST = 9
"""Fewer positions than this lie on some raster whatever they are"""

_ASIDE = 0.3
"""A step has another direction than the first if it ends at least this far from its line, as share of its length"""

_MOST = 400
"""Most harmonics of a pattern, the widest first: where steps are wider than 20 pixels, the finest are left out"""

_LEAST = 0.2
"""Smallest modulus of a pattern: an object is divided by it"""


@dataclass(frozen=True, eq=False)
class Pattern:
    """A function g with the steps of a raster as its periods and the mean 1, as a sum of harmonics."""

    frequency: F64
    """(HARMONIC, 2) cycles per pixel, y and x"""
    strength: C128
    """(HARMONIC,) complex amplitudes relative to the mean"""

    def values(self, first: F64, shape: tuple[int, int]) -> C64:
        """Its values on a grid (rows, columns) of pixels whose first pixel lies at ``first`` (2,)."""
        rows, columns = (
            np.exp(2j * np.pi * (start + np.arange(side))[:, None] * along)
            for start, side, along in zip(first, shape, self.frequency.T, strict=True)
        )
        found = 1.0 + (rows * self.strength) @ columns.T
        return np.asarray(found * np.maximum(1.0, _LEAST / np.maximum(np.abs(found), 1e-12)), np.complex64)


def raster_steps(positions_px: F64) -> F64 | None:
    """The two steps (2, 2) in pixels, one in each row, of the raster on which all positions (POSITION, 2) lie.

    None where they lie on no raster.
    """
    if len(positions_px) < _FEWEST:
        return None
    from scipy.spatial import cKDTree

    near = cKDTree(positions_px).query(positions_px, k=min(9, len(positions_px)))[1][:, 1:]
    apart = (positions_px[near] - positions_px[:, None]).reshape(-1, 2)
    length = np.hypot(apart[:, 0], apart[:, 1])
    first = _typical(apart, length)
    if first is None:
        return None
    # The second step is one that leads in another direction.
    across = np.abs(apart[:, 0] * first[1] - apart[:, 1] * first[0]) / np.hypot(*first)
    aside = across > _ASIDE * np.hypot(*first)
    second = _typical(apart[aside], length[aside]) if aside.any() else None
    if second is None:
        return None
    steps = np.stack([first, second])
    for _ in range(3):
        knots = np.round((positions_px - positions_px[0]) @ np.linalg.inv(steps))
        terms = np.column_stack([np.ones(len(knots)), knots])
        found, _, rank, _ = np.linalg.lstsq(terms, positions_px, rcond=None)
        if rank < 3 or abs(np.linalg.det(found[1:])) < 1e-6:
            return None
        steps = found[1:]
    left = positions_px - terms @ found
    off = float(np.sqrt((left**2).sum(axis=1).mean()))
    return steps if off < REGULAR * np.hypot(*steps.T).min() else None


def _typical(apart: F64, length: F64) -> F64 | None:
    """The shortest step (2,) that many neighbours have in common, the mean over them; opposite steps are the same."""
    usable = length > 1e-6
    if not usable.any():
        return None
    shortest = float(np.percentile(length[usable], 10))
    alike = apart[usable & (length < 1.1 * shortest)]
    lead = alike[0]
    turned = alike * np.sign(alike @ lead)[:, None]
    same = np.hypot(*(turned - lead).T) < 0.3 * np.hypot(*lead)
    return np.asarray(turned[same].mean(axis=0))


def periodic_pattern(object_: C64, steps_px: F64, light: F32) -> Pattern:
    """The pattern of an object (Y, X), relative to its mean, that repeats with both steps (2, 2) where there is light.

    ``light`` (Y, X) is the illumination. With the object divided by the pattern, and the probe multiplied by its values
    at any position of the scan, no exit wave changes. A true structure with exactly the periods of the scan is removed
    too, because no frame tells one from the other.
    """
    # Light on a raster has the same periods: only bright pixels count, and the harmonics of their outline are
    # subtracted.
    lit = (light > 0.5 * np.median(light[light > 0.1 * light.max()])).astype(np.float64)
    seen = object_ * lit
    reciprocal = np.linalg.inv(steps_px).T
    most = np.ceil(0.75 * np.hypot(*steps_px.T)).astype(int)
    orders = np.indices(2 * most + 1).reshape(2, -1).T - most
    frequency = orders @ reciprocal
    frequency = frequency[(np.abs(frequency) < 0.5).all(axis=1) & orders.any(axis=1)]
    frequency = frequency[np.argsort(np.hypot(*frequency.T), kind="stable")[:_MOST]]
    rows, columns = (
        np.exp(-2j * np.pi * np.arange(side)[:, None] * along)
        for side, along in zip(object_.shape, frequency.T, strict=True)
    )

    def share(values: Array) -> C128:
        return np.asarray((rows * (values @ columns)).sum(axis=0) / values.sum())

    return Pattern(frequency, share(seen) - share(lit))
