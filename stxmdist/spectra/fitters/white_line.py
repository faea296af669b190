"""Heights of the two L3 white lines: the state of charge from their ratio, compared with that of the end-members."""

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
    """Thicknesses from the heights of the discharged and the charged state's L3 lines above arctangent steps.

    Arguments as in ``linear_fit.fit_linear``, with ``context.energy_ev`` (ENERGY,) and, for centres and widths of the
    lines, the stack's ``context.mean_od`` (ENERGY,). ``peaks.fit_features`` describes how heights become thicknesses.
    The fit uses less of the spectrum than ``poisson``, so its error bars are longer; it depends on the lines only, and
    not on the shape of the background far from them.

    Raises
    ------
    InputError
        for shapes that do not match, or energies and end-members that do not resolve the lines
    """
    return fit_features(transmission, effective_counts, design, context, areas=False)
