"""Poisson maximum likelihood over blocks of pixels.

Counts N T with T = exp(-A theta) are a generalised linear model with its canonical link, so Fisher scoring is
Newton's method: g = A'(m - N T), H = A' diag(m) A with m = N exp(-A theta), and the covariance is H^-1. Energies at
which nothing was counted are used like all others.
"""

import numpy as np

from stxmdist.arrays import F32, compiled
from stxmdist.spectra.kernels.fit_input import FitInput
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    PixelFit,
    Scratch,
    add_terms,
    clear,
    copy_rows,
    exponential,
    gather,
    length_of_longest_row,
    logarithm,
    scatter_coefficients,
    scatter_covariance,
    scratch_for,
    solve,
)

_f = np.float32

_STARTING_COUNTS = _f(0.1)
"""Added to every count for the starting point only, so that it exists for pixels with zero counts too"""
LONGEST_STEP_OD = 2.0
"""A longer Newton step is shortened to this change of the largest optical density"""
_LARGEST_BIAS_SD = 0.3
"""No more of a coefficient's standard deviation is taken off as its bias"""


@compiled
def _start(given: FitInput, scratch: Scratch) -> None:
    """Sum the normal equations of least squares of optical density weighted by the counts: where to start from."""
    counts, orthogonal, pairs = given.counts, given.orthogonal, given.pairs
    block, lane, g, h = scratch.block, scratch.lane, scratch.g32, scratch.h32
    clear(g)
    clear(h)
    od = lane[0]
    weight = lane[1]
    for k in range(counts.size):
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            y = max(row[p], _f(0.0)) * n + _STARTING_COUNTS
            weight[p] = y
            od[p] = -logarithm(y / n) * y
        add_terms(od, orthogonal[k], g)
        add_terms(weight, pairs[k], h)


