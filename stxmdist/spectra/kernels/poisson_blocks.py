"""Poisson maximum likelihood over blocks of pixels.

Counts N T with T = exp(-A theta) are a generalised linear model with its canonical link, so Fisher scoring is
Newton's method: g = A'(m - N T), H = A' diag(m) A with m = N exp(-A theta), covariance H^-1. Zero counts are data
like any other.
"""

import numpy as np

from stxmdist.arrays import F32, F64, I64, Mask, compiled
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    add_terms,
    clear,
    copy_rows,
    exponential,
    gather,
    length_of_longest_row,
    logarithm,
    scatter_coefficients,
    scatter_covariance,
    solve,
)

_f = np.float32

_STARTING_COUNTS = _f(0.1)
"""Added to every count for the starting point only, so that pixels with zero counts have one"""
LONGEST_STEP_OD = 2.0
_LARGEST_BIAS_SD = 0.3


@compiled
def _start(block: F32, counts: F32, white: F32, pairs: F32, g: F32, h: F32, lane: F32) -> None:
    # Weighted least squares of optical density, weights being the counts.
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
        add_terms(od, white[k], g)
        add_terms(weight, pairs[k], h)


@compiled
def _score(block: F32, counts: F32, white: F32, pairs: F32, phi: F32, g: F32, h: F32, lane: F32) -> None:
    clear(g)
    clear(h)
    expected = lane[0]
    excess = lane[1]
    for k in range(counts.size):
        expected_counts(white[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            excess[p] = expected[p] - n * row[p]
        add_terms(excess, white[k], g)
        add_terms(expected, pairs[k], h)


@compiled
def expected_counts(terms: F32, n: np.float32, phi: F32, expected: F32) -> None:
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
def _information_and_chi2(
    block: F32, counts: F32, white: F32, pairs: F32, phi: F32, chi2: F32, h: F32, lane: F32
) -> None:
    """Sum Pearson's chi-square and the information; block is left holding the expected counts."""
    clear(h)
    for p in range(LANES):
        chi2[p] = _f(0.0)
    expected = lane[0]
    for k in range(counts.size):
        expected_counts(white[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            m = max(expected[p], SMALLEST_COUNT)
            excess = m - n * row[p]
            chi2[p] += excess * excess / m
            row[p] = m
        add_terms(expected, pairs[k], h)


@compiled
def _remove_bias(
    block: F32,
    white: F32,
    pairs: F32,
    inverse: F32,
    h: F64,
    lower: F64,
    known: Mask,
    phi: F64,
    g32: F32,
    g: F64,
    step: F64,
    lane: F32,
) -> None:
    """Subtract the maximum likelihood estimate's own bias to first order, H^-1 A' l / 2 with leverages l = m diag(A
    H^-1 A').

    ``block`` holds expected counts, ``inverse`` (PAIR, LANES) receives H^-1 with its off-diagonal doubled.
    """
    n_terms = white.shape[1]
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
    leverage = lane[0]
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
        add_terms(leverage, white[k], g32)
    copy_rows(g32, g)
    solve(h, g, step, lower, known)
    for p in range(LANES):
        size2 = 0.0
        for t in range(n_terms):
            size2 += step[t, p] * g[t, p]
        # A first-order term that rivals the error bar is beyond its range: with a handful of counts.
        scale = min(1.0, _LARGEST_BIAS_SD / np.sqrt(size2)) if size2 > 0.0 else 1.0
        for t in range(n_terms):
            phi[t, p] -= scale * step[t, p]


@compiled
def _advance(
    phi: F64,
    step: F64,
    g: F64,
    longest_row: float,
    tolerance_sd: float,
    active: Mask,
    known: Mask,
) -> int:
    """Take a Newton step in the lanes still active; a lane is done when the next step could not matter. Returns how
    many remain.
    """
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
        # Newton's error after a step is at most half the step times the relative change of its weights.
        if scale == 1.0 and 0.5 * np.sqrt(max(decrement, 0.0)) * change_od < tolerance_sd:
            active[p] = False
        else:
            remaining += 1
    return remaining


@compiled
def maximise(
    begin: int,
    end: int,
    transmission: F32,
    energies: I64,
    counts: F32,
    white: F32,
    pairs: F32,
    inverse_triangle: F64,
    iterations: int,
    tolerance_sd: float,
    bias_removed: bool,
    coefficients: F32,
    covariance: F32,
    chi2_reduced: F32,
) -> None:
    """Fit pixels begin to end of transmission (ENERGY, PIXEL); write coefficients, covariance and chi-square."""
    n_energies = energies.size
    n_terms = white.shape[1]
    n_pairs = pairs.shape[1]
    freedom = n_energies - n_terms
    block = np.empty((n_energies, LANES), np.float32)
    lane = np.empty((2, LANES), np.float32)
    g32 = np.empty((n_terms, LANES), np.float32)
    h32 = np.empty((n_pairs, LANES), np.float32)
    phi32 = np.empty((n_terms, LANES), np.float32)
    inverse = np.empty((n_pairs, LANES), np.float32)
    chi2 = np.empty(LANES, np.float32)
    g = np.empty((n_terms, LANES), np.float64)
    h = np.empty((n_pairs, LANES), np.float64)
    lower = np.empty((n_pairs, LANES), np.float64)
    step = np.empty((n_terms, LANES), np.float64)
    phi = np.empty((n_terms, LANES), np.float64)
    work = np.empty((2 * n_terms, LANES), np.float64)
    known = np.empty(LANES, np.bool_)
    active = np.empty(LANES, np.bool_)
    longest_row = length_of_longest_row(white)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(transmission, energies, first, block, known)
        _start(block, counts, white, pairs, g32, h32, lane)
        copy_rows(g32, g)
        copy_rows(h32, h)
        solve(h, g, phi, lower, known)
        for p in range(LANES):
            active[p] = known[p]
        for _ in range(iterations):
            copy_rows(phi, phi32)
            _score(block, counts, white, pairs, phi32, g32, h32, lane)
            copy_rows(g32, g)
            copy_rows(h32, h)
            solve(h, g, step, lower, known)
            if _advance(phi, step, g, longest_row, tolerance_sd, active, known) == 0:
                break
        for p in range(LANES):
            known[p] = known[p] & (not active[p])
        copy_rows(phi, phi32)
        _information_and_chi2(block, counts, white, pairs, phi32, chi2, h32, lane)
        copy_rows(h32, h)
        if bias_removed:
            _remove_bias(block, white, pairs, inverse, h, lower, known, phi, g32, g, step, lane)
        scatter_covariance(h, lower, inverse_triangle, known, first, n, covariance, work)
        scatter_coefficients(phi, inverse_triangle, known, first, n, coefficients)
        for p in range(n):
            chi2_reduced[first + p] = chi2[p] / _f(freedom) if known[p] and freedom > 0 else _f(np.nan)
