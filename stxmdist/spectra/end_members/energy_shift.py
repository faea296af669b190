"""The error of a stack's energy scale, found from its own mean spectrum.

A tenth of an eV shifts every state of charge of a stack by .03 to .04, in the same direction, and does not average
down. It is therefore fitted per stack, and what remains of it is carried as a systematic error.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from stxmdist.arrays import F64, Array
from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.end_members.mean_errors import LIGHT_BESIDE, mean_covariance, whitening, widened
from stxmdist.spectra.end_members.references import EndMembers

_GRID_STEP_EV = 0.02
_FINE_STEP_EV = 0.001
"""Between the samples the profile is smooth"""
_BACKGROUND_SD = 0.2
"""What absorbs beside the end-members in the mean spectrum is hardly more: standard deviation of a constant, and of
the coefficient of a power law"""
_MODEL_SHARE = 0.004
"""By how much end-members and beam may be wrong without a misfit that shows; what shows widens the posterior"""
_CLEAR_GAIN = 9.0
"""Fall of chi-square, over what the misfit leaves, that speaks for a shift at the bound"""
N_NODES = 15
_LEAST_ENERGIES = 3


@dataclass(frozen=True, eq=False)
class EnergyShift:
    """By how much a stack's energies must be raised to meet the end-members, and what is known of that."""

    shift_ev: float
    """Mean of the posterior: add to the stack's energies before looking up the end-members (``EndMembers.at(energy_ev,
    shift_ev)``)"""
    se_ev: float
    """Standard deviation of the posterior; the prior's where nothing could be learnt"""
    determined: bool
    """Whether the spectrum told anything; False: shift 0 with the prior's error"""
    at_bound: bool
    """Whether the best shift is at the bound: then the end-members or the edge are likely wrong"""
    chi2_reduced: float
    residual_od: F64
    """(ENERGY,) float64 measured minus fitted at the mean of the posterior; NaN where not used"""
    nodes_ev: F64
    """(NODE,) equally likely shifts, with the mean and the standard deviation of the posterior, which may have two
    maxima"""
    why: str = ""
    """What a reader should know, in words"""
    prior_sd_ev: float = float("nan")
    """Standard deviation of the prior"""


