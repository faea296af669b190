"""Poisson maximum likelihood in every pixel, free or non-negative: what both fitters do alike."""

import numpy as np
from numpy.typing import NDArray

from stxmdist.spectra.fit import Beside, Fit, FitOptions
from stxmdist.spectra.fit_input import fit_input
from stxmdist.spectra.pixel_blocks import in_threads
from stxmdist.spectra.poisson_blocks import maximise

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def fit_poisson(
    transmission: Pixels,
    effective_counts: Floats,
    design: Floats,
    options: FitOptions | None,
    beside: Beside | None,
    *,
    non_negative: bool,
) -> Fit:
    """Maximise the Poisson likelihood of every pixel's counts, with or without theta >= 0.

    ``transmission`` (ENERGY, PIXEL) float32 with Var(T) = T / effective_counts, ``effective_counts`` (ENERGY,),
    ``design`` (ENERGY, TERM) optical density per unit of coefficient. Energies whose effective counts are not
    positive are not used. A pixel is NaN where any used energy is, or where the likelihood has no maximum (no counts).

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, beside = options or FitOptions(), beside or Beside()
    given = fit_input(transmission, effective_counts, design)
    result = Fit.empty(design.shape[1], transmission.shape[1])
    in_threads(
        maximise,
        transmission.shape[1],
        beside.threads,
        given.transmission,
        given.energies,
        given.counts,
        given.white,
        given.pairs,
        given.triangle,
        given.inverse_triangle,
        options.iterations,
        options.tolerance_sd,
        options.bias_removed,
        non_negative,
        result.coefficients,
        result.covariance,
        result.chi2_reduced,
    )
    return result
