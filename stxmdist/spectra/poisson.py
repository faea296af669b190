"""Poisson maximum likelihood: the estimator for counts, unbiased where logarithms of few counts are not."""

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
    """Maximise the Poisson likelihood of every pixel's counts, and take off the estimate's bias to first order.

    Arguments as in ``poisson_fit.fit_poisson``.

    The maximum itself is biased by H^-1 A' l / 2, with l the leverages (Cordeiro and McCullagh, J. R. Stat. Soc. B 53,
    629 (1991)): little in a pixel, but the same in every pixel, so that a particle's mean does not shed it: .002 in
    state of charge at 100 counts, .007 at 30. ``options.bias_removed=False`` gives the bare maximum.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    return fit_poisson(transmission, effective_counts, design, options, beside, non_negative=False)
