"""Sensitivities by algebra, against refitting a particle with the error put in."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.spectra.checks.systematics import (
    END_MEMBERS_UNKNOWN_SD,
    shared_od_variance,
    soc_sensitivity,
    systematic_soc_error,
)
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.reference_errors import ReferenceErrors
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, state_of_charge

THICKNESS = np.array([[150.0, 0.0, 75.0, 30.0], [0.0, 150.0, 75.0, 60.0]])
ENERGY = np.linspace(700.0, 735.0, 35)
COUNTS = np.full(35, 300.0)


def _refitted_bias(lfp: EndMembers, transmission: np.ndarray, shift: float, background: str) -> np.ndarray:
    design = design_matrix(lfp, ENERGY, shift, background)
    fit = FITTERS["poisson"].load()(transmission.astype(np.float32), COUNTS, design, FitOptions(bias_removed=False))
    soc, _ = state_of_charge(fit.coefficients[:2], fit.covariance[:2, :2])
    return soc - THICKNESS[1] / THICKNESS.sum(axis=0)


@pytest.mark.parametrize("background", ["none", "constant"])
def test_first_order_equals_refitting(lfp: EndMembers, background: str) -> None:
    transmission = np.exp(-lfp.at(ENERGY).T @ THICKNESS)
    found = soc_sensitivity(THICKNESS, lfp, ENERGY, COUNTS, background=background)
    for small, expected, bias in (
        (0.01, found.energy_per_ev, _refitted_bias(lfp, transmission, 0.01, background)),
        (0.002, found.leak, _refitted_bias(lfp, (transmission + 0.002) / 1.002, 0.0, background)),
        (0.005, found.i0, _refitted_bias(lfp, transmission * np.exp(-0.005), 0.0, background)),
    ):
        np.testing.assert_allclose(bias / small, expected, rtol=0.06, atol=0.01)


def test_a_tenth_of_an_ev_moves_the_soc_by_three_to_five_hundredths(lfp: EndMembers) -> None:
    found = soc_sensitivity(THICKNESS, lfp, ENERGY, COUNTS)
    assert np.all((np.abs(found.energy_per_ev * 0.1) > 0.025) & (np.abs(found.energy_per_ev * 0.1) < 0.055))


def test_beam_errors_that_differ_between_energies(lfp: EndMembers) -> None:
    relative = 0.01
    found = soc_sensitivity(THICKNESS, lfp, ENERGY, COUNTS, i0_relative_variance=np.full(35, relative**2))
    rng = np.random.default_rng(1)
    clean = np.exp(-lfp.at(ENERGY).T @ THICKNESS)
    drawn = [_refitted_bias(lfp, clean * np.exp(rng.normal(0, relative, (35, 1))), 0.0, "none") for _ in range(300)]
    np.testing.assert_allclose(np.std(drawn, axis=0), found.i0_scatter, rtol=0.15)


def test_causes_add_in_squares_and_no_metal_has_no_soc(lfp: EndMembers) -> None:
    thickness = np.array([[100.0, 0.0, np.nan], [50.0, 0.0, 3.0]])
    found = soc_sensitivity(thickness, lfp, ENERGY, COUNTS)
    error = systematic_soc_error(found, shift_sd=found.energy_per_ev * 0.02, leak_sd=0.01, i0_relative_sd=0.003)
    expected = np.hypot(np.hypot(found.energy_per_ev[0] * 0.02, found.leak[0] * 0.01), found.i0[0] * 0.003)
    assert error[0] == pytest.approx(expected)
    assert np.isnan(error[1:]).all()


def test_errors_of_end_members_equal_refitting_with_the_wrong_ones(lfp: EndMembers) -> None:
    """The spectra that nature has differ from those that the fit uses by one cause at a time."""
    assert lfp.errors is not None
    found = soc_sensitivity(THICKNESS, lfp, ENERGY, COUNTS)
    response = found.response
    by_cause = lfp.errors.soc_by_cause(response, THICKNESS, ENERGY)
    assert by_cause.shape == (len(lfp.errors.causes) + 1, THICKNESS.shape[1])
    small = 0.1
    for shape, cause, expected in zip(lfp.errors.shapes, lfp.errors.causes, by_cause[:-1], strict=True):
        # The fit's end-members are too high by the shape: nature's are lower.
        nature = replace(lfp, mu_per_nm=lfp.mu_per_nm - small * shape)
        bias = _refitted_bias(lfp, np.exp(-nature.at(ENERGY).T @ THICKNESS), 0.0, "none")
        np.testing.assert_allclose(bias / small, expected, rtol=0.06, atol=3e-4, err_msg=cause)
    assert not by_cause[-1].any()
    np.testing.assert_allclose(found.end_members, np.sqrt((by_cause**2).sum(axis=0)))


def test_noise_of_end_members_equals_drawing_it(lfp: EndMembers) -> None:
    rng = np.random.default_rng(7)
    node_ev = np.linspace(699.0, 736.0, 43)
    noise = 3e-4
    mu = lfp.at(node_ev)
    errors = ReferenceErrors(node_ev, np.zeros((0, 2, 43)), (), np.full((2, 43), noise))
    members = replace(lfp, energy_ev=node_ev, mu_per_nm=mu, errors=errors)
    found = soc_sensitivity(THICKNESS, members, ENERGY, COUNTS)
    drawn = []
    for _ in range(300):
        # Linear between nodes, as the errors are said to be.
        nature = [np.interp(ENERGY, node_ev, rng.normal(0.0, noise, 43)) for _ in range(2)]
        transmission = np.exp(-(members.at(ENERGY) + np.array(nature)).T @ THICKNESS)
        drawn.append(_refitted_bias(members, transmission, 0.0, "none"))
    np.testing.assert_allclose(np.std(drawn, axis=0), found.end_members, rtol=0.15)


def test_end_members_that_say_nothing_of_their_error_have_a_floor(lfp: EndMembers) -> None:
    found = soc_sensitivity(THICKNESS, replace(lfp, errors=None), ENERGY, COUNTS)
    assert (found.end_members == END_MEMBERS_UNKNOWN_SD).all()
    error = systematic_soc_error(found, shift_sd=0.0, end_member_sd=found.end_members)
    np.testing.assert_allclose(error, END_MEMBERS_UNKNOWN_SD)


def test_what_modelled_end_members_leave_unsure(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    found = soc_sensitivity(THICKNESS, lfp, ENERGY, COUNTS).end_members
    with capsys.disabled():
        shown = ", ".join(
            f"{x:.2f}: {sd:.3f}" for x, sd in zip(THICKNESS[1] / THICKNESS.sum(axis=0), found, strict=True)
        )
        print(f"\n  standard error of soc from the library's LFP end-members, 35 energies, at soc {shown}")
    assert ((found > 0.003) & (found < 0.1)).all()


def test_an_error_common_to_one_spectrum_leaves_pure_states_alone(lfp: EndMembers) -> None:
    """A charged reference that is too strong by f makes x (1 - x) f, whatever the energies."""
    wrong = 0.01
    shape = np.stack([np.zeros_like(lfp.energy_ev), wrong * lfp.mu_per_nm[1]])
    errors = ReferenceErrors(lfp.energy_ev, shape[None], ("strength",), np.zeros_like(lfp.mu_per_nm))
    found = soc_sensitivity(THICKNESS, replace(lfp, errors=errors), ENERGY, COUNTS)
    soc = THICKNESS[1] / THICKNESS.sum(axis=0)
    # The spectrum is linear between nodes for its error and cubic for the fit.
    np.testing.assert_allclose(found.end_members, wrong * soc * (1.0 - soc), atol=1e-5)


def test_optical_density_varies_with_the_energy_scale_as_its_slope_says(lfp: EndMembers) -> None:
    thickness, se = np.array([80.0, 40.0]), 0.02
    found = shared_od_variance(
        thickness, lfp, ENERGY, shift_ev=0.1, shift_se_ev=se, i0_relative_variance=np.full(ENERGY.size, 1e-6)
    )
    moved = thickness @ (lfp.at(ENERGY, 0.1 + se) - lfp.at(ENERGY, 0.1 - se)) / 2.0
    np.testing.assert_allclose(found, moved**2 + 1e-6, rtol=0.02, atol=1e-7)
