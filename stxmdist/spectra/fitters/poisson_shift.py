"""An energy shift fitted in every pixel, for monochromators or zone plates that drifted within a frame."""

from dataclasses import replace

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.poisson import fit as fit_poisson
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.nuisance_blocks import Nuisance, fit_nuisance

_PRIOR_SD_EV = 0.2
_LARGEST_EV = 0.5
"""Beyond this the derivative by energy no longer describes a shifted white line"""


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Maximise the Poisson likelihood of T = exp(-(A + d S) theta), d being the pixel's energy shift in eV.

    Arguments as in ``poisson.fit``, with ``context.slope`` S (ENERGY, TERM) float64, the derivative of A per eV. The
    energy shift of the whole stack is contained in A already; d is what a pixel needs in addition. Where there is no
    sample nothing determines d, and a prior of 0 +- 0.2 eV decides. Maps: ``energy_shift_ev`` and
    ``energy_shift_se_ev``. The first-order bias of the maximum is not subtracted.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or a missing slope
    """
    options, context = options or FitOptions(), context or FitContext()
    given = fit_input(transmission, effective_counts, design)
    if context.slope is None:
        raise InputError(
            where="fit of an energy shift for every pixel",
            problem="it is not known how the end-members change with energy",
            got="no slope",
            wanted="FitContext(slope=...), the derivative of the design by energy",
            mend="Give it (design_matrix.design_slope), or choose another fitter",
        )
    start = fit_poisson(transmission, effective_counts, design, replace(options, bias_removed=False), context)
    slope = np.asarray(context.slope, dtype=np.float64)[given.energies]
    shift = Nuisance(False, start=0.0, prior=0.0, prior_sd=_PRIOR_SD_EV, low=-_LARGEST_EV, high=_LARGEST_EV)
    found, covariance, chi2 = fit_nuisance(
        given,
        slope,
        start.coefficients,
        shift,
        iterations=options.iterations,
        tolerance_sd=options.tolerance_sd,
        threads=context.threads,
    )
    maps = {"energy_shift_ev": found[-1], "energy_shift_se_ev": np.sqrt(covariance[-1, -1])}
    return Fit(found[:-1], covariance[:-1, :-1], chi2, maps)
