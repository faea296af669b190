"""How much of a third phase a scan's energies would not show, and how far that could move its states of charge.

Another phase of the same element has its white line near those of the end-members. What of its spectrum lies along the
end-members, an energy shift and what else is fitted changes the result and leaves nothing over to see it by.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.checks.misfit import TOLERATED_SHARE, shapes_with_errors
from stxmdist.spectra.end_members.references import EndMembers

BELOW_EV, ABOVE_EV = 1.2, 2.3
"""So far below the lower and above the higher of the end-members' white lines that of another phase may lie: iron's
oxides, fluorides and phosphates have theirs between 707 and 712.5 eV"""
_STEP_EV = 0.25
"""White lines are about 1 eV wide"""
SEEN_SD = 3.0
"""What is left over of a particle is seen where it exceeds its noise by so many standard deviations of that"""
MOST_SHARE = 0.2
"""Of the thickness: no more is asked about"""
MOST_UNSEEN = 0.5
"""Where more of the phases than this would go unnoticed with ``MOST_SHARE`` of the thickness, the scan says nothing of
a third phase"""
_PHASES_BELOW = 0.9
"""Quantile over the phases that bounds what they change: some lie so near the end-members that nobody would call them
a third phase"""
_MOST_SHIFT_SD = 3.0
"""An energy shift is not found farther off than so many standard deviations of its prior"""


@dataclass(frozen=True, eq=False)
class ThirdPhaseBound:
    """What of a third phase would go unnoticed in some particles, each (PARTICLE,) float64; NaN without thickness."""

    share: F64
    """Share of the thickness from which half of the phases are noticed; at most ``MOST_SHARE``"""
    soc: F64
    """Change of the state of charge that nine in ten stay below while they are not noticed, in the particle itself or
    by the energy shift that they feign"""
    unseen: F64
    """Share of the phases that go unnoticed with ``MOST_SHARE`` of the thickness"""

    @property
    def not_excluded(self) -> bool:
        """Whether most phases would go unnoticed in most particles."""
        known = self.unseen[np.isfinite(self.unseen)]
        return bool(known.size and np.median(known) > MOST_UNSEEN)

    def said(self, n_energies: int) -> str:
        """What a scan of so many energies says of a third phase, in a sentence; empty without particles."""
        known = np.isfinite(self.unseen)
        if not known.any():
            return ""
        share, soc, unseen = (float(np.median(one[known])) for one in (self.share, self.soc, self.unseen))
        moves = f"it could move states of charge by up to {soc:.2f}"
        if self.not_excluded:
            return (
                f"{n_energies} energies and their noise cannot tell a third phase of up to {MOST_SHARE:.0%} of the "
                f"thickness from mixture and energy shift, at {unseen:.0%} of the white lines that it may have: {moves}"
            )
        return (
            f"a third phase would show from {share:.0%} of the thickness at half of the white lines that it may have, "
            f"and from {MOST_SHARE:.0%} at {1.0 - unseen:.0%} of them; where it does not show {moves}"
        )


def displaced_phases(end_members: EndMembers, energy_ev: F64, shift_ev: float) -> F64:
    """Absorption (PHASE, ENERGY) float64 of phases like the end-members with white lines of other places.

    ``energy_ev`` (ENERGY,) are read with an energy scale off by ``shift_ev``; the unit is that of the end-members.
    """
    own = end_members.energy_ev[end_members.mu_per_nm.argmax(axis=1)]
    lines = np.arange(own.min() - BELOW_EV, own.max() + ABOVE_EV + 0.5 * _STEP_EV, _STEP_EV)
    phases = [end_members.held_at(energy_ev, shift_ev + one - line)[at] for at, one in enumerate(own) for line in lines]
    return np.asarray(phases, dtype=np.float64)


def feigned_shift_ev(phase_od: F64, slope_od: F64, design: F64, covariance: F64, prior_sd_ev: float) -> F64:
    """Energy shift (PHASE,) float64 in eV that a scan's mean spectrum suggests where it is a phase's alone.

    ``phase_od`` (PHASE, ENERGY) is that of the phases, ``slope_od`` (ENERGY,) the derivative of the end-members' by
    energy per eV, ``design`` (ENERGY, TERM) what is fitted beside it, ``covariance`` (ENERGY, ENERGY) that of the mean
    spectrum, and ``prior_sd_ev`` the standard deviation of the shift's prior.

    Source: generalised least squares with a Gaussian prior.
    """
    white = np.linalg.inv(np.linalg.cholesky(covariance))
    basis = np.linalg.qr(white @ (design / np.linalg.norm(design, axis=0)))[0]
    across = white - basis @ (basis.T @ white)
    moved, found = across @ slope_od, phase_od @ across.T
    return np.asarray(found @ moved / (moved @ moved + prior_sd_ev**-2), dtype=np.float64)


def third_phase_bound(
    phases: F64,
    thickness: F64,
    design: F64,
    noise_variance: F64,
    shift_od: F64,
    response: F64,
    soc_per_ev: F64,
    feigned_ev: F64,
    prior_sd_ev: float,
    beside_od: F64 | None = None,
) -> ThirdPhaseBound:
    """The largest admixture that would go unnoticed in each particle, and what it does to its state of charge.

    Parameters
    ----------
    phases
        (PHASE, ENERGY) absorption of what may be there
    thickness
        (2, PARTICLE) of discharged and charged material
    design
        (ENERGY, TERM)
    noise_variance
        (PARTICLE, ENERGY) of the mean optical density of each particle
    shift_od
        (SHIFT, PARTICLE, ENERGY) what possible errors of the energy scale change
    response, soc_per_ev
        (PARTICLE, ENERGY) and (PARTICLE,) change of the state of charge with optical density and with the shift
    feigned_ev
        (PHASE,) energy shift that each unit of thickness share of a phase feigns
    prior_sd_ev
        of the energy shift
    beside_od
        (ENERGY,) what may absorb beside the terms of the fit
    """
    n_energy, n_terms = design.shape
    n = thickness.shape[1]
    out = ThirdPhaseBound(*(np.full(n, np.nan) for _ in range(3)))
    good = np.isfinite(thickness).all(axis=0) & (thickness.sum(axis=0) > 0.0) & np.isfinite(response).all(axis=1)
    if not good.any():
        return out
    od, total = thickness[:, good].T @ design[:, :2].T, thickness[:, good].sum(axis=0)
    shapes = shapes_with_errors(od, beside_od, shift_od[:, good])[: max(n_energy - n_terms - 1, 1)]
    freedom = n_energy - n_terms - len(shapes)
    share = np.full((len(total), len(phases)), MOST_SHARE)
    if freedom > 0:
        terms = np.broadcast_to(design / np.linalg.norm(design, axis=0), (len(od), *design.shape))
        basis = np.linalg.qr(np.concatenate([terms, *(one[:, :, None] for one in shapes)], axis=2))[0]
        along = ((phases @ basis) ** 2).sum(axis=2)
        left = total[:, None] * np.sqrt(np.maximum((phases**2).sum(axis=1) - along, 0.0))
        variance = noise_variance[good].mean(axis=1) + TOLERATED_SHARE**2 * (od**2).mean(axis=1)
        least = np.sqrt(SEEN_SD * np.sqrt(2.0 * freedom) * variance)
        with np.errstate(divide="ignore"):
            share = np.minimum(MOST_SHARE, least[:, None] / left)
    limit = _MOST_SHIFT_SD * prior_sd_ev
    shift = np.clip(share * feigned_ev, -limit, limit)
    by_shift = soc_per_ev[good, None] * shift
    of_its_own = share * total[:, None] * (response[good] @ phases.T) + by_shift
    moved = np.maximum(np.abs(by_shift), np.abs(of_its_own))
    out.share[good], out.soc[good] = np.median(share, axis=1), np.quantile(moved, _PHASES_BELOW, axis=1)
    out.unseen[good] = (share >= MOST_SHARE).mean(axis=1)
    return out
