"""Whether neighbouring particles of a field of view are alike: mark correlation and join counts, permuted within it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from stxmdist.arrays import F64, I64, Mask

MOST_NUMBERS = 4_000_000
"""That are held at once while permuting"""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of particles of one scan that lie near each other."""

    one: I64
    """(PAIR,) index of a particle"""
    other: I64
    bin: I64
    """(PAIR,) which of the distances"""
    counts: F64
    """(BIN,) number of pairs"""


@dataclass(frozen=True, eq=False)
class MarkSums:
    """Sums of products of marks over pairs, as seen and as permuted; 0 where a bin has no pair."""

    seen: F64
    """(MARK, BIN)"""
    permuted: F64
    """(MARK, PERMUTATION, BIN)"""
    counts: F64
    """(BIN,) number of pairs"""

    def __add__(self, other: "MarkSums") -> "MarkSums":
        return MarkSums(self.seen + other.seen, self.permuted + other.permuted, self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class MarkTest:
    """A mean over pairs of each distance against permutations; each (BIN,) float64, NaN of no pairs."""

    mean: F64
    null_mean: F64
    null_low: F64
    """2.5th percentile of the permutations"""
    null_high: F64
    p: F64
    """Two-sided"""


def nearest_distance(y_um: F64, x_um: F64, scan: I64) -> float:
    """Median distance of a particle's nearest neighbour in its scan, um; NaN where no scan has two particles."""
    nearest = []
    for index in np.unique(scan):
        here = np.flatnonzero(scan == index)
        if len(here) > 1:
            places = np.column_stack([y_um[here], x_um[here]])
            nearest.append(KDTree(places).query(places, k=2)[0][:, 1])
    return float(np.median(np.concatenate(nearest))) if nearest else float("nan")


def near_pairs(y_um: F64, x_um: F64, scan: I64, edges_um: F64) -> Pairs:
    """All pairs within a scan whose distance lies between the first and the last of ``edges_um`` (BIN + 1,).

    Pairs of different scans are none: two scans of one region would pair a particle with itself.
    """
    ones, others = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for index in np.unique(scan):
        here = np.flatnonzero(scan == index)
        places = np.column_stack([y_um[here], x_um[here]])
        found = KDTree(places).query_pairs(float(edges_um[-1]), output_type="ndarray")
        ones.append(here[found[:, 0]])
        others.append(here[found[:, 1]])
    one, other = np.concatenate(ones), np.concatenate(others)
    distance = np.hypot(y_um[one] - y_um[other], x_um[one] - x_um[other])
    place = np.searchsorted(edges_um, distance, side="right") - 1
    kept = (place >= 0) & (place < len(edges_um) - 1)
    one, other, place = one[kept], other[kept], place[kept].astype(np.int64)
    return Pairs(one, other, place, np.bincount(place, minlength=len(edges_um) - 1).astype(np.float64))


def mark_sums(marks: F64, scan: I64, pairs: Pairs, permutations: int, rng: np.random.Generator) -> MarkSums:
    """Sum products of marks over the pairs of each bin, as they are and with marks shuffled among particles of a scan.

    Parameters
    ----------
    marks
        (MARK, PARTICLE) float64, finite: all marks of a particle move together
    scan
        (PARTICLE,) codes

    Source: Stoyan, Stoyan, Fractals, Random Shapes and Point Fields (1994), 14.4 (mark correlation); Cliff, Ord,
    Spatial Processes (1981), 1.3 (join counts).
    """
    n_bins = len(pairs.counts)
    order = np.argsort(pairs.bin, kind="stable")
    one, other = pairs.one[order], pairs.other[order]
    filled = np.flatnonzero(pairs.counts > 0)
    starts = np.concatenate([[0], np.cumsum(pairs.counts[filled])[:-1]]).astype(np.int64)

    def summed(values: F64) -> F64:
        """(..., PARTICLE) to (..., BIN)"""
        out = np.zeros((*values.shape[:-1], n_bins))
        if filled.size:
            out[..., filled] = np.add.reduceat(values[..., one] * values[..., other], starts, axis=-1)
        return out

    by_scan = np.argsort(scan, kind="stable")
    ranks = np.unique(scan[by_scan], return_inverse=True)[1].astype(np.float64)
    permuted = np.zeros((len(marks), permutations, n_bins))
    block = max(1, MOST_NUMBERS // max(1, len(one) + len(scan)))
    for first in range(0, permutations, block):
        count = min(block, permutations - first)
        # Ranks of scans are whole numbers, so that sorting with a fraction added shuffles inside each.
        shuffled = np.argsort(ranks + rng.random((count, len(scan))), axis=1)
        moved = np.empty((count, len(scan)), dtype=np.int64)
        moved[:, by_scan] = by_scan[shuffled]
        for index, mark in enumerate(marks):
            permuted[index, first : first + count] = summed(mark[moved])
    return MarkSums(summed(marks), permuted, pairs.counts)


def mark_test(sums: MarkSums, mark: int) -> MarkTest:
    """Mean product of a mark over the pairs of each bin, with the band and the p value of the permutations."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, null = sums.seen[mark] / sums.counts, sums.permuted[mark] / sums.counts
    middle = null.mean(axis=0)
    # Sums of products are not exact: what is equal but for rounding is as extreme.
    away, limit = np.abs(null - middle), np.abs(mean - middle) * (1.0 - 1e-10)
    p = (1.0 + (away >= limit).sum(axis=0)) / (1.0 + len(null))
    none = sums.counts == 0
    low, high = np.quantile(null, (0.025, 0.975), axis=0)
    parts = (np.where(none, np.nan, part) for part in (mean, middle, low, high, np.where(_still(null), np.nan, p)))
    return MarkTest(*parts)


def _still(null: F64) -> Mask:
    """(BIN,) whether permuting changes nothing: all marks of a scan are equal, or it has one particle."""
    return np.asarray(np.ptp(null, axis=0) <= 1e-12 * np.maximum(np.abs(null).max(axis=0), 1e-300))
