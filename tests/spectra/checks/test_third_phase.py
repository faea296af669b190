"""What of a third phase would go unnoticed, and what that changes, is what a fit of planted spectra finds."""

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.spectra.checks.systematics import soc_sensitivity
from stxmdist.spectra.checks.third_phase import (
    ABOVE_EV,
    BELOW_EV,
    MOST_SHARE,
    ThirdPhaseBound,
    displaced_phases,
    feigned_shift_ev,
    third_phase_bound,
)
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers

THREE = np.array([700.0, 708.2, 710.2])
SIX = np.array([703.0, 705.0, 706.6, 708.2, 710.2, 713.0])
MANY = np.linspace(700.0, 735.0, 35)
THICKNESS = np.array([[70.0], [50.0]])
PRIOR_SD_EV = 0.2
FIRST_ORDER = 0.1
"""A share of a hundredth is small enough for first order to hold within this"""
HALF = 0.5


def _bound(
    lfp: EndMembers, energy_ev: F64, phases: F64, variance: float, feigned: float = 0.0, film_od: float = 0.0
) -> ThirdPhaseBound:
    design, counts = design_matrix(lfp, energy_ev), np.full(energy_ev.size, 1000.0)
    sensitivity = soc_sensitivity(THICKNESS, lfp, energy_ev, counts)
    moved = np.stack([lfp.held_at(energy_ev, shift) - lfp.at(energy_ev) for shift in (-0.1, 0.1)])
    return third_phase_bound(
        phases,
        THICKNESS,
        design,
        np.full((1, energy_ev.size), variance),
        np.einsum("sce,cp->spe", moved, THICKNESS),
        sensitivity.response,
        sensitivity.energy_per_ev,
        np.full(len(phases), feigned),
        PRIOR_SD_EV,
        np.full(energy_ev.size, film_od),
    )


def test_white_lines_of_the_phases_lie_as_far_as_they_are_said_to(lfp: EndMembers) -> None:
    fine = np.linspace(705.5, 715.0, 951)
    own = lfp.energy_ev[lfp.mu_per_nm.argmax(axis=1)]
    lines = fine[displaced_phases(lfp, fine, 0.0).argmax(axis=1)]
    # The lines are searched on a grid of .01 eV, with steps of .25 eV between the phases.
    assert lines.min() == pytest.approx(own.min() - BELOW_EV, abs=0.02)
    assert own.max() + ABOVE_EV - 0.27 < lines.max() < own.max() + ABOVE_EV + 0.15


def test_a_change_of_the_state_of_charge_is_that_of_a_fit(lfp: EndMembers) -> None:
    phase = displaced_phases(lfp, MANY, 0.0)[:1]
    found = _bound(lfp, MANY, phase, 1e-8)
    assert found.share[0] < 0.1 * MOST_SHARE
    design, mixture = design_matrix(lfp, MANY), THICKNESS[:, 0]
    od = design @ mixture
    root = np.sqrt(np.exp(-od))
    planted = od + found.share[0] * mixture.sum() * phase[0]
    fitted = np.linalg.lstsq(root[:, None] * design, root * planted, rcond=None)[0]
    change = abs(fitted[1] / fitted.sum() - mixture[1] / mixture.sum())
    assert found.soc[0] == pytest.approx(change, rel=FIRST_ORDER)


def test_no_energies_show_an_end_member_as_a_third_phase(lfp: EndMembers) -> None:
    found = _bound(lfp, MANY, lfp.at(MANY), 1e-6)
    np.testing.assert_array_equal(found.share, MOST_SHARE)
    # A fifth of it more lowers a state of charge of .42 by a fifth of it, .08, to first order.
    assert found.soc[0] > 0.05


@pytest.mark.parametrize(("energy_ev", "open_"), [(THREE, True), (SIX, True), (MANY, False)])
def test_few_energies_do_not_exclude_a_third_phase(lfp: EndMembers, energy_ev: F64, open_: bool) -> None:
    found = _bound(lfp, energy_ev, displaced_phases(lfp, energy_ev, 0.0), 1e-5, film_od=0.01)
    assert found.not_excluded == open_
    assert ("cannot tell" in found.said(energy_ev.size)) == open_


def test_less_noise_shows_smaller_shares(lfp: EndMembers) -> None:
    phases = displaced_phases(lfp, MANY, 0.0)
    shares = [_bound(lfp, MANY, phases, variance).share[0] for variance in (1e-3, 1e-4, 1e-5)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_a_feigned_shift_counts_for_particles_without_the_phase(lfp: EndMembers) -> None:
    nothing = np.zeros((1, SIX.size))
    per_ev = abs(soc_sensitivity(THICKNESS, lfp, SIX, np.full(SIX.size, 1000.0)).energy_per_ev[0])
    assert _bound(lfp, SIX, nothing, 1e-5, feigned=HALF).soc[0] == pytest.approx(MOST_SHARE * HALF * per_ev)


def test_a_phase_that_looks_like_a_shift_feigns_it(lfp: EndMembers) -> None:
    design = design_matrix(lfp, MANY)
    step = 1e-3
    slope = ((lfp.at(MANY, step) - lfp.at(MANY, -step)) / (2.0 * step)).T @ THICKNESS[:, 0]
    feigned = feigned_shift_ev(0.1 * slope[None], slope, design, np.diag(np.full(MANY.size, 1e-8)), PRIOR_SD_EV)
    # Of a prior of .2 eV nothing is left beside so precise a spectrum.
    assert feigned[0] == pytest.approx(0.1, rel=1e-3)
    doubted = feigned_shift_ev(0.1 * slope[None], slope, design, np.diag(np.full(MANY.size, 1e2)), PRIOR_SD_EV)
    assert abs(doubted[0]) < 1e-3


def test_nothing_is_said_without_particles(lfp: EndMembers) -> None:
    unknown = np.full(2, np.nan)
    found = ThirdPhaseBound(unknown, unknown, unknown)
    assert not found.not_excluded
    assert found.said(6) == ""
