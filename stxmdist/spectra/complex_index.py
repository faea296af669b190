"""The complex fit: amplitude and phase of a ptychographic stack together, which say of the same end-members twice.

Transmission of amplitude exp(-k beta t) and phase -k delta t: y = [ln A; phi], design [-k beta; -k delta], with
Var(ln A) = Var(phi) = 1 / (4 N) at N counted photons. Where phase and absorption distinguish the end-members equally
well, an error bar is shorter by the square root of 2, at no dose (Shapiro et al., Nat. Photon. 8, 765 (2014)).
"""

import numpy as np
from numpy.typing import NDArray

from stxmdist.errors import InputError
from stxmdist.spectra.fit import Beside, Fit, FitOptions
from stxmdist.spectra.linear_fit import fit_linear

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def fit(
    transmission: Pixels,
    effective_counts: Floats,
    design: Floats,
    options: FitOptions | None = None,
    beside: Beside | None = None,
) -> Fit:
    """Weighted least squares of ln A and phi together in every pixel, coefficients unclipped.

    Arguments as in ``linear_fit.fit_linear``; ``beside.phase`` (ENERGY, PIXEL) float32 in radians, 0 in vacuum, not
    wrapped, and ``beside.phase_design`` (ENERGY, TERM) radians per unit of coefficient
    (``dispersion.phase_per_nm``, negative). Weights are 4 N T for both; a pixel is NaN where either has a NaN.
    A constant that each energy's phase is off by is taken off beforehand: ``in_vacuum``, or ``without_constant``
    where no vacuum is in sight.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or a stack without phase
    """
    beside = beside or Beside()
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


def in_vacuum(phase: Pixels, vacuum: NDArray[np.bool_]) -> Pixels:
    """Phase (ENERGY, PIXEL) float32 less its mean over vacuum pixels (PIXEL,), energy by energy.

    Raises
    ------
    InputError
        where no vacuum pixel has a phase at some energy
    """
    known = np.isfinite(phase) & vacuum
    n = known.sum(axis=1)
    if not np.all(n[np.isfinite(phase).any(axis=1)] > 0):
        raise InputError(
            where="complex fit",
            problem="no vacuum pixel gives the zero of the phase",
            got=f"{int(vacuum.sum())} vacuum pixels",
            wanted="at least one with a phase at every energy",
            mend="Mark particle-free pixels, or let the constants be free",
        )
    mean = np.where(known, phase, 0.0).sum(axis=1, dtype=np.float64) / np.maximum(n, 1)
    return np.asarray(phase - mean[:, None], dtype=np.float32)


def without_constant(phase: Pixels, phase_design: Floats, coefficients: Pixels) -> Pixels:
    """Phase (ENERGY, PIXEL) float32 less one free constant for each energy, found from all pixels.

    ``coefficients`` (TERM, PIXEL) are those of a fit to the absorption alone; the constant is the mean of what they
    leave over of the phase. Its error is that of a whole image, far below a pixel's; what all pixels share (a film)
    is taken off with it.
    """
    left = phase - np.asarray(phase_design, np.float32) @ coefficients
    constant: Floats = np.asarray(np.nanmean(left, axis=1, dtype=np.float64))
    return np.asarray(phase - constant[:, None], dtype=np.float32)
