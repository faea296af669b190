"""Two energies, two unknowns: the quickest experiment for a state of charge, without a way to see that it is wrong."""

import numpy as np

from stxmdist.arrays import F32, F64, I64
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
    """Solve OD(E1) = A(E1) theta, OD(E2) = A(E2) theta in every pixel (Yu et al., Nat. Commun. 9, 921 (2018)).

    Arguments as in ``linear_fit.fit_linear``; the two energies as in ``pair_of``, all others are not looked at.
    Covariance: A^-1 diag(1 / N T) A^-T. Chi-square is NaN, as nothing is left over to test the model with.

    Raises
    ------
    InputError
        for shapes that do not match, background terms, or energies that cannot tell the end-members apart
    """
    options, beside = options or FitOptions(), beside or FitContext()
    pair = pair_of(effective_counts, design, options, beside)
    return fit_linear(transmission[pair], np.asarray(effective_counts)[pair], np.asarray(design)[pair], options, beside)


def pair_of(effective_counts: F64, design: F64, options: FitOptions, beside: FitContext) -> I64:
    """Indices (2,) of the energies that are used: where the discharged state absorbs more, then the charged one.

    They are the measured energies nearest to ``options.energies_ev``; without those, the energies at which the
    end-members differ most either way.

    Raises
    ------
    InputError
        for more terms than the two end-members, fewer than two energies, or two that are one
    """
    if np.ndim(design) != 2 or np.shape(design)[0] != np.size(effective_counts):
        raise InputError(
            where="two-energy fit",
            problem="the effective counts and the design do not match",
            got=f"shapes {np.shape(effective_counts)} and {np.shape(design)}",
            wanted="(ENERGY,) and (ENERGY, 2)",
            mend="Give the same energies to both",
        )
    measured = np.flatnonzero(np.isfinite(effective_counts) & (np.asarray(effective_counts) > 0.0))
    if design.shape[1] != 2 or measured.size < 2:
        raise InputError(
            where="two-energy fit",
            problem="there are fewer energies than unknowns",
            got=f"{min(2, measured.size)} energies for {design.shape[1]} terms",
            wanted="two energies for the two end-members",
            mend="Set background: none, or choose a fitter that uses all energies",
        )
    if options.energies_ev is None:
        excess = design[measured, 1] - design[measured, 0]
        pair = measured[[int(np.argmin(excess)), int(np.argmax(excess))]]
    else:
        if beside.energy_ev is None:
            raise InputError(
                where="two-energy fit",
                problem="energies are asked for, but it is not known which were measured",
                got="no energy axis",
                wanted="FitContext(energy_ev=...)",
                mend="Give the energy axis of the stack",
            )
        energy_ev = np.asarray(beside.energy_ev)[measured]
        pair = measured[[int(np.argmin(np.abs(energy_ev - asked))) for asked in options.energies_ev]]
    if pair[0] == pair[1]:
        raise InputError(
            where="two-energy fit",
            problem="both energies are the same",
            got=f"energy number {int(pair[0])} twice",
            wanted="two energies of the stack",
            mend="Ask for energies_ev that were measured, or measure both",
        )
    return np.asarray(pair, dtype=np.int64)
