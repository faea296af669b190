"""Effect on a particle's state of charge of errors that are common to a stack, which averaging does not reduce.

For an estimate theta = H^-1 A' W y with H = A' W A, a small change dy of the optical density changes theta by H^-1 A' W
dy. Sensitivities to first order therefore follow for all particles without another fit.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.design_matrix import Background, design_matrix
from stxmdist.spectra.end_members.references import EndMembers

END_MEMBERS_UNKNOWN_SD = 0.005
"""Error of the state of charge due to end-members whose own errors are not known: the least that differences between
samples cause"""
_DIFFERENCE_EV = 0.01


@dataclass(frozen=True, eq=False)
class SocSensitivity:
    """First-order change of the state of charge of particles (PARTICLE,) with each error common to a stack."""

    energy_per_ev: F64
    """Bias per eV by which the assumed energy shift is too high"""
    leak: F64
    """Bias per unit of leak fraction that was not corrected"""
    i0: F64
    """Bias per unit of relative error of the incident beam, the same at all energies"""
    i0_scatter: F64
    """Standard deviation due to the given error of the incident beam, independent between energies"""
    response: F64
    """(PARTICLE, ENERGY) change with a unit of optical density at each energy"""
    end_members: F64
    """Standard deviation due to the errors of the end-members; ``END_MEMBERS_UNKNOWN_SD`` if these are not known"""


def soc_sensitivity(
    thickness: F64,
    end_members: EndMembers,
    energy_ev: F64,
    effective_counts: F64,
    *,
    shift_ev: float = 0.0,
    background: Background = "none",
    i0_relative_variance: F64 | None = None,
) -> SocSensitivity:
    """Sensitivities of particles' states of charge to the energy scale, to leaking light and to the incident beam.

    ``thickness`` (COMPONENT, PARTICLE) in the end-members' unit, the particles' mean; ``energy_ev`` and
    ``effective_counts`` (ENERGY,) are those of the fit; ``i0_relative_variance`` (ENERGY,) is Var(I0)/I0^2. The weights
    are those of the Poisson fit at the particle's own transmission. NaN for particles without positive thickness.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    design = design_matrix(end_members, energy, shift_ev, background)
    slope = _slope(end_members, energy, shift_ev)
    particles = np.asarray(thickness, dtype=np.float64)
    od = particles.T @ design[:, :2].T  # (PARTICLE, ENERGY)
    weight = np.asarray(effective_counts, dtype=np.float64) * np.exp(-od)
    weight[~np.isfinite(weight)] = 0.0
    hessian = np.einsum("ei,pe,ej->pij", design, weight, design)
    total = particles.sum(axis=0)
    good = np.isfinite(total) & (total > 0.0)
    gradient = np.zeros((particles.shape[1], design.shape[1]))
    safe = np.where(good, total, 1.0)
    gradient[:, 0] = -particles[1] / safe**2
    gradient[:, 1] = particles[0] / safe**2
    hessian[~good] = np.eye(design.shape[1])
    # Change of the state of charge with the optical density at each energy: (PARTICLE, ENERGY).
    response = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0] @ design.T * weight
    response[~good] = np.nan
    # Assuming a shift that is too high by d changes the residual optical density by -slope x d.
    energy_bias = -(response * (particles.T @ slope)).sum(axis=1)
    with np.errstate(over="ignore"):
        leak = (response * (1.0 - np.exp(np.minimum(od, 20.0)))).sum(axis=1)
    scatter = np.zeros(particles.shape[1])
    if i0_relative_variance is not None:
        scatter = np.sqrt((response**2 * np.nan_to_num(i0_relative_variance)).sum(axis=1))
    errors = end_members.errors
    reference_sd = np.full(particles.shape[1], END_MEMBERS_UNKNOWN_SD)
    if errors is not None:
        reference_sd = errors.soc_sd(response, particles, energy + shift_ev)
    return SocSensitivity(energy_bias, leak, response.sum(axis=1), scatter, response, reference_sd)


