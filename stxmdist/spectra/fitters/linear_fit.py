"""Linear least squares of optical density in every pixel, free or non-negative: what both fitters do alike."""

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
    beside: FitContext | None = None,
    *,
    non_negative: bool = False,
    phase: F32 | None = None,
    phase_design: F64 | None = None,
) -> Fit:
    """Minimise ||W^(1/2) (OD - A theta)|| in every pixel, with or without theta >= 0.

    ``transmission`` (ENERGY, PIXEL) float32 with Var(T) = T / effective_counts, ``effective_counts`` (ENERGY,),
    ``design`` (ENERGY, TERM) optical density per unit of coefficient. W = N T, or 1 with ``options.weighted=False``;
    energies at which nothing was counted have no optical density and no weight. A pixel is NaN where any used energy
    is.

    With ``phase`` (ENERGY, PIXEL) in radians and ``phase_design`` (ENERGY, TERM) it is fitted together with the optical
    density, doubled: Var(2 phase) = 1 / (N T) too, so that both have the same weight.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, beside = options or FitOptions(), beside or FitContext()
    given = fit_input(transmission, effective_counts, design, phase, phase_design)
    result = empty_fit(design.shape[1], transmission.shape[1])
    in_threads(
        solve_linear,
        transmission.shape[1],
        beside.threads,
        given,
        options.weighted,
        non_negative,
        result,
    )
    return Fit(*result)
