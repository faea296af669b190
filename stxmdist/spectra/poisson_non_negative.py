"""Poisson maximum likelihood without negative thicknesses: the exact constrained maximum, for maps to look at."""

import numpy as np
from numpy.typing import NDArray

from stxmdist.spectra.fit import Beside, Fit, FitOptions
from stxmdist.spectra.poisson_fit import fit_poisson

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def fit(
    transmission: Pixels,
    effective_counts: Floats,
    design: Floats,
    options: FitOptions | None = None,
    beside: Beside | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of every pixel's counts subject to theta >= 0, exactly.

    Arguments as in ``poisson_fit.fit_poisson``. Where the free maximum has no negative coefficient it is the result.
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
    return fit_poisson(transmission, effective_counts, design, options, beside, non_negative=True)
