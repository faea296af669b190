"""Exact non-negative least squares: every support is tried, so there is no iteration that could stop too early."""

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.linear_fit import fit_linear


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Minimise ||W^(1/2) (OD - A theta)|| subject to theta >= 0 in every pixel, exactly.

    Arguments as in ``linear_fit.fit_linear``.

    The covariance is that of the unconstrained fit: where the constraint is active, an error bar centred on the
    constrained value would be too short. The constraint biases a state of charge near 0 and 1, so this fitter is for
    maps to look at and not for statistics.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    return fit_linear(transmission, effective_counts, design, options, context, non_negative=True)
