"""Poisson likelihood with one more unknown in every pixel, which is not linear: a fill factor or an energy shift.

Fisher scoring in the coefficients and the nuisance q together: with m the expected counts and J their derivatives,
g = J'(n - m)/m, H = J' diag(1/m) J. A normal prior on q holds it where the pixel says nothing of it, a step is cut
where it would leave the bounds of q, and where q rests on a bound the coefficients are those of that bound.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, I64, Mask, compiled
from stxmdist.spectra.fitters.contract import FitContext, FitOptions
from stxmdist.spectra.fitters.fit_input import FitInput
from stxmdist.spectra.kernels.pixel_blocks import (
    LANES,
    SMALLEST_COUNT,
    clear,
    copy_rows,
    exponential,
    gather,
    in_threads,
    length_of_longest_row,
    scatter_coefficients,
    scatter_covariance,
    solve,
)

_f = np.float32

_LONGEST_STEP_OD = 1.0
_LONGEST_STEP_Q = 0.25
_LEAST_ITERATIONS = 200
"""Fisher scoring is not Newton's method here, and takes more steps than ``FitOptions.iterations``"""
_WHOLE_STEPS = 16
"""From then on steps are halved: the few pixels that still move go to and fro about their maximum"""


@dataclass(frozen=True)
class Nuisance:
    """The further unknown: its first value, its prior and its bounds."""

    fills: bool
    """T = 1 - q + q exp(-A theta); else T = exp(-(A + q S) theta)"""
    start: float
    prior: float
    prior_sd: float
    low: float
    high: float


def fit_nuisance(
    given: FitInput, slope: F64, coefficients: F32, nuisance: Nuisance, options: FitOptions, beside: FitContext
) -> tuple[F32, F32, F32]:
    """Coefficients and q (TERM + 1, PIXEL), their covariance (TERM + 1, TERM + 1, PIXEL), and reduced chi-square.

    ``coefficients`` (TERM, PIXEL) are where to start, NaN where there is nothing to fit; ``slope`` S (USED, TERM) is
    not looked at by a fill factor.
    """
    n_terms, n_pixels = coefficients.shape
    triangle, inverse = np.eye(n_terms + 1), np.eye(n_terms + 1)
    triangle[:n_terms, :n_terms], inverse[:n_terms, :n_terms] = given.triangle, given.inverse_triangle
    found = np.empty((n_terms + 1, n_pixels), np.float32)
    covariance = np.empty((n_terms + 1, n_terms + 1, n_pixels), np.float32)
    chi2 = np.empty(n_pixels, np.float32)
    in_threads(
        _score_all,
        n_pixels,
        beside.threads,
        given.transmission,
        given.energies,
        given.counts,
        given.white,
        np.ascontiguousarray(slope @ given.inverse_triangle, dtype=np.float32),
        triangle,
        inverse,
        np.ascontiguousarray(coefficients, dtype=np.float32),
        nuisance.fills,
        np.array([nuisance.start, nuisance.prior, 1.0 / nuisance.prior_sd**2, nuisance.low, nuisance.high]),
        max(options.iterations, _LEAST_ITERATIONS),
        options.tolerance_sd,
        found,
        covariance,
        chi2,
    )
    return found, covariance, chi2


@compiled
def _sums(
    block: F32,
    counts: F32,
    white: F32,
    slope: F32,
    fills: bool,
    phi: F32,
    g: F32,
    h: F32,
    chi2: F32,
    lane: F32,
    derivative: F32,
) -> None:
    """Sum g, h and Pearson's chi-square; phi (TERM + 1, LANES) ends with q."""
    clear(g)
    clear(h)
    n_terms = white.shape[1]
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
            a = white[k, t]
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
                a = white[k, t]
                for p in range(LANES):
                    derivative[t, p] = exponent[p] * a
        else:
            for p in range(LANES):
                m = max(n * exponential(exponent[p] + q[p] * change[p]), SMALLEST_COUNT)
                expected[p] = m
                derivative[n_terms, p] = m * change[p]
            for t in range(n_terms):
                a = white[k, t]
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
def _move(
    phi: F64,
    step: F64,
    g: F64,
    bounds: F64,
    longest_row: float,
    longest: float,
    tolerance_sd: float,
    active: Mask,
    known: Mask,
) -> None:
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
        phi[last, p] = min(max(wanted, bounds[3]), bounds[4])
        within = phi[last, p] == wanted
        if within and np.sqrt(max(decrement, 0.0)) < tolerance_sd:
            active[p] = False


