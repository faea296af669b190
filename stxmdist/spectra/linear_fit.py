"""Linear least squares of optical density in every pixel, free or non-negative: what both fitters do alike."""

import numpy as np
from numpy.typing import NDArray

from stxmdist.spectra.fit import Fit, FitOptions
from stxmdist.spectra.fit_input import fit_input
from stxmdist.spectra.linear_blocks import solve_linear

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def fit_linear(
    transmission: Pixels, effective_counts: Floats, design: Floats, options: FitOptions | None, *, non_negative: bool
) -> Fit:
    """Minimise ||W^(1/2) (OD - A theta)|| in every pixel, with or without theta >= 0.

    ``transmission`` (ENERGY, PIXEL) float32 with Var(T) = T / effective_counts, ``effective_counts`` (ENERGY,),
    ``design`` (ENERGY, TERM) optical density per unit of coefficient. W = N T, or 1 with ``options.weighted=False``;
    energies at which nothing was counted have no optical density and no weight. A pixel is NaN where any used energy
    is.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options = options or FitOptions()
    given = fit_input(transmission, effective_counts, design)
    n_pixels, n_terms = transmission.shape[1], design.shape[1]
    result = Fit(
        coefficients=np.empty((n_terms, n_pixels), np.float32),
        covariance=np.empty((n_terms, n_terms, n_pixels), np.float32),
        chi2_reduced=np.empty(n_pixels, np.float32),
    )
    solve_linear(
        given.transmission,
        given.energies,
        given.counts,
        given.white,
        given.pairs,
        given.triangle,
        given.inverse_triangle,
        options.weighted,
        non_negative,
        result.coefficients,
        result.covariance,
        result.chi2_reduced,
    )
    return result
