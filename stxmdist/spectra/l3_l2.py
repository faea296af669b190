"""Branching ratio: areas of the L3 and L2 white lines, between those of the end-members."""

import numpy as np
from numpy.typing import NDArray

from stxmdist.spectra.fit import Beside, Fit, FitOptions
from stxmdist.spectra.peaks import fit_features

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def fit(
    transmission: Pixels,
    effective_counts: Floats,
    design: Floats,
    options: FitOptions | None = None,
    beside: Beside | None = None,
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
