"""Poisson likelihood with a nuisance parameter in every pixel that is not linear: a fill factor or an energy shift.

Fisher scoring is made in the coefficients and the nuisance q together: with m the expected counts and J their
derivatives, g = J'(n - m)/m and H = J' diag(1/m) J. A normal prior holds q in pixels that do not determine it. A step
that would leave the bounds of q is cut there, and where q stays at a bound the coefficients are those for this bound.
"""

from typing import NamedTuple

import numpy as np

from stxmdist.arrays import F32, F64, compiled
from stxmdist.spectra.kernels.fit_input import FitInput
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    PixelFit,
    Scratch,
    clear,
    copy_rows,
    empty_fit,
    exponential,
    gather,
    in_threads,
    length_of_longest_row,
    scatter_coefficients,
    scatter_covariance,
    scratch_for,
    solve,
)

_f = np.float32

_LONGEST_STEP_OD = 1.0
_LONGEST_STEP_Q = 0.25
_LEAST_ITERATIONS = 200
"""Fisher scoring is not Newton's method here, and takes more steps than ``FitOptions.iterations``"""
_WHOLE_STEPS = 16
"""Later steps are halved, because the few pixels that have not converged by then oscillate about their maximum"""


class Nuisance(NamedTuple):
    """The nuisance parameter q of a pixel: what it does, where it starts, its prior and its bounds."""

    fills: bool
    """True: T = 1 - q + q exp(-A theta); False: T = exp(-(A + q S) theta), with S the slope of A"""
    start: float
    prior: float
    """Mean of the normal prior"""
    prior_sd: float
    """Standard deviation of the normal prior"""
    low: float
    high: float


def fit_nuisance(
    given: FitInput,
    slope: F64,
    coefficients: F32,
    nuisance: Nuisance,
    *,
    iterations: int,
    tolerance_sd: float,
    threads: int,
) -> PixelFit:
    """Coefficients of every pixel followed by its nuisance parameter q, with their covariance and chi-square.

    ``coefficients`` (TERM, PIXEL) float32 are the starting point, NaN in pixels that cannot be fitted. ``slope`` S
    (USED, TERM) float64 is not used for a fill factor. The result has TERM + 1 rows, q being the last.
    """
    n_terms, n_pixels = coefficients.shape
    triangle, inverse_triangle = np.eye(n_terms + 1), np.eye(n_terms + 1)
    triangle[:n_terms, :n_terms], inverse_triangle[:n_terms, :n_terms] = given.triangle, given.inverse_triangle
    result = empty_fit(n_terms + 1, n_pixels)
    in_threads(
        _maximise,
        n_pixels,
        threads,
        given._replace(triangle=triangle, inverse_triangle=inverse_triangle),
        np.ascontiguousarray(slope @ given.inverse_triangle, dtype=np.float32),
        np.ascontiguousarray(coefficients, dtype=np.float32),
        nuisance,
        max(iterations, _LEAST_ITERATIONS),
        tolerance_sd,
        result,
    )
    return result


@compiled
def _sums(given: FitInput, slope: F32, fills: bool, scratch: Scratch, derivative: F32) -> None:
    """Sum gradient, Hessian and Pearson's chi-square at phi (TERM + 1, LANES), whose last row is q."""
    counts, orthogonal = given.counts, given.orthogonal
    block, lane, phi, chi2 = scratch.block, scratch.lane, scratch.phi32, scratch.chi2
    g, h = scratch.g32, scratch.h32
    clear(g)
    clear(h)
    n_terms = orthogonal.shape[1]
    for p in range(LANES):
        chi2[p] = _f(0.0)
    exponent = lane[0]
    change = lane[1]
    expected = lane[2]
    q = phi[n_terms]
    for k in range(counts.size):
        row = block[k]
        n = counts[k]
        for p in range(LANES):
            exponent[p] = _f(0.0)
            change[p] = _f(0.0)
        for t in range(n_terms):
            a = orthogonal[k, t]
            s = slope[k, t]
            for p in range(LANES):
                exponent[p] -= a * phi[t, p]
                change[p] -= s * phi[t, p]
        if fills:
            for p in range(LANES):
                inside = exponential(exponent[p])
                expected[p] = max(n * (_f(1.0) + q[p] * (inside - _f(1.0))), SMALLEST_COUNT)
                derivative[n_terms, p] = n * (inside - _f(1.0))
                exponent[p] = -n * q[p] * inside
            for t in range(n_terms):
                a = orthogonal[k, t]
                for p in range(LANES):
                    derivative[t, p] = exponent[p] * a
        else:
            for p in range(LANES):
                m = max(n * exponential(exponent[p] + q[p] * change[p]), SMALLEST_COUNT)
                expected[p] = m
                derivative[n_terms, p] = m * change[p]
            for t in range(n_terms):
                a = orthogonal[k, t]
                s = slope[k, t]
                for p in range(LANES):
                    derivative[t, p] = -expected[p] * (a + q[p] * s)
        for p in range(LANES):
            excess = n * row[p] - expected[p]
            change[p] = _f(1.0) / expected[p]
            exponent[p] = excess * change[p]
            chi2[p] += excess * exponent[p]
        for i in range(n_terms + 1):
            for p in range(LANES):
                g[i, p] += exponent[p] * derivative[i, p]
            for j in range(i + 1):
                ij = i * (i + 1) // 2 + j
                for p in range(LANES):
                    h[ij, p] += derivative[i, p] * change[p] * derivative[j, p]


