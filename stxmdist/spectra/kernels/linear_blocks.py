"""Linear least squares of optical density over blocks of pixels, with or without the constraint that nothing is
negative.
"""

import numpy as np

from stxmdist.arrays import F32, F64, I64, Mask, compiled
from stxmdist.spectra.kernels.non_negative import best_support, in_own_units
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    ZERO,
    add_terms,
    clear,
    copy_rows,
    gather,
    logarithm,
    scatter_coefficients,
    scatter_covariance,
    solve,
)

_f = np.float32

_LEAST_TRANSMISSION = _f(1e-30)


@compiled
def _normal_equations(
    block: F32,
    counts: F32,
    white: F32,
    pairs: F32,
    weighted: bool,
    g: F32,
    h: F32,
    spread: F32,
    lane: F32,
) -> None:
    """Sum g = Q'W OD, h = Q'WQ and, unless weighted, spread = Q' diag(1/N T) Q.

    Energies without counts have no optical density: their weight is 0. Where ``block`` has further rows they are
    the phase.
    """
    clear(g)
    clear(h)
    clear(spread)
    weight = lane[0]
    product = lane[1]
    for k in range(counts.size):
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            t = row[p]
            seen = t > _LEAST_TRANSMISSION
            od = -logarithm(max(t, _LEAST_TRANSMISSION))
            w = n * t if weighted else _f(1.0)
            w = w if seen else ZERO
            weight[p] = w
            product[p] = w * od
        add_terms(product, white[k], g)
        add_terms(weight, pairs[k], h)
        if not weighted:
            for p in range(LANES):
                product[p] = weight[p] / (n * max(row[p], _LEAST_TRANSMISSION))
            add_terms(product, pairs[k], spread)
        if block.shape[0] > counts.size:
            phase = block[counts.size + k]
            if not weighted:
                add_terms(product, pairs[counts.size + k], spread)
            for p in range(LANES):
                product[p] = weight[p] * _f(2.0) * phase[p]
            add_terms(product, white[counts.size + k], g)
            add_terms(weight, pairs[counts.size + k], h)


@compiled
def _chi2(block: F32, counts: F32, white: F32, phi: F32, chi2: F32, seen: F32, residual: F32) -> None:
    """Sum of N T (OD - fit)^2 over energies that counted anything, and how many those are; the phase counts too."""
    for p in range(LANES):
        chi2[p] = _f(0.0)
    for p in range(LANES):
        seen[p] = _f(0.0)
    for r in range(block.shape[0]):
        k = r % counts.size
        row = block[k]
        n = counts[k]
        if r == k:
            for p in range(LANES):
                residual[p] = -logarithm(max(row[p], _LEAST_TRANSMISSION))
        else:
            phase = block[r]
            for p in range(LANES):
                residual[p] = _f(2.0) * phase[p]
        for t in range(white.shape[1]):
            c = white[r, t]
            for p in range(LANES):
                residual[p] -= c * phi[t, p]
        for p in range(LANES):
            t = row[p]
            counted = t > _LEAST_TRANSMISSION
            chi2[p] += n * t * residual[p] * residual[p] if counted else ZERO
            seen[p] += _f(1.0) if counted else ZERO


@compiled
def _sandwich(
    h: F64,
    spread: F64,
    inverse_triangle: F64,
    known: Mask,
    first: int,
    n: int,
    covariance: F32,
    lower: F64,
    work: F64,
    columns: F64,
) -> None:
    """Write R^-1 H^-1 S H^-1 R^-T, the covariance of unweighted least squares under counting noise."""
    n_terms = inverse_triangle.shape[0]
    unit = work[:n_terms]
    for t in range(n_terms):
        for i in range(n_terms):
            for p in range(LANES):
                unit[i, p] = inverse_triangle[t, i]
        solve(h, unit, columns[t], lower, known)
    for t in range(n_terms):
        for s in range(t + 1):
            for p in range(n):
                total = 0.0
                for i in range(n_terms):
                    for j in range(n_terms):
                        ij = i * (i + 1) // 2 + j if j <= i else j * (j + 1) // 2 + i
                        total += columns[t, i, p] * spread[ij, p] * columns[s, j, p]
                value = _f(total if known[p] else np.nan)
                covariance[s, t, first + p] = value
                covariance[t, s, first + p] = value


