"""The error of a stack's energy scale, found from its own mean spectrum.

A tenth of an eV shifts every state of charge of a stack by .03 to .04, in the same direction, and does not average
down. It is therefore fitted per stack, and what remains of it is carried as a systematic error.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Array
from stxmdist.spectra.end_members.design_matrix import Background, background_columns
from stxmdist.spectra.end_members.references import EndMembers

_GRID_STEP_EV = 0.02


@dataclass(frozen=True, eq=False)
class EnergyShift:
    """By how much a stack's energies must be raised to meet the end-members, and what is known of that."""

    shift_ev: float
    """Add to the stack's energies before looking up the end-members (``EndMembers.at(energy_ev, shift_ev)``)"""
    se_ev: float
    """Standard error, widened by the misfit; the prior's where nothing could be learnt"""
    determined: bool
    """Whether the spectrum told anything; False: shift 0 with the prior's error"""
    at_bound: bool
    """Whether the best shift is at the bound: then the end-members or the edge are likely wrong"""
    chi2_reduced: float
    residual_od: F64
    """(ENERGY,) float64 measured minus fitted at the best shift; NaN where not used"""
    why: str = ""
    """What a reader should know, in words"""


def energy_shift(
    mean_od: F64,
    variance: F64,
    energy_ev: F64,
    end_members: EndMembers,
    energy_used: Array | None = None,
    *,
    largest_energy_shift_ev: float = 1.0,
    energy_shift_sd_ev: float = 0.3,
    background: Background = "constant",
) -> EnergyShift:
    """Shift of the energy scale from the mean optical density of all particles, (ENERGY,) with its variance.

    The two end-members, a background and the shift are fitted together by profiling chi-square over the shift, up to
    ``largest_energy_shift_ev`` either way: for each shift the rest is linear. A Gaussian prior of
    ``energy_shift_sd_ev`` keeps few energies from saying too much. The standard error follows from the curvature of the
    profile and grows with the misfit, sqrt(chi2_reduced), because with 1e4 pixels in the mean it is the end-members
    that err, not the counts.
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
    n = int(use.sum())
    extra = background_columns(energy[use], background if n >= 6 else "none" if n < 5 else "constant")
    nothing = np.full(energy.shape, np.nan)
    if n < 2 + extra.shape[1] + 1 + 1:
        return EnergyShift(
            0.0, energy_shift_sd_ev, False, False, float("nan"), nothing, f"only {n} energies: shift not fitted"
        )
    weight = 1.0 / np.sqrt(variance[use])
    grid = np.arange(-largest_energy_shift_ev, largest_energy_shift_ev + 0.5 * _GRID_STEP_EV, _GRID_STEP_EV)
    profile = np.empty(grid.size)
    for k, shift in enumerate(grid):
        profile[k] = _chi2(shift, mean_od[use], weight, energy[use], end_members, extra)[0]
    freedom = n - 2 - extra.shape[1] - 1
    misfit = max(1.0, float(profile.min()) / freedom)
    posterior = profile / misfit + (grid / energy_shift_sd_ev) ** 2
    best = int(np.argmin(posterior))
    at_bound = best in (0, grid.size - 1)
    centre = int(np.clip(best, 2, grid.size - 3))
    # A parabola through five points: the profile is smooth, its samples are 20 meV apart.
    a, b, _ = np.polyfit(grid[centre - 2 : centre + 3] - grid[centre], posterior[centre - 2 : centre + 3], 2)
    shift = float(grid[centre] - b / (2.0 * a)) if a > 0.0 and not at_bound else float(grid[best])
    se = float(np.clip(1.0 / np.sqrt(a), 0.0, energy_shift_sd_ev)) if a > 0.0 else energy_shift_sd_ev
    chi2, residual = _chi2(shift, mean_od[use], weight, energy[use], end_members, extra)
    left = nothing.copy()
    left[use] = residual
    why = (
        f"the best shift is at the bound of {largest_energy_shift_ev:g} eV: check the references and the edge"
        if at_bound
        else ""
    )
    return EnergyShift(
        shift, max(se, energy_shift_sd_ev) if at_bound else se, True, at_bound, chi2 / freedom, left, why
    )


def _chi2(
    shift_ev: float, od: F64, weight: F64, energy_ev: F64, end_members: EndMembers, extra: F64
) -> tuple[float, F64]:
    design = np.concatenate([end_members.at(energy_ev, shift_ev).T, extra], axis=1)
    scale = np.linalg.norm(design, axis=0)
    solution, *_ = np.linalg.lstsq(design / scale * weight[:, None], od * weight, rcond=None)
    residual = od - design / scale @ solution
    return float(np.sum((residual * weight) ** 2)), np.asarray(residual, dtype=np.float64)
