"""Exact tests for few electrodes, which also say the smallest p that the design can reach."""

from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb, factorial, prod

import numpy as np

from stxmdist.arrays import F64, Integer, Real

TIE = 1e-10
"""Arrangements whose statistic differs by less than this fraction of the observed one are ties: sums are not exact."""

EXACT_UP_TO = 200_000
"""More arrangements than this are drawn at random."""


@dataclass(frozen=True)
class PermutationTest:
    """A two-sided p value over all (or many) arrangements that the null hypothesis makes equally likely."""

    statistic: float
    p: float
    p_min_attainable: float
    """The smallest p that any data could reach with this design: above 0.05 nothing can be called significant"""
    n_arrangements: int
    note: str = ""


def _nothing(note: str) -> PermutationTest:
    return PermutationTest(float("nan"), float("nan"), float("nan"), 0, note)


def _p(null: F64, observed: float) -> float:
    return float((np.abs(null) >= abs(observed) * (1.0 - TIE)).mean())


def exact_sign_flip(effects: Real, rng: np.random.Generator | None = None, n_random: int = 100_000) -> PermutationTest:
    """Two-sided test that (ELECTRODE,) effects are symmetric about 0: the mean under all changes of sign.

    Three electrodes have 8 arrangements and cannot reach a p below 0.25. More than ``EXACT_UP_TO`` arrangements are
    sampled with ``rng``, the observed one counted among them.

    Source: Fisher, The Design of Experiments (1935), 21.
    """
    effects = np.asarray(effects, dtype=np.float64)
    effects = effects[np.isfinite(effects)]
    n = int(effects.size)
    if n == 0:
        return _nothing("no electrodes")
    observed = float(effects.mean())
    if 2**n <= EXACT_UP_TO:
        # Mirrored arrangements have the same size of mean: half of them suffice.
        bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)[None, :]) & 1
        null = ((1.0 - 2.0 * bits) @ effects) / n
        return PermutationTest(observed, _p(null, observed), 2.0 / 2.0**n, 2**n)
    if rng is None:
        return _nothing("too many arrangements for an exact test without a generator")
    signs = rng.integers(0, 2, (n_random, n)) * 2.0 - 1.0
    hits = int((np.abs(signs @ effects) / n >= abs(observed) * (1.0 - TIE)).sum())
    return PermutationTest(observed, (1 + hits) / (1 + n_random), 1.0 / (1 + n_random), n_random, "sampled")


def exact_two_group(
    one: Real, other: Real, rng: np.random.Generator | None = None, n_random: int = 100_000
) -> PermutationTest:
    """Two-sided test that two groups of electrodes differ in mean: all ways to share them out.

    Four against four has 70 arrangements and reaches 0.029 at best; three against three 0.10.

    Source: Pitman, J. R. Stat. Soc. Suppl. 4, 119 (1937).
    """
    one, other = (np.asarray(part, dtype=np.float64) for part in (one, other))
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    if one.size == 0 or other.size == 0:
        return _nothing("a group is empty")
    pooled = np.concatenate([one, other])
    n, m = int(pooled.size), int(one.size)
    observed = float(other.mean() - one.mean())
    count = comb(n, m)
    total = pooled.sum()

    def difference(sum_one: F64) -> F64:
        return np.asarray((total - sum_one) / (n - m) - sum_one / m)

    if count <= EXACT_UP_TO:
        chosen = np.array(list(combinations(range(n), m)))
        # Only groups of equal size have a mirror image that is as extreme.
        least = (2.0 if 2 * m == n else 1.0) / count
        return PermutationTest(observed, _p(difference(pooled[chosen].sum(axis=1)), observed), least, count)
    if rng is None:
        return _nothing("too many arrangements for an exact test without a generator")
    drawn = np.argsort(rng.random((n_random, n)), axis=1)[:, :m]
    hits = int((np.abs(difference(pooled[drawn].sum(axis=1))) >= abs(observed) * (1.0 - TIE)).sum())
    return PermutationTest(observed, (1 + hits) / (1 + n_random), 1.0 / (1 + n_random), n_random, "sampled")


def exact_slope(
    x: Real,
    y: Real,
    rng: np.random.Generator | None = None,
    n_random: int = 100_000,
    blocks: Integer | None = None,
) -> PermutationTest:
    """Two-sided test that (ELECTRODE,) y has no slope over x: every assignment of the x to the electrodes of a block.

    Parameters
    ----------
    blocks
        (ELECTRODE,) codes within which electrodes may change places (a beamtime); one block if left out. The slope is
        that within blocks.

    Source: Pitman, J. R. Stat. Soc. Suppl. 4, 225 (1937); in blocks: Edgington, Randomization Tests (1995), 7.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    block = np.zeros(x.size, dtype=np.int64) if blocks is None else np.asarray(blocks)
    known = np.isfinite(x) & np.isfinite(y)
    x, y, block = x[known], y[known], block[known]
    members = [np.flatnonzero(block == name) for name in np.unique(block)]
    for here in members:
        x[here] -= x[here].mean()
    n = int(x.size)
    if n < 3 or not (x**2).sum() > 0:
        return _nothing("fewer than three electrodes, or all at one place")
    observed = float(x @ y / (x @ x))
    count = prod(factorial(len(here)) for here in members)
    if count <= EXACT_UP_TO:
        # Sums over all arrangements of all blocks are the outer sums over those of each.
        null, ideal = np.zeros(1), np.zeros(1)
        for here in members:
            placed = x[here][np.array(list(permutations(range(len(here)))))]
            null = (null[:, None] + placed @ y[here]).ravel()
            # What the best possible data (y rising with x) would reach.
            ideal = (ideal[:, None] + placed @ x[here]).ravel()
        power = float(x @ x)
        return PermutationTest(observed, _p(null / power, observed), _p(ideal / power, 1.0), count)
    if rng is None:
        return _nothing("too many arrangements for an exact test without a generator")
    # Sorted by block first and at random within, positions are those of a random arrangement of each block.
    drawn = np.argsort(block + rng.random((n_random, n)), axis=1)
    placed = np.empty((n_random, n))
    placed[:, np.argsort(block, kind="stable")] = x[drawn]
    hits = int((np.abs(placed @ y / (x @ x)) >= abs(observed) * (1.0 - TIE)).sum())
    return PermutationTest(observed, (1 + hits) / (1 + n_random), 1.0 / (1 + n_random), n_random, "sampled")
