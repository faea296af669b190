"""Linear least squares of optical density in every pixel, free or non-negative, on which several fitters are based."""

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.linear_blocks import solve_linear
from stxmdist.spectra.kernels.pixel_blocks import empty_fit, in_threads


def fit_linear(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
    *,
    non_negative: bool = False,
    phase: F32 | None = None,
    phase_design: F64 | None = None,
) -> Fit:
    """Minimise ||W^(1/2) (OD - A theta)|| in every pixel, with or without theta >= 0.

    ``transmission`` (ENERGY, PIXEL) float32 has Var(T) = T / N with N the ``effective_counts`` (ENERGY,); ``design``
    (ENERGY, TERM) float64 is the optical density per unit of coefficient. W = N T, or 1 with
    ``options.weighted=False``. An energy at which a pixel counted nothing has no optical density and no weight there. A
    pixel that is NaN at any of the energies used is NaN.

    A ``phase`` (ENERGY, PIXEL) float32 in radians is fitted together with the optical density, with ``phase_design``
    (ENERGY, TERM). It is doubled first: Var(2 phase) = 1 / (N T), so that both have the same weight.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, context = options or FitOptions(), context or FitContext()
    given = fit_input(transmission, effective_counts, design, phase, phase_design)
    result = empty_fit(design.shape[1], transmission.shape[1])
    in_threads(
        solve_linear,
        transmission.shape[1],
        context.threads,
        given,
        options.weighted,
        non_negative,
        result,
    )
    return Fit(*result)
