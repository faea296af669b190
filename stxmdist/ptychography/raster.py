"""Scans on a raster: what repeats with their steps can be the object's or the beam's, and frames cannot tell whose.

With O also O g explains the frames, and with P also P / g, for any g that has the steps of the scan as its periods. A
start that breaks the order, or what hands such a pattern from the object to the beam, decides.

Source: Thibault et al., Ultramicroscopy 109, 338 (2009).
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, C128, F32, F64, Array

REGULAR = 0.02
"""Rms distance from the nearest knot, as share of the step, up to which positions lie on a raster"""

_FEWEST = 9
"""Positions below which any lie on some raster"""

_ASIDE = 0.3
"""Distance from the line of the first step, as share of its length, from which a way is another"""

_MOST = 400
"""Harmonics that a pattern has at most, the widest first: where steps are wider than 20 pixels the finest are left"""

_LEAST = 0.2
"""Smallest modulus of a pattern by which an object is divided"""


@dataclass(frozen=True, eq=False)
class Pattern:
    """A function g with the steps of a raster as its periods, mean 1, by its harmonics."""

    frequency: F64
    """(HARMONIC, 2) cycles per pixel, y and x"""
    strength: C128
    """(HARMONIC,) complex amplitudes relative to the mean"""

    def on(self, first: F64, shape: tuple[int, int]) -> C64:
        """Its values on a grid (rows, columns) of pixels that begins at ``first`` (2,)."""
        rows, columns = (
            np.exp(2j * np.pi * (start + np.arange(side))[:, None] * along)
            for start, side, along in zip(first, shape, self.frequency.T, strict=True)
        )
        values = 1.0 + (rows * self.strength) @ columns.T
        return np.asarray(values * np.maximum(1.0, _LEAST / np.maximum(np.abs(values), 1e-12)), np.complex64)


def raster_steps(positions_px: F64) -> F64 | None:
    """The two steps (2, 2) in pixels, one in each row, of a raster that all positions (POSITION, 2) lie on; None where
    they lie on none.
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
    # Of the others, those that lead aside.
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
    """The mean (2,) of the shortest way that many neighbours are apart; opposite ways are one."""
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
    """What of the object (Y, X), relative to its mean, repeats with both steps (2, 2) where there is light (Y, X).

    Divided by it the object loses the pattern; the probe times it at any position of the scan makes up for that: no
    exit wave changes. A true structure with just the periods of the scan goes too: no frame tells one from the other.
    """
    # Light on a raster has the same periods: only where it is bright counts, and of that outline its own
    # share comes off.
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
