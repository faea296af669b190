"""Poisson maximum likelihood without negative thicknesses: the exact constrained maximum, for maps to look at."""

from dataclasses import replace

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.poisson import fit as fit_free
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.pixel_blocks import PixelFit, in_threads
from stxmdist.spectra.kernels.poisson_non_negative_blocks import constrain


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
        constrain,
        transmission.shape[1],
        beside.threads,
        given,
        options.iterations,
        options.tolerance_sd,
        PixelFit(free.coefficients, free.covariance, free.chi2_reduced),
    )
    return free
