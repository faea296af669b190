"""The spectral model of a stack: which energies it rests on, and what comes off before the edge."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitContext, FitOptions
from stxmdist.spectra.fitting.model import (
    ModelOptions,
    StackSummary,
    film_covariance,
    model_of_stack,
    pre_edge,
    without_pre_edge,
)

ENERGY_EV = np.linspace(700.0, 725.0, 51)
AMOUNTS_NM = np.array([60.0, 40.0])
VARIANCE = 1e-6
"""Of the mean optical density: that of thousands of pixels"""
GRID_EV = 0.02
"""Step of the grid on which the energy shift is looked for"""


def summary(mean_od: F64, energy_ev: F64 = ENERGY_EV) -> StackSummary:
    n = len(energy_ev)
    return StackSummary(energy_ev, mean_od, np.full(n, VARIANCE), np.full(n, 1e3), np.ones(n, np.uint8))


def test_a_shifted_stack_is_modelled_at_the_energies_it_really_has(lfp: EndMembers) -> None:
    stack = summary(AMOUNTS_NM @ lfp.at(ENERGY_EV, 0.2))
    model = model_of_stack("one", stack, lfp, ModelOptions(background="constant"))
    assert model.shift_ev == pytest.approx(0.2, abs=GRID_EV)
    np.testing.assert_array_equal(model.design, design_matrix(lfp, ENERGY_EV, model.shift_ev, "constant"))
    assert model.design.shape == model.slope.shape == (51, 3)
    assert (model.slope[:, 2] == 0.0).all()
    np.testing.assert_array_equal(model.mean_od, stack.mean_od)
    fixed = model_of_stack("one", stack, lfp, ModelOptions(fit_energy_shift=False))
    assert fixed.shift_ev == 0.0
    assert fixed.shift.shift_ev == pytest.approx(0.2, abs=GRID_EV)


def test_no_shift_beyond_the_largest_is_found(lfp: EndMembers) -> None:
    stack = summary(AMOUNTS_NM @ lfp.at(ENERGY_EV, 0.5))
    options = ModelOptions(largest_energy_shift_ev=0.1, energy_shift_sd_ev=0.05)
    model = model_of_stack("one", stack, lfp, options)
    assert model.shift_ev == pytest.approx(0.1, abs=GRID_EV)
    assert model.shift.at_bound
    # What is known of it is no more than before.
    assert model.shift.se_ev == pytest.approx(0.05)


def test_energies_that_were_not_measured_or_lie_outside_the_references_are_left_out(lfp: EndMembers) -> None:
    energy_ev = np.array([100.0, *ENERGY_EV])
    stack = summary(np.full(52, 0.5), energy_ev)
    counts = stack.effective_counts.copy()
    counts[7] = np.nan
    measured = stack.energy_used.copy()
    measured[9] = 0
    model = model_of_stack(
        "one", replace(stack, effective_counts=counts, energy_used=measured), lfp, ModelOptions(fit_energy_shift=False)
    )
    np.testing.assert_array_equal(np.flatnonzero(~model.used), [0, 7, 9])
    assert len(model.energy_ev) == len(model.effective_counts) == len(model.design) == 49


@pytest.mark.parametrize(("background", "least"), [("none", 2), ("constant", 3), ("power_law", 4)])
def test_too_few_energies_are_refused_with_what_else_there_is(lfp: EndMembers, background: str, least: int) -> None:
    energy_ev = np.array([100.0, *np.linspace(706.0, 712.0, least - 1)])
    options = ModelOptions(background=background)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"fit of one: .*got {least - 1} of {least} .*at least {least} .*; see there"):
        model_of_stack("one", summary(np.full(least, 0.5), energy_ev), lfp, options, also_there="; see there")


def test_an_incident_beam_below_what_comes_through_is_refused(lfp: EndMembers) -> None:
    with pytest.raises(InputError, match="weaker than what came through"):
        model_of_stack("one", summary(np.full(51, -0.2)), lfp, ModelOptions())


def test_what_comes_off_the_pixels_before_the_edge_comes_off_the_model(lfp: EndMembers) -> None:
    options = ModelOptions(pre_edge_below_ev=703.0, fit_energy_shift=False)
    model = model_of_stack("one", summary(AMOUNTS_NM @ lfp.at(ENERGY_EV)), lfp, options)
    assert model.before_edge is not None
    for values in (model.design[:, :2], model.slope[:, :2], model.mean_od):
        np.testing.assert_allclose(values[model.before_edge].mean(axis=0), 0.0, atol=1e-12)


def test_a_film_that_absorbs_alike_everywhere_is_gone_with_the_pre_edge() -> None:
    rng = np.random.default_rng(3)
    cathode = np.exp(-rng.uniform(0.0, 1.0, (51, 7))).astype(np.float32)
    film = np.exp(-rng.uniform(0.0, 2.0, 7)).astype(np.float32)
    before = pre_edge("one", ENERGY_EV, 703.0)
    assert before is not None
    assert before.sum() == 6
    with_film, level = without_pre_edge(cathode * film, before)
    without, own = without_pre_edge(cathode, before)
    np.testing.assert_allclose(with_film, without, rtol=1e-6)
    np.testing.assert_allclose(level, own * film, rtol=1e-6)
    np.testing.assert_allclose(with_film[before].mean(axis=0), 1.0, rtol=1e-6)


def test_nothing_comes_off_unless_asked_and_an_edge_without_energies_before_it_is_refused() -> None:
    transmission = np.full((3, 2), 0.5, np.float32)
    assert pre_edge("one", np.array([700.0, 710.0]), None) is None
    same, level = without_pre_edge(transmission, None)
    assert same is transmission
    assert (level == 1.0).all()
    with pytest.raises(InputError, match="no energy lies before the edge"):
        pre_edge("one", np.array([853.0, 857.8]), 702.7)
    # A pixel that is dark before the edge has no level to be divided by.
    dark, level = without_pre_edge(np.zeros((3, 2), np.float32), np.array([True, False, False]))
    assert np.isnan(dark).all()
    assert np.isnan(level).all()


@pytest.mark.parametrize("background", ["constant", "power_law"])
def test_thickness_lacks_what_the_film_takes_up_of_the_noise(lfp: EndMembers, background: str) -> None:
    """The scatter of thousands of fitted pixels; relative errors of their (co)variances are 1.4 / sqrt(8000) = .016."""
    od = AMOUNTS_NM @ lfp.at(ENERGY_EV)
    options = ModelOptions(background=background, fit_energy_shift=False)  # type: ignore[arg-type]
    model = model_of_stack("one", summary(od), lfp, options)
    counted = np.random.default_rng(4).poisson(1e3 * np.exp(-od)[:, None], (51, 8000)) / 1e3
    context = FitContext(model.energy_ev, model.mean_od, model.slope)
    fitted = FITTERS["poisson"].load()(
        counted.astype(np.float32), model.effective_counts, model.design, FitOptions(), context
    )
    seen = np.cov(fitted.coefficients[:2].sum(axis=0), fitted.coefficients[2])
    covariance, variance = film_covariance(model)
    assert covariance == pytest.approx(seen[0, 1], rel=0.06)
    assert variance == pytest.approx(seen[1, 1], rel=0.06)


def test_no_film_takes_up_nothing(lfp: EndMembers) -> None:
    model = model_of_stack("one", summary(AMOUNTS_NM @ lfp.at(ENERGY_EV)), lfp, ModelOptions(background="none"))
    assert film_covariance(model) == (0.0, 0.0)
