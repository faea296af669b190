"""The branching ratio of the L3 and L2 white lines: areas of both lines compared with those of the end-members."""

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.peaks import fit_features


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Thicknesses from the areas of the L3 and L2 lines above arctangent steps; their ratio gives the state of charge.

    Arguments as in ``linear_fit.fit_linear``, with ``context.energy_ev`` (ENERGY,) and, for centres and widths of the
    lines, the stack's ``context.mean_od`` (ENERGY,). ``peaks.fit_features`` describes how areas become thicknesses.
    End-members with similar ratios (LFP and FP) give long error bars.

    Raises
    ------
    InputError
        for shapes that do not match, energies that do not reach L2, or end-members with the same ratio
    """
    return fit_features(transmission, effective_counts, design, context, areas=True)
