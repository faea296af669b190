"""Heights of the two L3 white lines: the state of charge as the position between the end-members' own lines."""

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.peaks import fit_features


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    beside: FitContext | None = None,
) -> Fit:
    """Thicknesses from the heights of the discharged and the charged state's L3 lines over arctangent steps.

    Arguments as in ``linear_fit.fit_linear``, with ``beside.energy_ev`` and, for centres and widths of the lines, the
    stack's ``beside.mean_od``. How heights become thicknesses: ``peaks.fit_features``. Uses less of the spectrum than
    poisson and knows the state of charge less well; sees the lines alone, whatever the background's shape far from
    them.

    Raises
    ------
    InputError
        for shapes that do not match, or energies and end-members that do not resolve the lines
    """
    return fit_features(transmission, effective_counts, design, beside, areas=False)
