"""Whether particles that touch have states of charge alike."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.intervals import UNKNOWN

LEAST_CONTACTS = 10
"""Fewer contacts have no correlation to speak of."""


@dataclass(frozen=True)
class Alike:
    """How alike particles are that touch, or hang together."""

    correlation: float
    """Moran's I with contacts as weights"""
    p: float
    """Two-sided, by permutation of the particles of the field"""
    icc: float
    """Intraclass correlation of the parts of the network"""
    note: str


def parts_of(n: int, one: I64, other: I64) -> tuple[I64, I64]:
    """Part of the network (PARTICLE,) and number of contacts (PARTICLE,) from the ends (CONTACT,) of the contacts."""
    graph = sparse.coo_matrix((np.ones(one.size), (one, other)), shape=(n, n))
    part = np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
    return part, np.bincount(np.concatenate([one, other]), minlength=n)


def alike_by_contact(
    values: F64, one: I64, other: I64, part: I64, rng: np.random.Generator, permutations: int
) -> Alike:
    """Correlation of values (PARTICLE,) over contacts (CONTACT,), and within the parts (PARTICLE,) of the network.

    Particles whose value is not known take part with none of their contacts. Noise of the values makes the correlation
    smaller than that of the truth; it makes no correlation where there is none.

    Source: Moran, Biometrika 37, 17 (1950); Donner, Int. Stat. Rev. 54, 67 (1986), for the intraclass correlation.
    """
    known = np.isfinite(values)
    both = known[one] & known[other]
    one, other = one[both], other[both]
    if one.size < LEAST_CONTACTS:
        return Alike(UNKNOWN, UNKNOWN, UNKNOWN, f"{one.size} contacts between particles of known state of charge")
    place = np.cumsum(known) - 1
    x = values[known] - values[known].mean()
    spread = float((x**2).mean())
    if spread == 0.0:
        return Alike(UNKNOWN, UNKNOWN, UNKNOWN, "all states of charge are equal")
    one, other = place[one], place[other]
    correlation = float((x[one] * x[other]).mean() / spread)
    shuffled = rng.permuted(np.broadcast_to(x, (permutations, x.size)), axis=1)
    under_chance = (shuffled[:, one] * shuffled[:, other]).mean(axis=1) / spread
    middle = float(under_chance.mean())
    extreme = np.abs(under_chance - middle) >= abs(correlation - middle) - 1e-12
    p = float((1 + extreme.sum()) / (1 + permutations))
    return Alike(correlation, p, _icc(values[known], part[known]), "")


def _icc(values: F64, part: I64) -> float:
    """One-way analysis of variance over the parts."""
    codes = np.unique(part, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(codes).astype(np.float64)
    k, n = len(counts), float(len(values))
    if k < 2 or n <= k:
        return UNKNOWN
    means = np.bincount(codes, values) / counts
    between = float((counts * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (n - k)
    size = (n - float((counts**2).sum()) / n) / (k - 1)
    total = between + (size - 1.0) * within
    return (between - within) / total if total > 0 else UNKNOWN
