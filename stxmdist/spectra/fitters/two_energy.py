"""Two energies for two unknowns: the fastest measurement of a state of charge, without any check of the model."""

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
    context: FitContext | None = None,
) -> Fit:
    """Solve OD(E1) = A(E1) theta, OD(E2) = A(E2) theta in every pixel (Yu et al., Nat. Commun. 9, 921 (2018)).

    Arguments as in ``linear_fit.fit_linear``. The two energies are those of ``pair_of``; all others are ignored. The
    covariance is A^-1 diag(1 / N T) A^-T. Chi-square is NaN, because there are no degrees of freedom left.

    Raises
    ------
    InputError
        for shapes that do not match, background terms, or energies that cannot tell the end-members apart
    """
    options, context = options or FitOptions(), context or FitContext()
    pair = pair_of(effective_counts, design, options, context)
    return fit_linear(
        transmission[pair], np.asarray(effective_counts)[pair], np.asarray(design)[pair], options, context
    )


def pair_of(effective_counts: F64, design: F64, options: FitOptions, context: FitContext) -> I64:
    """Indices (2,) int64 of the energies used: first where the discharged state absorbs more, then the charged state.

    They are the measured energies nearest to ``options.energies_ev``. If these are not given, they are the energies at
    which the discharged end-member exceeds the charged one most, and the other way round.

    Raises
    ------
    InputError
        for more terms than the two end-members, fewer than two energies, or the same energy twice
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
        if context.energy_ev is None:
            raise InputError(
                where="two-energy fit",
                problem="two energies are asked for, but it is not known which energies were measured",
                got="no energy axis",
                wanted="FitContext(energy_ev=...)",
                mend="Give the energy axis of the stack",
            )
        energy_ev = np.asarray(context.energy_ev)[measured]
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
