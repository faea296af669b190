"""The complex fit: amplitude and phase of a ptychographic stack, fitted together with the same thicknesses.

The transmission has the amplitude exp(-k beta t) and the phase -k delta t, so that y = [ln A; phi] has the design
[-k beta; -k delta], with Var(ln A) = Var(phi) = 1 / (4 N) at N counted photons. Where phase and absorption distinguish
the end-members equally well, the error bar becomes shorter by the square root of 2 without any further dose (Shapiro et
al., Nat. Photon. 8, 765 (2014)).
"""

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.linear_fit import fit_linear


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Weighted least squares of ln A and phi together in every pixel, coefficients unclipped.

    Arguments as in ``linear_fit.fit_linear``; ``context.phase`` (ENERGY, PIXEL) float32 in radians, 0 in vacuum, not
    wrapped, and ``context.phase_design`` (ENERGY, TERM) float64 in radians per unit of coefficient
    (``dispersion.phase_per_nm``, negative). Both have the weights 4 N T; a pixel is NaN where either has a NaN. The
    phase is relative to vacuum, as it is after the phase gauge of a reconstruction has been fixed.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or a stack without phase
    """
    context = context or FitContext()
    if context.phase is None or context.phase_design is None:
        raise InputError(
            where="complex fit",
            problem="the stack has no phase",
            got="the transmission only",
            wanted="a ptychographic stack whose alignment kept the phase, and the phase of the end-members",
            mend="Choose another fitter (poisson) for scans without phase",
        )
    return fit_linear(
        transmission,
        effective_counts,
        design,
        options,
        context,
        phase=context.phase,
        phase_design=context.phase_design,
    )