@compiled
def _move(scratch: Scratch, nuisance: Nuisance, longest_row: float, longest: float, tolerance_sd: float) -> None:
    """Take a step in the lanes that are still active, at most ``longest`` times the whole step; end those that settled.

    A lane has converged when its next step would be too small to matter and q is within its bounds.
    """
    phi, step, g, active, known = scratch.phi, scratch.step, scratch.g, scratch.active, scratch.known
    last = phi.shape[0] - 1
    for p in range(LANES):
        if not (active[p] and known[p]):
            continue
        decrement = 0.0
        length2 = 0.0
        for t in range(last + 1):
            decrement += step[t, p] * g[t, p]
            length2 += step[t, p] * step[t, p] if t < last else 0.0
        change_od = longest_row * np.sqrt(length2)
        scale = min(longest, _LONGEST_STEP_OD / change_od) if change_od > 0.0 else longest
        dq = abs(step[last, p])
        scale = min(scale, _LONGEST_STEP_Q / dq) if dq > 0.0 else scale
        for t in range(last + 1):
            phi[t, p] += scale * step[t, p]
        wanted = phi[last, p]
        phi[last, p] = min(max(wanted, nuisance.low), nuisance.high)
        within = phi[last, p] == wanted
        if within and np.sqrt(max(decrement, 0.0)) < tolerance_sd:
            active[p] = False


@compiled
def _hold_at_bounds(scratch: Scratch, nuisance: Nuisance) -> None:
    """Uncouple q from the equations of lanes in which q is at a bound and the gradient points beyond it."""
    g, h, phi = scratch.g, scratch.h, scratch.phi
    last = phi.shape[0] - 1
    for p in range(LANES):
        q = phi[last, p]
        outwards = (q >= nuisance.high and g[last, p] > 0.0) or (q <= nuisance.low and g[last, p] < 0.0)
        if outwards:
            g[last, p] = 0.0
            for t in range(last):
                h[last * (last + 1) // 2 + t, p] = 0.0


@compiled
def _maximise(
    begin: int,
    end: int,
    given: FitInput,
    slope: F32,
    start: F32,
    nuisance: Nuisance,
    iterations: int,
    tolerance_sd: float,
    result: PixelFit,
) -> None:
    n_energies, n_terms = given.orthogonal.shape
    n_all = n_terms + 1
    n_pairs = n_all * (n_all + 1) // 2
    freedom = n_energies - n_all
    precision = 1.0 / (nuisance.prior_sd * nuisance.prior_sd)
    triangle, inverse_triangle = given.triangle, given.inverse_triangle
    scratch = scratch_for(n_energies, n_all)
    known, active, g, h, phi, lower = scratch.known, scratch.active, scratch.g, scratch.h, scratch.phi, scratch.lower
    derivative = np.empty((n_all, LANES), np.float32)
    information = np.empty((n_pairs, LANES), np.float64)
    longest_row = length_of_longest_row(given.orthogonal)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(given.transmission, given.energies, first, scratch.block, known)
        for p in range(LANES):
            for t in range(n_terms):
                total = 0.0
                for i in range(n_terms):
                    total += triangle[t, i] * (start[i, first + p] if p < n else 0.0)
                known[p] = known[p] & np.isfinite(total)
                phi[t, p] = total if np.isfinite(total) else 0.0
            phi[n_terms, p] = nuisance.start
            active[p] = known[p]
        # The last pass takes no step: it gives information and chi-square at the maximum.
        for iteration in range(iterations + 1):
            copy_rows(phi, scratch.phi32)
            _sums(given, slope, nuisance.fills, scratch, derivative)
            copy_rows(scratch.g32, g)
            copy_rows(scratch.h32, h)
            for p in range(LANES):
                g[n_terms, p] += (nuisance.prior - phi[n_terms, p]) * precision
                h[n_pairs - 1, p] += precision
            remaining = 0
            for p in range(LANES):
                remaining += 1 if active[p] and known[p] else 0
            copy_rows(h, information)
            if remaining == 0 or iteration == iterations:
                break
            _hold_at_bounds(scratch, nuisance)
            solve(h, g, scratch.step, lower, known)
            longest = 1.0 if iteration < _WHOLE_STEPS else 0.5
            _move(scratch, nuisance, longest_row, longest, tolerance_sd)
        for p in range(LANES):
            known[p] = known[p] & (not active[p])
        scatter_covariance(information, lower, inverse_triangle, known, first, n, result.covariance, scratch.work)
        scatter_coefficients(phi, inverse_triangle, known, first, n, result.coefficients)
        for p in range(n):
            fitted = known[p] and freedom > 0
            result.chi2_reduced[first + p] = scratch.chi2[p] / _f(freedom) if fitted else _f(np.nan)