@compiled
def _score(given: FitInput, scratch: Scratch) -> None:
    """Sum gradient and Hessian of the log likelihood at phi."""
    counts, orthogonal, pairs = given.counts, given.orthogonal, given.pairs
    block, lane, phi, g, h = scratch.block, scratch.lane, scratch.phi32, scratch.g32, scratch.h32
    clear(g)
    clear(h)
    expected = lane[0]
    excess = lane[1]
    for k in range(counts.size):
        expected_counts(orthogonal[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            excess[p] = expected[p] - n * row[p]
        add_terms(excess, orthogonal[k], g)
        add_terms(expected, pairs[k], h)


@compiled
def expected_counts(terms: F32, n: np.float32, phi: F32, expected: F32) -> None:
    """Write the counts (LANES,) expected at one energy with the design's row ``terms`` (TERM,) and ``n`` at T = 1."""
    first = terms[0]
    for p in range(LANES):
        expected[p] = -first * phi[0, p]
    for t in range(1, terms.size):
        c = terms[t]
        for p in range(LANES):
            expected[p] -= c * phi[t, p]
    for p in range(LANES):
        expected[p] = n * exponential(expected[p])


@compiled
def _information_and_chi2(given: FitInput, scratch: Scratch) -> None:
    """Sum Pearson's chi-square and the information; the block holds the expected counts afterwards."""
    counts, orthogonal, pairs = given.counts, given.orthogonal, given.pairs
    block, phi, chi2, h = scratch.block, scratch.phi32, scratch.chi2, scratch.h32
    clear(h)
    for p in range(LANES):
        chi2[p] = _f(0.0)
    expected = scratch.lane[0]
    for k in range(counts.size):
        expected_counts(orthogonal[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            m = max(expected[p], SMALLEST_COUNT)
            excess = m - n * row[p]
            chi2[p] += excess * excess / m
            row[p] = m
        add_terms(expected, pairs[k], h)


@compiled
def _remove_bias(given: FitInput, scratch: Scratch, inverse: F32) -> None:
    """Subtract the first-order bias of the maximum, H^-1 A' l / 2 with the leverages l = m diag(A H^-1 A').

    The block holds the expected counts m; ``inverse`` (PAIR, LANES) receives H^-1 with its off-diagonal doubled.
    """
    orthogonal, pairs = given.orthogonal, given.pairs
    block, known, h, lower, phi = scratch.block, scratch.known, scratch.h, scratch.lower, scratch.phi
    g32, g, step = scratch.g32, scratch.g, scratch.step
    n_terms = orthogonal.shape[1]
    for t in range(n_terms):
        for i in range(n_terms):
            for p in range(LANES):
                g[i, p] = 1.0 if i == t else 0.0
        solve(h, g, step, lower, known)
        for i in range(t + 1):
            double = _f(1.0) if i == t else _f(2.0)
            for p in range(LANES):
                inverse[t * (t + 1) // 2 + i, p] = double * _f(step[i, p])
    clear(g32)
    leverage = scratch.lane[0]
    for k in range(block.shape[0]):
        for p in range(LANES):
            leverage[p] = _f(0.0)
        for pair in range(pairs.shape[1]):
            c = pairs[k, pair]
            for p in range(LANES):
                leverage[p] += c * inverse[pair, p]
        row = block[k]
        for p in range(LANES):
            leverage[p] *= _f(0.5) * row[p]
        add_terms(leverage, orthogonal[k], g32)
    copy_rows(g32, g)
    solve(h, g, step, lower, known)
    for p in range(LANES):
        size2 = 0.0
        for t in range(n_terms):
            size2 += step[t, p] * g[t, p]
        # With a handful of counts the first-order term is as large as the error bar and no longer valid.
        scale = min(1.0, _LARGEST_BIAS_SD / np.sqrt(size2)) if size2 > 0.0 else 1.0
        for t in range(n_terms):
            phi[t, p] -= scale * step[t, p]


@compiled
def _advance(scratch: Scratch, longest_row: float, tolerance_sd: float) -> int:
    """Take a Newton step in the lanes that are still active, and return how many remain active.

    A lane has converged when its next step would be too small to matter.
    """
    phi, step, g, active, known = scratch.phi, scratch.step, scratch.g, scratch.active, scratch.known
    remaining = 0
    for p in range(LANES):
        if not (active[p] and known[p]):
            continue
        decrement = 0.0
        length2 = 0.0
        for t in range(phi.shape[0]):
            decrement += step[t, p] * g[t, p]
            length2 += step[t, p] * step[t, p]
        change_od = longest_row * np.sqrt(length2)
        scale = min(1.0, LONGEST_STEP_OD / change_od) if change_od > 0.0 else 1.0
        for t in range(phi.shape[0]):
            phi[t, p] += scale * step[t, p]
        # The error left after a Newton step is at most half the step times the relative change of its weights.
        if scale == 1.0 and 0.5 * np.sqrt(max(decrement, 0.0)) * change_od < tolerance_sd:
            active[p] = False
        else:
            remaining += 1
    return remaining


@compiled
def maximise(
    begin: int,
    end: int,
    given: FitInput,
    iterations: int,
    tolerance_sd: float,
    bias_removed: bool,
    result: PixelFit,
) -> None:
    """Maximise the likelihood of pixels begin to end; write coefficients, covariance and reduced chi-square."""
    n_energies, n_terms = given.orthogonal.shape
    freedom = n_energies - n_terms
    scratch = scratch_for(n_energies, n_terms)
    known, active, g, h, phi, lower = scratch.known, scratch.active, scratch.g, scratch.h, scratch.phi, scratch.lower
    inverse = np.empty((given.pairs.shape[1], LANES), np.float32)
    longest_row = length_of_longest_row(given.orthogonal)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(given.transmission, given.energies, first, scratch.block, known)
        _start(given, scratch)
        copy_rows(scratch.g32, g)
        copy_rows(scratch.h32, h)
        solve(h, g, phi, lower, known)
        for p in range(LANES):
            active[p] = known[p]
        for _ in range(iterations):
            copy_rows(phi, scratch.phi32)
            _score(given, scratch)
            copy_rows(scratch.g32, g)
            copy_rows(scratch.h32, h)
            solve(h, g, scratch.step, lower, known)
            if _advance(scratch, longest_row, tolerance_sd) == 0:
                break
        for p in range(LANES):
            known[p] = known[p] & (not active[p])
        copy_rows(phi, scratch.phi32)
        _information_and_chi2(given, scratch)
        copy_rows(scratch.h32, h)
        if bias_removed:
            _remove_bias(given, scratch, inverse)
        scatter_covariance(h, lower, given.inverse_triangle, known, first, n, result.covariance, scratch.work)
        scatter_coefficients(phi, given.inverse_triangle, known, first, n, result.coefficients)
        for p in range(n):
            fitted = known[p] and freedom > 0
            result.chi2_reduced[first + p] = scratch.chi2[p] / _f(freedom) if fitted else _f(np.nan)
