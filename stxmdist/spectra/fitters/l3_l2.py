"""Branching ratio: areas of the L3 and L2 white lines, between those of the end-members."""

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
    """Thicknesses from the areas of the L3 and the L2 lines over arctangent steps; their ratio decides.

    Arguments as in ``linear_fit.fit_linear``, with ``beside.energy_ev`` and, for centres and widths of the lines, the
    stack's ``beside.mean_od``. How areas become thicknesses: ``peaks.fit_features``. End-members whose ratios lie
    close together (LFP and FP) give long error bars.

    Raises
    ------
    InputError
        for shapes that do not match, energies that do not reach L2, or end-members with one ratio
    """
    return fit_features(transmission, effective_counts, design, beside, areas=True)
