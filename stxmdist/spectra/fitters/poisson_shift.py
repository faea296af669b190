"""An energy shift for every pixel, where the monochromator or the zone plate drifted within a frame."""

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
"""Beyond this the derivative by energy no longer tells what a white line does"""


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    beside: FitContext | None = None,
) -> Fit:
    """Poisson likelihood of T = exp(-(A + d S) theta), d the pixel's energy shift in eV, S the slope of A.

    Arguments as in ``poisson.fit``, with ``beside.slope`` (ENERGY, TERM) per eV. What comes on top of the
    stack's shift, which moves A itself: one column more, S theta, which is the pixel's own (Gauss-Newton). Where
    there is no sample there is nothing to shift, and a prior of 0 +- 0.2 eV decides. Maps: ``energy_shift_ev`` and
    ``energy_shift_se_ev``. The likelihood's own bias is left in.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or a missing slope
    """
    options, beside = options or FitOptions(), beside or FitContext()
    given = fit_input(transmission, effective_counts, design)
    if beside.slope is None:
        raise InputError(
            where="fit of an energy shift for every pixel",
            problem="it is not known how the end-members change with energy",
            got="no slope",
            wanted="FitContext(slope=...), the derivative of the design by energy",
            mend="Give it (fit.design_slope), or choose another fitter",
        )
    start = fit_poisson(transmission, effective_counts, design, replace(options, bias_removed=False), beside)
    slope = np.asarray(beside.slope, dtype=np.float64)[given.energies]
    shift = Nuisance(False, start=0.0, prior=0.0, prior_sd=_PRIOR_SD_EV, low=-_LARGEST_EV, high=_LARGEST_EV)
    found, covariance, chi2 = fit_nuisance(
        given,
        slope,
        start.coefficients,
        shift,
        iterations=options.iterations,
        tolerance_sd=options.tolerance_sd,
        threads=beside.threads,
    )
    maps = {"energy_shift_ev": found[-1], "energy_shift_se_ev": np.sqrt(covariance[-1, -1])}
    return Fit(found[:-1], covariance[:-1, :-1], chi2, maps)