def energy_shift(
    mean_od: F64,
    variance: F64,
    energy_ev: F64,
    end_members: EndMembers,
    energy_used: Array | None = None,
    *,
    largest_energy_shift_ev: float = 1.0,
    energy_shift_sd_ev: float = 0.3,
    light_beside_sd: float = LIGHT_BESIDE,
) -> EnergyShift:
    """Shift of the energy scale from the mean optical density of all particles, (ENERGY,) with its variance.

    For each shift up to ``largest_energy_shift_ev`` either way the amounts of the two end-members, neither below zero,
    are fitted; chi-square rests on noise and on what else a mean spectrum cannot be trusted with
    (``mean_errors.mean_covariance``), with a background of unknown height and slope in its covariance. With a Gaussian
    prior of ``energy_shift_sd_ev`` this is the posterior of the shift, whose mean and standard deviation are given: few
    energies may leave two shifts possible, and the curvature at one of them would say nothing of the other. The
    posterior is widened by the misfit (``mean_errors.widened``), because with 1e4 pixels in the mean it is the
    end-members that err, not the counts.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        use = (
            np.isfinite(mean_od)
            & np.isfinite(variance)
            & (variance > 0.0)
            & end_members.spans(energy, largest_energy_shift_ev)
        )
    if energy_used is not None:
        use &= np.asarray(energy_used).astype(bool)
    grid = np.arange(-largest_energy_shift_ev, largest_energy_shift_ev + 0.5 * _GRID_STEP_EV, _GRID_STEP_EV)
    left, n = np.full(energy.shape, np.nan), len(np.unique(energy[use]))
    if n < _LEAST_ENERGIES:
        nodes = _nodes(grid, (grid / energy_shift_sd_ev) ** 2, 0.0, energy_shift_sd_ev)
        why = f"only {n} energies: shift not fitted"
        return EnergyShift(0.0, energy_shift_sd_ev, False, False, float("nan"), left, nodes, why, energy_shift_sd_ev)
    od = mean_od[use]
    columns = background_columns(energy[use], "power_law")
    moved = [end_members.at(energy[use], shift).T for shift in grid]
    white = whitening(shift_covariance(od, variance[use], energy[use], light_beside_sd))
    profile = _profile(white, moved, od)
    # Two amounts, two terms of a background, light from beside, and the shift.
    freedom = n - 6
    misfit = widened(float(profile.min()), freedom)
    least = int(np.argmin(profile / misfit + (grid / energy_shift_sd_ev) ** 2))
    # Without the prior, which would keep off the bound what has nothing to do with this edge.
    # And without the light, which would pass for a shift that is not looked for.
    sharp = _profile(whitening(shift_covariance(od, variance[use], energy[use])), moved, od)
    lowest = int(np.argmin(sharp))
    gained = (float(sharp[least]) - float(sharp[lowest])) / max(1.0, float(sharp[lowest]) / max(freedom, 1))
    at_bound = least in (0, grid.size - 1) or (lowest in (0, grid.size - 1) and gained > _CLEAR_GAIN)
    fine = np.linspace(grid[0], grid[-1], round(np.ptp(grid) / _FINE_STEP_EV) + 1)
    posterior = CubicSpline(grid, profile / misfit)(fine) + (fine / energy_shift_sd_ev) ** 2
    weight = np.exp(-0.5 * (posterior - posterior.min()))
    weight /= weight.sum()
    shift = float(weight @ fine)
    se = max(float(np.sqrt(weight @ (fine - shift) ** 2)), _FINE_STEP_EV)
    if at_bound:
        shift, se = float(grid[lowest]), energy_shift_sd_ev
    amounts, _ = _best(white @ end_members.at(energy[use], shift).T, white @ od)
    rest = od - end_members.at(energy[use], shift).T @ amounts
    # The background that goes with it, by its prior.
    left[use] = rest - _BACKGROUND_SD**2 * columns @ (columns.T @ (white.T @ (white @ rest)))
    why = (
        f"the best shift is at the bound of {largest_energy_shift_ev:g} eV: check the references and the edge"
        if at_bound
        else ""
    )
    nodes = _nodes(fine, posterior, shift, se)
    chi2 = float(profile.min()) / freedom if freedom > 0 else float("nan")
    return EnergyShift(shift, se, True, at_bound, chi2, left, nodes, why, energy_shift_sd_ev)


def shift_covariance(mean_od: F64, variance: F64, energy_ev: F64, light_beside_sd: float = LIGHT_BESIDE) -> F64:
    """Covariance (ENERGY, ENERGY) float64 of a mean spectrum (ENERGY,) as the shift is found with it.

    That of ``mean_errors.mean_covariance``, and a background of unknown height and slope.
    """
    columns = background_columns(energy_ev, "power_law")
    beside = _BACKGROUND_SD**2 * columns @ columns.T
    return mean_covariance(mean_od, variance, _MODEL_SHARE, light_beside_sd) + beside


def _profile(white: F64, moved: list[F64], od: F64) -> F64:
    """Chi-square (SHIFT,) of the best amounts of end-members (ENERGY, 2) at each shift, whitened."""
    left = [white @ od - _best(white @ at, white @ od)[1] for at in moved]
    return np.array([float(one @ one) for one in left])


def _best(columns: F64, values: F64) -> tuple[F64, F64]:
    """Amounts (2,) of two columns (ENERGY, 2), neither below zero, that fit values (ENERGY,) best, and the fit."""
    amounts = np.linalg.lstsq(columns, values, rcond=None)[0]
    if amounts.min() < 0.0:
        alone = np.maximum((columns.T @ values) / (columns**2).sum(axis=0), 0.0)
        gained = alone * (columns.T @ values)
        amounts = np.where(np.arange(2) == int(np.argmax(gained)), alone, 0.0)
    return np.asarray(amounts, dtype=np.float64), np.asarray(columns @ amounts, dtype=np.float64)


def _nodes(grid_ev: F64, posterior: F64, mean_ev: float, sd_ev: float) -> F64:
    """Equally likely shifts (NODE,) of a posterior, -2 ln p (GRID,), moved and stretched to its mean and spread."""
    weight = np.exp(-0.5 * (posterior - posterior.min()))
    below = np.cumsum(weight) - 0.5 * weight
    nodes = np.interp((np.arange(N_NODES) + 0.5) / N_NODES * weight.sum(), below, grid_ev)
    spread = float(nodes.std())
    return np.asarray(mean_ev + (nodes - nodes.mean()) * (sd_ev / spread if spread > 0.0 else 1.0), dtype=np.float64)
