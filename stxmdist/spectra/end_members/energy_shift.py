"""The error of a stack's energy scale, found from the spectra of its own particles.

A tenth of an eV shifts every state of charge of a stack by .03 to .04, in the same direction, and does not average
down. It is therefore fitted per stack, and what remains of it is carried as a systematic error.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Array, Mask
from stxmdist.spectra.end_members.design_matrix import design_slope
from stxmdist.spectra.end_members.mean_errors import (
    LIGHT_BESIDE,
    SHARP,
    LightBeside,
    mean_covariance,
    whitening,
    widened,
)
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.end_members.shift_of_particles import (
    ParticleSpectra,
    background_covariance,
    blurred,
    consensus,
    profile,
    shared_error,
    shift_profiles,
)

_GRID_STEP_EV = 0.02
_FINE_STEP_EV = 0.001
"""Between the samples the profile is smooth"""
_SHARED_SHARE = 0.002
"""By how much end-members and beam may be wrong without a misfit that shows, in all particles alike; what shows widens
the posterior"""
_MODEL_SHARE = 0.004
"""That and what each particle has of its own"""
_CLEAR_GAIN = 9.0
"""Fall of chi-square from no shift, over what the misfit leaves, that speaks for a shift at the bound"""
_LEAST_PARTICLES = 3
"""Of fewer the spectrum of all pixels together says as much"""
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
    particles: ParticleSpectra | None = None,
    largest_energy_shift_ev: float = 1.0,
    energy_shift_sd_ev: float = 0.3,
    light: LightBeside = SHARP,
) -> EnergyShift:
    """Shift of the energy scale from the spectra of ``particles``, or else from their mean (ENERGY,) with its variance.

    For each shift up to ``largest_energy_shift_ev`` either way the end-members are fitted to the spectrum of each
    particle (``shift_of_particles.shift_profiles``), and what these say is taken together (``consensus``). What errs in
    all particles alike, references and beam, does not average: the posterior is blurred by it, and more where what is
    left over of all of them shows more of it. With a Gaussian prior of ``energy_shift_sd_ev`` this is the posterior of
    the shift, whose mean and standard deviation are given: few energies may leave two shifts possible, and the
    curvature at one of them would say nothing of the other.
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
    n = len(np.unique(energy[use]))
    if n < _LEAST_ENERGIES:
        nodes = _nodes(grid, (grid / energy_shift_sd_ev) ** 2, 0.0, energy_shift_sd_ev)
        why = f"only {n} energies: shift not fitted"
        return EnergyShift(0.0, energy_shift_sd_ev, False, False, float("nan"), nodes, why, energy_shift_sd_ev)
    moved = np.stack([end_members.at(energy[use], shift).T for shift in grid])
    spectra = _spectra(mean_od, variance, use, particles)
    profiles = shift_profiles(spectra.od, spectra.variance, energy[use], moved, grid, light)
    fine = np.linspace(grid[0], grid[-1], round(np.ptp(grid) / _FINE_STEP_EV) + 1)
    together = consensus(profiles, fine)
    best = float(fine[np.argmin(together.chi2 + (fine / energy_shift_sd_ev) ** 2)])
    members, slope = end_members.at(energy[use], best).T, design_slope(end_members, energy[use], best)
    chi2, shared_sd = shared_error(
        spectra, profiles, together.weights, energy[use], members, slope, light, _SHARED_SHARE, energy_shift_sd_ev
    )
    # Two amounts, two terms of a background, light from beside, and the shift.
    freedom = n - 6
    shared_sd *= np.sqrt(widened(chi2, freedom))
    posterior = blurred(together.chi2, shared_sd / _FINE_STEP_EV) + (fine / energy_shift_sd_ev) ** 2
    least = int(np.argmin(posterior))
    # Without the prior, which would keep off the bound what has nothing to do with this edge.
    # And without the light, which would pass for a shift that is not looked for.
    white = whitening(shift_covariance(mean_od[use], variance[use], energy[use]))
    sharp = profile(white, moved, mean_od[use])
    lowest = int(np.argmin(sharp))
    none = int(np.argmin(np.abs(grid)))
    gained = (float(sharp[none]) - float(sharp[lowest])) / max(1.0, float(sharp[lowest]) / max(freedom, 1))
    at_bound = least in (0, fine.size - 1) or (lowest in (0, grid.size - 1) and gained > _CLEAR_GAIN)
    weight = np.exp(-0.5 * (posterior - posterior.min()))
    weight /= weight.sum()
    shift = float(weight @ fine)
    se = max(float(np.sqrt(weight @ (fine - shift) ** 2)), _FINE_STEP_EV)
    if at_bound:
        shift, se = float(grid[lowest]), energy_shift_sd_ev
    why = (
        f"the best shift is at the bound of {largest_energy_shift_ev:g} eV: check the references and the edge"
        if at_bound
        else ""
    )
    nodes = _nodes(fine, posterior, shift, se)
    reduced = chi2 / freedom if freedom > 0 else float("nan")
    return EnergyShift(shift, se, True, at_bound, reduced, nodes, why, energy_shift_sd_ev)


def _spectra(mean_od: F64, variance: F64, use: Mask, particles: ParticleSpectra | None) -> ParticleSpectra:
    """The spectra of particles at the energies that are used, or their mean where too few are known at all of these."""
    if particles is not None:
        od, noise = particles.od[:, use], particles.variance[:, use]
        known = np.isfinite(od).all(axis=1) & (noise > 0.0).all(axis=1)
        if known.sum() >= _LEAST_PARTICLES:
            return ParticleSpectra(od[known], noise[known], particles.shared_variance[use])
    return ParticleSpectra(mean_od[None, use], variance[None, use], np.zeros(int(use.sum())))


def shift_covariance(mean_od: F64, variance: F64, energy_ev: F64, light_beside_sd: float = LIGHT_BESIDE) -> F64:
    """Covariance (ENERGY, ENERGY) float64 of a mean spectrum (ENERGY,) as the shift is found with it.

    That of ``mean_errors.mean_covariance``, and a background of unknown height and slope.
    """
    covariance = mean_covariance(mean_od, variance, _MODEL_SHARE, light_beside_sd)
    return covariance + background_covariance(energy_ev)


def _nodes(grid_ev: F64, posterior: F64, mean_ev: float, sd_ev: float) -> F64:
    """Equally likely shifts (NODE,) of a posterior, -2 ln p (GRID,), moved and stretched to its mean and spread."""
    weight = np.exp(-0.5 * (posterior - posterior.min()))
    below = np.cumsum(weight) - 0.5 * weight
    nodes = np.interp((np.arange(N_NODES) + 0.5) / N_NODES * weight.sum(), below, grid_ev)
    spread = float(nodes.std())
    return np.asarray(mean_ev + (nodes - nodes.mean()) * (sd_ev / spread if spread > 0.0 else 1.0), dtype=np.float64)
