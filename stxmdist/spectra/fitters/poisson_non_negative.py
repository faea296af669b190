"""Poisson maximum likelihood without negative thicknesses: the exact constrained maximum, for maps to look at."""

from dataclasses import replace

import numpy as np

from stxmdist.arrays import F32, F64, I64, Mask, compiled
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.fit_input import fit_input
from stxmdist.spectra.fitters.poisson import fit as fit_free
from stxmdist.spectra.kernels.non_negative import best_support, in_own_units
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    add_terms,
    clear,
    copy_rows,
    gather,
    in_threads,
    length_of_longest_row,
)
from stxmdist.spectra.kernels.poisson_blocks import LONGEST_STEP_OD, expected_counts

_f = np.float32


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    beside: FitContext | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of every pixel's counts subject to theta >= 0, exactly.

    Arguments as in ``poisson.fit``. Where the free maximum has no negative coefficient it is the result.
    Elsewhere Newton steps go to the non-negative maximum of the quadratic model at hand, each found by trying every
    support; the likelihood is concave, so that where they end is the one maximum.

    The covariance is that of the free maximum: where the constraint bites, an error bar centred on the
    constrained value would be too short. Constrained values bias a state of charge near 0 and 1, and the
    bias of few counts is left in (``options.bias_removed`` means nothing here: taking it off would lead out of
    what is allowed).

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, beside = options or FitOptions(), beside or FitContext()
    free = fit_free(transmission, effective_counts, design, replace(options, bias_removed=False), beside)
    given = fit_input(transmission, effective_counts, design)
    in_threads(
        _hold,
        transmission.shape[1],
        beside.threads,
        given.transmission,
        given.energies,
        given.counts,
        given.white,
        given.pairs,
        given.triangle,
        options.iterations,
        options.tolerance_sd,
        free.coefficients,
        free.covariance,
        free.chi2_reduced,
    )
    return free


@compiled
def _score(
    block: F32,
    counts: F32,
    white: F32,
    pairs: F32,
    phi: F32,
    g: F32,
    h: F32,
    chi2: F32,
    lane: F32,
) -> None:
    clear(g)
    clear(h)
    for p in range(LANES):
        chi2[p] = _f(0.0)
    expected = lane[0]
    excess = lane[1]
    for k in range(counts.size):
        expected_counts(white[k], counts[k], phi, expected)
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            m = max(expected[p], SMALLEST_COUNT)
            excess[p] = m - n * row[p]
            chi2[p] += excess[p] * excess[p] / m
        add_terms(excess, white[k], g)
        add_terms(expected, pairs[k], h)


@compiled
def _advance(
    phi: F64,
    theta: F64,
    h: F64,
    g: F64,
    triangle: F64,
    longest_row: float,
    tolerance_sd: float,
    first: bool,
    active: Mask,
    small: F64,
    square: F64,
) -> None:
    """Move every active lane towards the non-negative maximum of the likelihood's quadratic model, found exactly.

    Where such a step is zero the Karush-Kuhn-Tucker conditions hold: the maximum is the constrained one. The first
    step leaves the free maximum, which is not allowed, for the allowed region, whole.
    """
    n_terms = theta.shape[0]
    gradient = small[0]
    wanted = small[1]
    trial = small[2]
    move = small[3]
    hessian = square[0]
    lower = square[1]
    for p in range(LANES):
        if not active[p]:
            continue
        in_own_units(h, g, p, triangle, hessian, gradient)
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
            # Not theta + step: a coefficient that is to be zero must be exactly that.
            theta[t, p] = wanted[t] if scale == 1.0 else theta[t, p] + scale * (wanted[t] - theta[t, p])
            phi[t, p] += scale * move[t]
        done = scale == 1.0 and 0.5 * np.sqrt(max(decrement, 0.0)) * change_od < tolerance_sd
        active[p] = first or not done


@compiled
def _hold(
    begin: int,
    end: int,
    transmission: F32,
    energies: I64,
    counts: F32,
    white: F32,
    pairs: F32,
    triangle: F64,
    iterations: int,
    tolerance_sd: float,
    coefficients: F32,
    covariance: F32,
    chi2_reduced: F32,
) -> None:
    """Replace the free coefficients of pixels that hold a negative one, and their chi-square."""
    n_energies, n_terms = white.shape
    n_pairs = pairs.shape[1]
    freedom = n_energies - n_terms
    block = np.empty((n_energies, LANES), np.float32)
    lane = np.empty((2, LANES), np.float32)
    g32 = np.empty((n_terms, LANES), np.float32)
    h32 = np.empty((n_pairs, LANES), np.float32)
    phi32 = np.empty((n_terms, LANES), np.float32)
    chi2 = np.empty(LANES, np.float32)
    g = np.empty((n_terms, LANES), np.float64)
    h = np.empty((n_pairs, LANES), np.float64)
    phi = np.empty((n_terms, LANES), np.float64)
    theta = np.empty((n_terms, LANES), np.float64)
    known = np.empty(LANES, np.bool_)
    held = np.empty(LANES, np.bool_)
    active = np.empty(LANES, np.bool_)
    small = np.empty((4, n_terms), np.float64)
    square = np.empty((2, n_terms, n_terms), np.float64)
    longest_row = length_of_longest_row(white)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        below = 0
        for p in range(LANES):
            held[p] = False
            for t in range(n_terms):
                theta[t, p] = coefficients[t, first + p] if p < n else 0.0
                held[p] = held[p] or theta[t, p] < 0.0
            active[p] = held[p]
            below += 1 if held[p] else 0
            for i in range(n_terms):
                total = 0.0
                for t in range(n_terms):
                    total += triangle[i, t] * theta[t, p]
                phi[i, p] = total if held[p] else 0.0
        if below == 0:
            continue
        gather(transmission, energies, first, block, known)
        # The last pass moves nothing: it gives chi-square at the maximum.
        for iteration in range(iterations + 2):
            copy_rows(phi, phi32)
            _score(block, counts, white, pairs, phi32, g32, h32, chi2, lane)
            copy_rows(g32, g)
            copy_rows(h32, h)
            below = 0
            for p in range(LANES):
                below += 1 if active[p] else 0
            if below == 0 or iteration == iterations + 1:
                break
            _advance(phi, theta, h, g, triangle, longest_row, tolerance_sd, iteration == 0, active, small, square)
        for p in range(n):
            if held[p]:
                for t in range(n_terms):
                    coefficients[t, first + p] = _f(np.nan if active[p] else theta[t, p])
                    for s in range(n_terms):
                        covariance[s, t, first + p] = _f(np.nan) if active[p] else covariance[s, t, first + p]
                chi2_reduced[first + p] = chi2[p] / _f(freedom) if freedom > 0 and not active[p] else _f(np.nan)
