"""Many particles at once: counted in bins, thinned, chosen by a shape. Pure functions of arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.measure import points_in_poly

from stxmdist.arrays import F64, I64, Mask

LEAST_IN_BIN = 5
"""Quartiles of fewer particles say nothing"""


def counts_in_bins(values: F64, group: I64, n_groups: int, edges: F64) -> I64:
    """(GROUP, BIN) particles of each group between the edges; those beyond count in the first and the last bin."""
    n_bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
    counts = np.bincount(group * n_bins + place, minlength=n_groups * n_bins)
    return np.asarray(counts.reshape(n_groups, n_bins), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Trend:
    """Quartiles of one quantity in bins of another; each (BIN,)."""

    x: F64
    """Median of the particles of the bin"""
    low: F64
    middle: F64
    high: F64


def trend(x: F64, y: F64, n_bins: int) -> Trend:
    """Quartiles of ``y`` (PARTICLE,) in bins of ``x`` (PARTICLE,) that hold equally many particles.

    Fewer bins where one would hold less than `LEAST_IN_BIN`; none where there are not so many particles.
    """
    n_bins = min(n_bins, len(x) // LEAST_IN_BIN)
    parts = np.array_split(np.argsort(x, kind="stable"), n_bins) if n_bins else []
    quartiles = np.array([np.percentile(y[part], (25, 50, 75)) for part in parts]).reshape(-1, 3)
    return Trend(np.array([np.median(x[part]) for part in parts]), *quartiles.T)


def thinned(n: int, most: int) -> I64:
    """Places of at most so many of ``n`` particles, evenly over their order; the same ones each time."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.int64)


@dataclass(frozen=True)
class Shape:
    """A closed line in the plane of size (a logarithm) and state of charge."""

    x: tuple[float, ...]
    """um"""
    y: tuple[float, ...]

    @classmethod
    def box(cls, x_low: float, x_high: float, y_low: float, y_high: float) -> "Shape":
        """A rectangle."""
        return cls((x_low, x_high, x_high, x_low), (y_low, y_low, y_high, y_high))

    @classmethod
    def parse(cls, text: str) -> "Shape | None":
        """Of ``x,y,x,y,...``; None where that is no shape."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            return None
        x, y = numbers[::2], numbers[1::2]
        whole = len(x) == len(y) >= 3 and all(map(math.isfinite, numbers)) and min(x) > 0
        return cls(tuple(x), tuple(y)) if whole else None

    def holds(self, x: F64, y: F64) -> Mask:
        """(PARTICLE,) which of the particles lie in it."""
        corners = np.column_stack([np.log(self.x), self.y])
        found = np.zeros(len(x), bool)
        usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
        found[usable] = points_in_poly(np.column_stack([np.log(x[usable]), y[usable]]), corners)
        return found


def spread_over(values: F64, most: int) -> Sequence[int]:
    """Places of at most so many values, from the lowest to the highest in equal steps of their order."""
    order = np.argsort(values, kind="stable")
    return [int(place) for place in order[thinned(len(values), most)]]
