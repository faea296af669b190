"""Linear least squares of optical density over blocks of pixels, with or without the constraint theta >= 0."""

import numpy as np

from stxmdist.arrays import F32, F64, compiled
from stxmdist.spectra.kernels.fit_input import FitInput
from stxmdist.spectra.kernels.non_negative import best_support, in_coefficient_units
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    ZERO,
    PixelFit,
    Scratch,
    add_terms,
    clear,
    copy_rows,
    gather,
    logarithm,
    scatter_coefficients,
    scatter_covariance,
    scratch_for,
    solve,
)

_f = np.float32

_LEAST_TRANSMISSION = _f(1e-30)


@compiled
def _normal_equations(given: FitInput, weighted: bool, scratch: Scratch, spread: F32) -> None:
    """Sum g = Q'W OD, h = Q'WQ and, unless weighted, spread = Q' diag(1/N T) Q, with Q the orthogonal design.

    An energy without counts has no optical density, and its weight is 0. The phase follows in further rows of the
    block if there is one.
    """
    counts, orthogonal, pairs = given.counts, given.orthogonal, given.pairs
    block, lane, g, h = scratch.block, scratch.lane, scratch.g32, scratch.h32
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
        add_terms(product, orthogonal[k], g)
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
            add_terms(product, orthogonal[counts.size + k], g)
            add_terms(weight, pairs[counts.size + k], h)


@compiled
def _chi2(given: FitInput, scratch: Scratch) -> None:
    """Sum N T (OD - fit)^2 over the energies with counts, the phase included, and leave their number in lane[0]."""
    counts, orthogonal = given.counts, given.orthogonal
    block, phi, chi2 = scratch.block, scratch.phi32, scratch.chi2
    seen = scratch.lane[0]
    residual = scratch.lane[1]
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
        for t in range(orthogonal.shape[1]):
            c = orthogonal[r, t]
            for p in range(LANES):
                residual[p] -= c * phi[t, p]
        for p in range(LANES):
            t = row[p]
            counted = t > _LEAST_TRANSMISSION
            chi2[p] += n * t * residual[p] * residual[p] if counted else ZERO
            seen[p] += _f(1.0) if counted else ZERO


@compiled
def _sandwich(
    scratch: Scratch, spread: F64, inverse_triangle: F64, first: int, n: int, covariance: F32, columns: F64
) -> None:
    """Write R^-1 H^-1 S H^-1 R^-T, the covariance of unweighted least squares under counting noise."""
    n_terms = inverse_triangle.shape[0]
    h, lower, known = scratch.h, scratch.lower, scratch.known
    unit = scratch.work[:n_terms]
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
def _constrain(scratch: Scratch, given: FitInput, first: int, n: int, fitted: F32) -> None:
    """Replace phi and the coefficients ``fitted`` (TERM, PIXEL) by the non-negative least-squares solution.

    Only lanes with a negative coefficient change.
    """
    phi, h, g, known = scratch.phi, scratch.h, scratch.g, scratch.known
    triangle, inverse_triangle = given.triangle, given.inverse_triangle
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
        in_coefficient_units(h, g, p, triangle, hessian, gradient)
        best_support(hessian, gradient, coefficients, trial, lower)
        for i in range(n_terms):
            total = 0.0
            for t in range(n_terms):
                total += triangle[i, t] * coefficients[t]
            phi[i, p] = total
        for t in range(n_terms):
            fitted[t, first + p] = _f(coefficients[t])


@compiled
def solve_linear(begin: int, end: int, given: FitInput, weighted: bool, non_negative: bool, result: PixelFit) -> None:
    """Fit pixels begin to end by linear least squares; write coefficients, covariance of the free fit and chi-square.

    The phase is fitted together with the optical density if there is one.
    """
    n_energies = given.energies.size
    n_terms = given.orthogonal.shape[1]
    n_pairs = given.pairs.shape[1]
    with_phase = given.phase.shape[0] > 0
    scratch = scratch_for(2 * n_energies if with_phase else n_energies, n_terms)
    block, known, g, h, phi, lower = scratch.block, scratch.known, scratch.g, scratch.h, scratch.phi, scratch.lower
    spread32 = np.empty((n_pairs, LANES), np.float32)
    spread = np.empty((n_pairs, LANES), np.float64)
    columns = np.empty((n_terms, n_terms, LANES), np.float64)
    phase_known = np.empty(LANES, np.bool_)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(given.transmission, given.energies, first, block[:n_energies], known)
        if with_phase:
            gather(given.phase, given.energies, first, block[n_energies:], phase_known)
            for p in range(LANES):
                known[p] = known[p] & phase_known[p]
        _normal_equations(given, weighted, scratch, spread32)
        copy_rows(scratch.g32, g)
        copy_rows(scratch.h32, h)
        copy_rows(spread32, spread)
        solve(h, g, phi, lower, known)
        scatter_coefficients(phi, given.inverse_triangle, known, first, n, result.coefficients)
        if non_negative:
            _constrain(scratch, given, first, n, result.coefficients)
        copy_rows(phi, scratch.phi32)
        _chi2(given, scratch)
        if weighted:
            scatter_covariance(h, lower, given.inverse_triangle, known, first, n, result.covariance, scratch.work)
        else:
            _sandwich(scratch, spread, given.inverse_triangle, first, n, result.covariance, columns)
        energies_counted = scratch.lane[0]
        for p in range(n):
            freedom = energies_counted[p] - _f(n_terms)
            reduced = scratch.chi2[p] / freedom
            result.chi2_reduced[first + p] = reduced if known[p] and freedom > ZERO else _f(np.nan)
