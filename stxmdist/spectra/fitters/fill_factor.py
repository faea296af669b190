"""Pixels that a particle covers in part: light passes beside it, so that transmissions are averaged, not densities."""

from dataclasses import replace

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.poisson import fit as fit_poisson
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.nuisance_blocks import Nuisance, fit_nuisance

_WITHIN = Nuisance(fills=True, start=1.0, prior=1.0, prior_sd=1.0, low=0.02, high=1.0)


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of T = 1 - f + f exp(-A theta), with f in (0, 1] the covered share of the pixel.

    Arguments as in ``poisson.fit``. The coefficients are means over the whole pixel, f theta. So they add up to a
    particle's mass, and they stay finite where the sample is too thin to determine f; there a prior of 1 +- 1 on f
    decides. Maps: ``fill_factor`` and ``fill_factor_se``.

    In a fit without f, a pixel half filled with 200 nm of the charged state appears to be a quarter discharged. Fitting
    f makes the error bar longer wherever absorption is weak. Without its upper bound f would be above 1 as often as
    below it, so the bound biases full pixels by part of their error bar. The covariance is that of the fit without the
    bound. The first-order bias of the maximum is not subtracted.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, context = options or FitOptions(), context or FitContext()
    start = fit_poisson(transmission, effective_counts, design, replace(options, bias_removed=False), context)
    given = fit_input(transmission, effective_counts, design)
    slope = np.zeros_like(given.orthogonal, dtype=np.float64)
    found, covariance, chi2 = fit_nuisance(
        given,
        slope,
        start.coefficients,
        _WITHIN,
        iterations=options.iterations,
        tolerance_sd=options.tolerance_sd,
        threads=context.threads,
    )
    theta, fill = found[:-1].astype(np.float64), found[-1].astype(np.float64)
    c = covariance.astype(np.float64)
    n_terms = len(theta)
    mean = np.empty((n_terms, n_terms, fill.size))
    for s in range(n_terms):
        for t in range(n_terms):
            mean[s, t] = (
                fill**2 * c[s, t] + fill * (theta[s] * c[t, -1] + theta[t] * c[s, -1]) + theta[s] * theta[t] * c[-1, -1]
            )
    maps = {"fill_factor": found[-1], "fill_factor_se": np.sqrt(covariance[-1, -1])}
    return Fit((fill * theta).astype(np.float32), mean.astype(np.float32), chi2, maps, covered=found[-1])


def as_if_covered(transmission: F32, fill: F32) -> F32:
    """Transmission (ENERGY, PIXEL) float32 of a pixel whose material is spread evenly: exp(-f A theta).

    It is the transmission of the covered part to the power of ``fill`` (PIXEL,), the covered share f.
    """
    covered = np.maximum((transmission - (1.0 - fill)) / fill, 0.0)
    return np.asarray(covered**fill, dtype=np.float32)
