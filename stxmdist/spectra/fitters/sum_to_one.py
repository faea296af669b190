"""Normalised least squares: the fractions of the end-members sum to one, because their total is known separately."""

import numpy as np

from stxmdist.arrays import F32, F64, I64
from stxmdist.errors import InputError
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.linear_fit import fit_linear

_SHARE_OF_ENERGIES = 10
"""The edge jump is read between the first and the last tenth of the energies, one energy at least"""


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Minimise ||W^(1/2) (OD - A theta)|| subject to s' theta = t: fractions of t that sum to 1.

    Arguments as in ``linear_fit.fit_linear``. With ``options.total_thickness`` s is 1 for both end-members, and t is
    that thickness, assumed to have no error. Otherwise t is the pixel's own edge jump c' OD, with c the mean of the
    last energies minus the mean of the first, and s = A'c are the jumps of the terms. This is the usual division by the
    edge jump, with the error of the jump taken into account. W = N T.

    With theta0 the free estimate, C its covariance and k = C s / (s' C s),

        theta = theta0 + k (t - s' theta0),    Cov = C - k (s' C s) k' + k Var(t) k',

    where Var(t) = sum c^2 / (N T), or 0 for a given thickness. (The mixed terms cancel: Cov(t, theta0) = C A'c = C s.)
    Chi-square has one more degree of freedom, that of t - s' theta0, whose variance is Var(t) - s' C s, or s' C s for a
    given thickness. This fit is less efficient than the free fit where the model is right, and less sensitive to
    anything that distorts all white lines in the same way.

    Raises
    ------
    InputError
        for shapes that do not match, a design that cannot be solved, or energies that hold no edge jump
    """
    options = options or FitOptions()
    free = fit_linear(transmission, effective_counts, design, FitOptions(), context)
    design, counts = np.asarray(design, np.float64), np.asarray(effective_counts, np.float64)
    energies = np.flatnonzero(np.isfinite(counts) & (counts > 0.0))
    freedom = energies.size - design.shape[1]
    if options.total_thickness is None:
        contrast = edge_contrast(design, energies, context or FitContext())
        sums = design.T @ contrast
        total, total_variance = _weighted_sum(transmission, counts, contrast)
    else:
        sums = np.zeros(design.shape[1])
        sums[:2] = 1.0
        total = np.full(transmission.shape[1], options.total_thickness, dtype=np.float64)
        total_variance = np.zeros_like(total)
    covariance = free.covariance.astype(np.float64)
    theta = free.coefficients.astype(np.float64)
    # Products are summed term by term: a matrix product may round differently for another number of pixels.
    spread = sum(covariance[:, t] * sums[t] for t in range(sums.size))
    variance = sum(spread[t] * sums[t] for t in range(sums.size))
    excess = total - sum(theta[t] * sums[t] for t in range(sums.size))
    gain = spread / variance
    theta = theta + gain * excess
    covariance = covariance + gain[:, None] * gain[None, :] * (total_variance - variance)
    tested = variance if options.total_thickness is not None else total_variance - variance
    with np.errstate(invalid="ignore", divide="ignore"):
        misfit = np.where(tested > 1e-6 * variance, excess**2 / tested, 0.0)
        chi2 = (np.where(freedom > 0, free.chi2_reduced, 0.0) * freedom + misfit) / (freedom + 1)
    unknown = ~np.isfinite(theta).all(axis=0)
    chi2[unknown] = np.nan
    covariance[:, :, unknown] = np.nan
    return Fit(theta.astype(np.float32), covariance.astype(np.float32), chi2.astype(np.float32))


def edge_contrast(design: F64, energies: I64, context: FitContext) -> F64:
    """Weights c (ENERGY,) float64 with which c' OD is the edge jump.

    The edge jump is the mean over the last tenth of the energies minus the mean over the first tenth.

    Raises
    ------
    InputError
        if an end-member does not absorb more above the edge than below it
    """
    order = energies
    if context.energy_ev is not None:
        order = energies[np.argsort(np.asarray(context.energy_ev)[energies], kind="stable")]
    n = max(1, energies.size // _SHARE_OF_ENERGIES)
    contrast = np.zeros(design.shape[0])
    contrast[order[-n:]] += 1.0 / n
    contrast[order[:n]] -= 1.0 / n
    jumps = design[:, :2].T @ contrast
    if not np.all(jumps > 0.02 * np.ptp(design[energies, :2], axis=0)):
        raise InputError(
            where="sum-to-one fit",
            problem="the energies contain no edge jump to divide by",
            got=f"steps of {jumps[0]:.3g} and {jumps[1]:.3g} per unit of thickness from the first to the last energies",
            wanted="energies below the edge and above it, where both end-members absorb more",
            mend="Measure both, give total_thickness, or choose another fitter",
        )
    return contrast


def _weighted_sum(transmission: F32, counts: F64, contrast: F64) -> tuple[F64, F64]:
    total = np.zeros(transmission.shape[1])
    variance = np.zeros(transmission.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for energy in np.flatnonzero(contrast):
            seen = transmission[energy].astype(np.float64)
            seen = np.where(np.isfinite(seen) & (seen > 0.0), seen, np.nan)
            total -= contrast[energy] * np.log(seen)
            variance += contrast[energy] ** 2 / (counts[energy] * seen)
    return total, variance
