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
    context: FitContext | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of every pixel's counts subject to theta >= 0, exactly.

    Arguments as in ``poisson.fit``. Where the free maximum has no negative coefficient it is the result. Elsewhere each
    Newton step goes to the non-negative maximum of the local quadratic model, which is found by trying every support.
    The likelihood is concave, so the steps end at its only maximum.

    The covariance is that of the free maximum: where the constraint is active, an error bar centred on the constrained
    value would be too short. The constraint biases a state of charge near 0 and 1. The bias of few counts is not
    subtracted, whatever ``options.bias_removed`` says, because that could make a thickness negative again.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, context = options or FitOptions(), context or FitContext()
    free = fit_free(transmission, effective_counts, design, replace(options, bias_removed=False), context)
    given = fit_input(transmission, effective_counts, design)
    in_threads(
        constrain,
        transmission.shape[1],
        context.threads,
        given,
        options.iterations,
        options.tolerance_sd,
        PixelFit(free.coefficients, free.covariance, free.chi2_reduced),
    )
    return free
