"""Coefficients that are the same linear functional of every pixel's optical density, over blocks of pixels."""

import numpy as np

from stxmdist.arrays import F32, F64, I64, compiled
from stxmdist.spectra.fitters.contract import Fit
from stxmdist.spectra.fitters.fit_input import FitInput
from stxmdist.spectra.kernels.pixel_blocks import LANES, gather, in_threads, logarithm

_f = np.float32

_LEAST_TRANSMISSION = _f(1e-30)


def apply_functional(given: FitInput, design: F64, functional: F64, threads: int) -> Fit:
    """Coefficients theta = G OD of every pixel with their covariance G diag(1 / N T) G' and chi-square.

    ``design`` (USED, TERM) and ``functional`` G (TERM, USED) over the energies that are used. G need not be what least
    squares would take, so that chi-square, sum N T (OD - A theta)^2, is divided by what it is on average:
    E - 2 tr(A G) + tr(A' N T A Cov). A pixel in which an energy counted nothing has no optical density there, and is
    NaN.
    """
    n_terms, n_pixels = functional.shape[0], given.transmission.shape[1]
    result = Fit.empty(n_terms, n_pixels)
    in_threads(
        _apply,
        n_pixels,
        threads,
        given.transmission,
        given.energies,
        given.counts,
        np.ascontiguousarray(design),
        np.ascontiguousarray(functional),
        len(design) - 2.0 * float(np.trace(functional @ design)),
        result.coefficients,
        result.covariance,
        result.chi2_reduced,
    )
    return result


@compiled
def _apply(
    begin: int,
    end: int,
    transmission: F32,
    energies: I64,
    counts: F32,
    design: F64,
    functional: F64,
    freedom: float,
    coefficients: F32,
    covariance: F32,
    chi2_reduced: F32,
) -> None:
    n_energies, n_terms = design.shape
    block = np.empty((n_energies, LANES), np.float32)
    known = np.empty(LANES, np.bool_)
    theta = np.empty((n_terms, LANES), np.float64)
    spread = np.empty((n_terms, n_terms, LANES), np.float64)
    strength = np.empty((n_terms, n_terms, LANES), np.float64)
    chi2 = np.empty(LANES, np.float64)
    residual = np.empty(LANES, np.float64)
    for first in range(begin, end, LANES):
        n = min(LANES, end - first)
        gather(transmission, energies, first, block, known)
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