@compiled
def _constrain(
    phi: F64,
    h: F64,
    g: F64,
    triangle: F64,
    inverse_triangle: F64,
    known: Mask,
    first: int,
    n: int,
    fitted: F32,
) -> None:
    """Replace phi, and the coefficients in fitted (TERM, PIXEL), of the lanes that hold a negative coefficient by the
    non-negative least-squares solution.
    """
    n_terms = triangle.shape[0]
    coefficients = np.empty(n_terms)
    gradient = np.empty(n_terms)
    hessian = np.empty((n_terms, n_terms))
    trial = np.empty(n_terms)
    lower = np.empty((n_terms, n_terms))
    for p in range(n):
        negative = False
        for t in range(n_terms):
            total = 0.0
            for i in range(n_terms):
                total += inverse_triangle[t, i] * phi[i, p]
            negative = negative or total < 0.0
        if not (negative and known[p]):
            continue
        in_own_units(h, g, p, triangle, hessian, gradient)
        best_support(hessian, gradient, coefficients, trial, lower)
        for i in range(n_terms):
            total = 0.0
            for t in range(n_terms):
                total += triangle[i, t] * coefficients[t]
            phi[i, p] = total
        for t in range(n_terms):
            fitted[t, first + p] = _f(coefficients[t])


@compiled
def solve_linear(
    begin: int,
    end: int,
    transmission: F32,
    phase: F32,
    energies: I64,
    counts: F32,
    white: F32,
    pairs: F32,
    triangle: F64,
    inverse_triangle: F64,
    weighted: bool,
    non_negative: bool,
    coefficients: F32,
    covariance: F32,
    chi2_reduced: F32,
) -> None:
    """Fit pixels begin to end of transmission (ENERGY, PIXEL) and, if it has rows, of phase; write coefficients,
    covariance of the free fit, and chi-square.
    """
    n_energies = energies.size
    n_terms = white.shape[1]
    n_pairs = pairs.shape[1]
    with_phase = phase.shape[0] > 0
    block = np.empty((2 * n_energies if with_phase else n_energies, LANES), np.float32)
    lane = np.empty((2, LANES), np.float32)
    g32 = np.empty((n_terms, LANES), np.float32)
    h32 = np.empty((n_pairs, LANES), np.float32)
    spread32 = np.empty((n_pairs, LANES), np.float32)
    phi32 = np.empty((n_terms, LANES), np.float32)
    chi2 = np.empty(LANES, np.float32)
    g = np.empty((n_terms, LANES), np.float64)
    h = np.empty((n_pairs, LANES), np.float64)
    spread = np.empty((n_pairs, LANES), np.float64)
    lower = np.empty((n_pairs, LANES), np.float64)
    phi = np.empty((n_terms, LANES), np.float64)
    work = np.empty((2 * n_terms, LANES), np.float64)
    columns = np.empty((n_terms, n_terms, LANES), np.float64)
    known = np.empty(LANES, np.bool_)
    phase_known = np.empty(LANES, np.bool_)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(transmission, energies, first, block[:n_energies], known)
        if with_phase:
            gather(phase, energies, first, block[n_energies:], phase_known)
            for p in range(LANES):
                known[p] = known[p] & phase_known[p]
        _normal_equations(block, counts, white, pairs, weighted, g32, h32, spread32, lane)
        copy_rows(g32, g)
        copy_rows(h32, h)
        copy_rows(spread32, spread)
        solve(h, g, phi, lower, known)
        scatter_coefficients(phi, inverse_triangle, known, first, n, coefficients)
        if non_negative:
            _constrain(phi, h, g, triangle, inverse_triangle, known, first, n, coefficients)
        copy_rows(phi, phi32)
        _chi2(block, counts, white, phi32, chi2, lane[0], lane[1])
        if weighted:
            scatter_covariance(h, lower, inverse_triangle, known, first, n, covariance, work)
        else:
            _sandwich(h, spread, inverse_triangle, known, first, n, covariance, lower, work, columns)
        for p in range(n):
            freedom = lane[0, p] - _f(n_terms)
            chi2_reduced[first + p] = chi2[p] / freedom if known[p] and freedom > ZERO else _f(np.nan)
