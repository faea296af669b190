"""The complex fit: amplitude and phase of a ptychographic stack together, which say of the same end-members twice.

Transmission of amplitude exp(-k beta t) and phase -k delta t: y = [ln A; phi], design [-k beta; -k delta], with
Var(ln A) = Var(phi) = 1 / (4 N) at N counted photons. Where phase and absorption distinguish the end-members equally
well, an error bar is shorter by the square root of 2, at no dose (Shapiro et al., Nat. Photon. 8, 765 (2014)).
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
    beside: FitContext | None = None,
) -> Fit:
    """Weighted least squares of ln A and phi together in every pixel, coefficients unclipped.

    Arguments as in ``linear_fit.fit_linear``; ``beside.phase`` (ENERGY, PIXEL) float32 in radians, 0 in vacuum, not
    wrapped, and ``beside.phase_design`` (ENERGY, TERM) radians per unit of coefficient
    (``dispersion.phase_per_nm``, negative). Weights are 4 N T for both; a pixel is NaN where either has a NaN.
    The phase is counted from vacuum, as fixing the gauge of a reconstruction leaves it.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or a stack without phase
    """
    beside = beside or FitContext()
    if beside.phase is None or beside.phase_design is None:
        raise InputError(
            where="complex fit",
            problem="the stack has no phase",
            got="transmission alone",
            wanted="a ptychographic stack whose alignment kept the phase, and the phase of the end-members",
            mend="Choose another fitter (poisson) for scans without phase",
        )
    return fit_linear(
        transmission,
        effective_counts,
        design,
        options,
        beside,
        phase=beside.phase,
        phase_design=beside.phase_design,
    )
