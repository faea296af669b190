"""Poisson maximum likelihood: the estimator for counts, without the bias that logarithms of few counts have."""

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.pixel_blocks import empty_fit, in_threads
from stxmdist.spectra.kernels.poisson_blocks import maximise


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of every pixel's counts, and subtract the first-order bias of the maximum.

    ``transmission`` (ENERGY, PIXEL) float32 has Var(T) = T / N with N the ``effective_counts`` (ENERGY,); ``design``
    (ENERGY, TERM) float64 is the optical density per unit of coefficient. Energies whose effective counts are not
    positive are not used. A pixel is NaN if it is NaN at any of the energies used, or if its likelihood has no maximum
    (no counts).

    The maximum itself is biased by H^-1 A' l / 2, with l the leverages (Cordeiro and McCullagh, J. R. Stat. Soc. B 53,
    629 (1991)). This is small in a pixel, but the same in every pixel, so that averaging over a particle does not
    remove it: 0.002 in state of charge at 100 counts, 0.007 at 30. ``options.bias_removed=False`` leaves it in.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved
    """
    options, context = options or FitOptions(), context or FitContext()
    given = fit_input(transmission, effective_counts, design)
    result = empty_fit(design.shape[1], transmission.shape[1])
    in_threads(
        maximise,
        transmission.shape[1],
        context.threads,
        given,
        options.iterations,
        options.tolerance_sd,
        options.bias_removed,
        result,
    )
    return Fit(*result)
