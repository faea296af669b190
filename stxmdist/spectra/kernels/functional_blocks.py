"""Coefficients that are the same linear functional of every pixel's optical density, over blocks of pixels."""

import numpy as np

from stxmdist.arrays import F64, compiled
from stxmdist.spectra.kernels.fit_input import FitInput
from stxmdist.spectra.kernels.pixel_blocks import LANES, PixelFit, empty_fit, gather, in_threads, logarithm

_f = np.float32

_LEAST_TRANSMISSION = _f(1e-30)


def apply_functional(given: FitInput, design: F64, functional: F64, threads: int) -> PixelFit:
    """Coefficients theta = G OD of every pixel, their covariance G diag(1 / N T) G' and the reduced chi-square.

    ``design`` A (USED, TERM) and ``functional`` G (TERM, USED) are float64 over the energies that are used. G need not
    be the solution of least squares, so chi-square, sum N T (OD - A theta)^2, is divided by its expected value
    E - 2 tr(A G) + tr(A' N T A Cov). A pixel without counts at an energy has no optical density there and becomes NaN.
    """
    n_terms, n_pixels = functional.shape[0], given.transmission.shape[1]
    result = empty_fit(n_terms, n_pixels)
    in_threads(
        _apply,
        n_pixels,
        threads,
        given,
        np.ascontiguousarray(design),
        np.ascontiguousarray(functional),
        len(design) - 2.0 * float(np.trace(functional @ design)),
        result,
    )
    return result


@compiled
def _apply(
    begin: int,
    end: int,
    given: FitInput,
    design: F64,
    functional: F64,
    freedom: float,
    result: PixelFit,
) -> None:
    n_energies, n_terms = design.shape
    counts = given.counts
    coefficients, covariance, chi2_reduced = result
    block = np.empty((n_energies, LANES), np.float32)
    known = np.empty(LANES, np.bool_)
    theta = np.empty((n_terms, LANES), np.float64)
    spread = np.empty((n_terms, n_terms, LANES), np.float64)
    strength = np.empty((n_terms, n_terms, LANES), np.float64)
    chi2 = np.empty(LANES, np.float64)
    residual = np.empty(LANES, np.float64)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(given.transmission, given.energies, first, block, known)
        for s in range(n_terms):
            for p in range(LANES):
                theta[s, p] = 0.0
            for t in range(n_terms):
                for p in range(LANES):
                    spread[s, t, p] = 0.0
                    strength[s, t, p] = 0.0
        for k in range(n_energies):
            row = block[k]
            for p in range(LANES):
                known[p] = known[p] & (row[p] > _LEAST_TRANSMISSION)
                row[p] = max(row[p], _LEAST_TRANSMISSION)
                residual[p] = -logarithm(row[p])
            for s in range(n_terms):
                for p in range(LANES):
                    theta[s, p] += functional[s, k] * residual[p]
                for t in range(s + 1):
                    outer = functional[s, k] * functional[t, k]
                    square = design[k, s] * design[k, t]
                    for p in range(LANES):
                        weight = counts[k] * row[p]
                        spread[s, t, p] += outer / weight
                        strength[s, t, p] += square * weight
        for p in range(LANES):
            chi2[p] = 0.0
        for k in range(n_energies):
            row = block[k]
            for p in range(LANES):
                residual[p] = -logarithm(row[p])
            for t in range(n_terms):
                for p in range(LANES):
                    residual[p] -= design[k, t] * theta[t, p]
            for p in range(LANES):
                chi2[p] += counts[k] * row[p] * residual[p] * residual[p]
        for p in range(n):
            expected = freedom
            for s in range(n_terms):
                coefficients[s, first + p] = _f(theta[s, p] if known[p] else np.nan)
                for t in range(s + 1):
                    value = _f(spread[s, t, p] if known[p] else np.nan)
                    covariance[s, t, first + p] = value
                    covariance[t, s, first + p] = value
                    expected += (1.0 if s == t else 2.0) * strength[s, t, p] * spread[s, t, p]
            judged = known[p] and n_energies > n_terms and expected > 0.0
            chi2_reduced[first + p] = _f(chi2[p] / expected if judged else np.nan)