def soc_over_shifts(
    thickness: F64,
    end_members: EndMembers,
    energy_ev: F64,
    effective_counts: F64,
    *,
    shift_ev: float,
    shifts_ev: F64,
    background: Background = "none",
) -> F64:
    """States of charge (PARTICLE, SHIFT) that particles have if the energy shift is another than the one fitted with.

    ``thickness`` (COMPONENT, PARTICLE) was found with ``shift_ev``. With the shift s it is the t for which the fit
    would have found just that: t solves A'W A(s) t = A'W A theta, with A at ``shift_ev``. Not to first order: where a
    few energies leave two shifts possible, they lie too far apart for that. NaN without positive thickness.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    design = design_matrix(end_members, energy, shift_ev, background)
    particles = np.asarray(thickness, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(particles).all(axis=0) & (particles.sum(axis=0) > 0.0)
    found = np.full((particles.shape[1], shifts_ev.size), np.nan)
    od = particles[:, good].T @ design[:, :2].T
    weight = np.nan_to_num(np.asarray(effective_counts, dtype=np.float64)) * np.exp(-od)
    seen = np.einsum("ei,pe->pi", design, weight * od)
    for at, shift in enumerate(shifts_ev):
        other = design.copy()
        other[:, :2] = end_members.held_at(energy, float(shift)).T
        amounts = np.linalg.solve(np.einsum("ei,pe,ej->pij", design, weight, other), seen[:, :, None])[:, :, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            found[good, at] = amounts[:, 1] / amounts[:, :2].sum(axis=1)
    return found


def shared_od_variance(
    thickness: F64,
    end_members: EndMembers,
    energy_ev: F64,
    *,
    shift_ev: float,
    shift_se_ev: float,
    i0_relative_variance: F64,
) -> F64:
    """Variance (ENERGY,) of optical density common to all pixels: that of the incident beam and of the energy scale.

    ``thickness`` (COMPONENT,) of a typical pixel in the end-members' unit, ``i0_relative_variance`` (ENERGY,)
    Var(I0)/I0^2.
    """
    slope = thickness @ _slope(end_members, np.asarray(energy_ev, dtype=np.float64), shift_ev)
    return np.asarray(np.nan_to_num(i0_relative_variance) + (slope * shift_se_ev) ** 2, dtype=np.float64)


def _slope(end_members: EndMembers, energy: F64, shift_ev: float) -> F64:
    """Derivative (COMPONENT, ENERGY) of the end-members' absorption by energy; 0 outside their range."""
    inside = end_members.spans(energy + shift_ev, _DIFFERENCE_EV)
    slope = np.zeros((2, energy.size))
    up = end_members.at(energy[inside], shift_ev + _DIFFERENCE_EV)
    down = end_members.at(energy[inside], shift_ev - _DIFFERENCE_EV)
    slope[:, inside] = (up - down) / (2.0 * _DIFFERENCE_EV)
    return slope


def systematic_soc_error(
    sensitivity: SocSensitivity,
    *,
    shift_sd: float | F64,
    leak_sd: float = 0.0,
    i0_relative_sd: float = 0.0,
    end_member_sd: float | F64 = 0.0,
    background_od: F64 | None = None,
    misfit_sd: float | F64 = 0.0,
) -> F64:
    """Systematic standard error (PARTICLE,) of the state of charge, with independent causes added in quadrature.

    ``shift_sd`` (PARTICLE,) is the error of the state of charge due to the energy scale, ``sensitivity.energy_per_ev``
    times the shift's standard error or what ``soc_over_shifts`` makes of its posterior. ``end_member_sd`` is that due
    to the end-members: ``sensitivity.end_members``, or a
    value that is known better. ``background_od`` (ENERGY,) is one standard deviation of what absorbs beside the terms
    of the fit, ``misfit_sd`` (PARTICLE,) what the misfit of each particle's spectrum can do.
    """
    beside = 0.0 if background_od is None else sensitivity.response @ background_od
    return np.sqrt(
        np.square(shift_sd)
        + (sensitivity.leak * leak_sd) ** 2
        + (sensitivity.i0 * i0_relative_sd) ** 2
        + sensitivity.i0_scatter**2
        + np.square(end_member_sd)
        + np.square(beside)
        + np.square(misfit_sd)
    )
