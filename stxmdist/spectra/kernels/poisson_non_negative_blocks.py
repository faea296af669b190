"""Poisson maximum likelihood over blocks of pixels subject to theta >= 0, starting from the free maximum."""

import numpy as np

from stxmdist.arrays import F64, compiled
from stxmdist.spectra.kernels.fit_input import FitInput
from stxmdist.spectra.kernels.non_negative import best_support, in_coefficient_units
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    PixelFit,
    Scratch,
    add_terms,
    clear,
    copy_rows,
    gather,
    length_of_longest_row,
    scratch_for,
)
from stxmdist.spectra.kernels.poisson_blocks import LONGEST_STEP_OD, expected_counts

_f = np.float32


@compiled
def _score(given: FitInput, scratch: Scratch) -> None:
    """Sum gradient, Hessian and Pearson's chi-square of the log likelihood at phi."""
    counts, orthogonal, pairs = given.counts, given.orthogonal, given.pairs
    block, lane, phi, g, h = scratch.block, scratch.lane, scratch.phi32, scratch.g32, scratch.h32
    chi2 = scratch.chi2
    clear(g)
    clear(h)
    for p in range(LANES):
        chi2[p] = _f(0.0)
    expected = lane[0]
    excess = lane[1]
    for k in range(counts.size):
        expected_counts(orthogonal[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            m = max(expected[p], SMALLEST_COUNT)
            excess[p] = m - n * row[p]
            chi2[p] += excess[p] * excess[p] / m
        add_terms(excess, orthogonal[k], g)
        add_terms(expected, pairs[k], h)


@compiled
def _advance(
    scratch: Scratch,
    theta: F64,
    triangle: F64,
    longest_row: float,
    tolerance_sd: float,
    first: bool,
    vectors: F64,
    matrices: F64,
) -> None:
    """Move every active lane towards the non-negative maximum of the likelihood's quadratic model, found exactly.

    Where such a step is zero the Karush-Kuhn-Tucker conditions hold, and the constrained maximum is reached. The first
    step, from the free maximum outside the allowed region into it, is never shortened. ``vectors`` (4, TERM) and
    ``matrices`` (2, TERM, TERM) are scratch memory.
    """
    phi, h, g, active = scratch.phi, scratch.h, scratch.g, scratch.active
    n_terms = theta.shape[0]
    gradient = vectors[0]
    wanted = vectors[1]
    trial = vectors[2]
    move = vectors[3]
    hessian = matrices[0]
    lower = matrices[1]
    for p in range(LANES):
        if not active[p]:
            continue
        in_coefficient_units(h, g, p, triangle, hessian, gradient)
        for s in range(n_terms):
            for t in range(n_terms):
                gradient[s] += hessian[s, t] * theta[t, p]
        best_support(hessian, gradient, wanted, trial, lower)
        decrement = 0.0
        length2 = 0.0
        for s in range(n_terms):
            for t in range(n_terms):
                decrement += (wanted[s] - theta[s, p]) * hessian[s, t] * (wanted[t] - theta[t, p])
            total = 0.0
            for t in range(n_terms):
                total += triangle[s, t] * (wanted[t] - theta[t, p])
            move[s] = total
            length2 += total * total
        change_od = longest_row * np.sqrt(length2)
        scale = min(1.0, LONGEST_STEP_OD / change_od) if change_od > 0.0 and not first else 1.0
        for t in range(n_terms):
            # The value itself, not theta + step: a coefficient that should be zero must be exactly zero.
            theta[t, p] = wanted[t] if scale == 1.0 else theta[t, p] + scale * (wanted[t] - theta[t, p])
            phi[t, p] += scale * move[t]
        done = scale == 1.0 and 0.5 * np.sqrt(max(decrement, 0.0)) * change_od < tolerance_sd
        active[p] = first or not done


@compiled
def constrain(
    begin: int,
    end: int,
    given: FitInput,
    iterations: int,
    tolerance_sd: float,
    result: PixelFit,
) -> None:
    """Replace the coefficients of pixels in which the free fit ``result`` has a negative one, and their chi-square."""
    n_energies, n_terms = given.orthogonal.shape
    freedom = n_energies - n_terms
    triangle = given.triangle
    coefficients, covariance, chi2_reduced = result
    scratch = scratch_for(n_energies, n_terms)
    phi, active = scratch.phi, scratch.active
    theta = np.empty((n_terms, LANES), np.float64)
    negative = np.empty(LANES, np.bool_)
    vectors = np.empty((4, n_terms), np.float64)
    matrices = np.empty((2, n_terms, n_terms), np.float64)
    longest_row = length_of_longest_row(given.orthogonal)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        remaining = 0
        for p in range(LANES):
            negative[p] = False
            for t in range(n_terms):
                theta[t, p] = coefficients[t, first + p] if p < n else 0.0
                negative[p] = negative[p] or theta[t, p] < 0.0
            active[p] = negative[p]
            remaining += 1 if negative[p] else 0
            for i in range(n_terms):
                total = 0.0
                for t in range(n_terms):
                    total += triangle[i, t] * theta[t, p]
                phi[i, p] = total if negative[p] else 0.0
        if remaining == 0:
            continue
        gather(given.transmission, given.energies, first, scratch.block, scratch.known)
        # The last pass takes no step: it gives chi-square at the maximum.
        for iteration in range(iterations + 2):
            copy_rows(phi, scratch.phi32)
            _score(given, scratch)
            copy_rows(scratch.g32, scratch.g)
            copy_rows(scratch.h32, scratch.h)
            remaining = 0
            for p in range(LANES):
                remaining += 1 if active[p] else 0
            if remaining == 0 or iteration == iterations + 1:
                break
            _advance(scratch, theta, triangle, longest_row, tolerance_sd, iteration == 0, vectors, matrices)
        for p in range(n):
            if negative[p]:
                for t in range(n_terms):
                    coefficients[t, first + p] = _f(np.nan if active[p] else theta[t, p])
                    for s in range(n_terms):
                        covariance[s, t, first + p] = _f(np.nan) if active[p] else covariance[s, t, first + p]
                fitted = freedom > 0 and not active[p]
                chi2_reduced[first + p] = scratch.chi2[p] / _f(freedom) if fitted else _f(np.nan)