@compiled
def _score_all(
    begin: int,
    end: int,
    transmission: F32,
    energies: I64,
    counts: F32,
    white: F32,
    slope: F32,
    triangle: F64,
    inverse_triangle: F64,
    start: F32,
    fills: bool,
    bounds: F64,
    iterations: int,
    tolerance_sd: float,
    found: F32,
    covariance: F32,
    chi2_reduced: F32,
) -> None:
    n_energies, n_terms = white.shape
    n_all = n_terms + 1
    n_pairs = n_all * (n_all + 1) // 2
    freedom = n_energies - n_all
    block = np.empty((n_energies, LANES), np.float32)
    lane = np.empty((3, LANES), np.float32)
    derivative = np.empty((n_all, LANES), np.float32)
    g32 = np.empty((n_all, LANES), np.float32)
    h32 = np.empty((n_pairs, LANES), np.float32)
    phi32 = np.empty((n_all, LANES), np.float32)
    chi2 = np.empty(LANES, np.float32)
    g = np.empty((n_all, LANES), np.float64)
    h = np.empty((n_pairs, LANES), np.float64)
    information = np.empty((n_pairs, LANES), np.float64)
    lower = np.empty((n_pairs, LANES), np.float64)
    step = np.empty((n_all, LANES), np.float64)
    phi = np.empty((n_all, LANES), np.float64)
    work = np.empty((2 * n_all, LANES), np.float64)
    known = np.empty(LANES, np.bool_)
    active = np.empty(LANES, np.bool_)
    longest_row = length_of_longest_row(white)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(transmission, energies, first, block, known)
        for p in range(LANES):
            for t in range(n_terms):
                total = 0.0
                for i in range(n_terms):
                    total += triangle[t, i] * (start[i, first + p] if p < n else 0.0)
                known[p] = known[p] & np.isfinite(total)
                phi[t, p] = total if np.isfinite(total) else 0.0
            phi[n_terms, p] = bounds[0]
            active[p] = known[p]
        # The last pass moves nothing: it gives information and chi-square at the maximum.
        for iteration in range(iterations + 1):
            copy_rows(phi, phi32)
            _sums(block, counts, white, slope, fills, phi32, g32, h32, chi2, lane, derivative)
            copy_rows(g32, g)
            copy_rows(h32, h)
            for p in range(LANES):
                g[n_terms, p] += (bounds[1] - phi[n_terms, p]) * bounds[2]
                h[n_pairs - 1, p] += bounds[2]
            remaining = 0
            for p in range(LANES):
                remaining += 1 if active[p] and known[p] else 0
            copy_rows(h, information)
            if remaining == 0 or iteration == iterations:
                break
            for p in range(LANES):
                q = phi[n_terms, p]
                outwards = (q >= bounds[4] and g[n_terms, p] > 0.0) or (q <= bounds[3] and g[n_terms, p] < 0.0)
                if outwards:
                    g[n_terms, p] = 0.0
                    for t in range(n_terms):
                        h[n_terms * (n_terms + 1) // 2 + t, p] = 0.0
            solve(h, g, step, lower, known)
            longest = 1.0 if iteration < _WHOLE_STEPS else 0.5
            _move(phi, step, g, bounds, longest_row, longest, tolerance_sd, active, known)
        for p in range(LANES):
            known[p] = known[p] & (not active[p])
        scatter_covariance(information, lower, inverse_triangle, known, first, n, covariance, work)
        scatter_coefficients(phi, inverse_triangle, known, first, n, found)
        for p in range(n):
            chi2_reduced[first + p] = chi2[p] / _f(freedom) if known[p] and freedom > 0 else _f(np.nan)
