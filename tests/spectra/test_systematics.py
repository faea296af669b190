"""Sensitivities by algebra, against refitting a particle with the error put in."""

import numpy as np
import pytest

from stxmdist.spectra.fit import FITTERS, FitOptions, design_matrix, state_of_charge
from stxmdist.spectra.references import EndMembers
from stxmdist.spectra.systematics import shared_od_variance, soc_sensitivity, systematic_soc_error

THICKNESS = np.array([[150.0, 0.0, 75.0, 30.0], [0.0, 150.0, 75.0, 60.0]])
ENERGY = np.linspace(700.0, 735.0, 35)
COUNTS = np.full(35, 300.0)


def _refitted_bias(lfp: EndMembers, transmission: np.ndarray, shift: float, background: str) -> np.ndarray:
    design = design_matrix(lfp, ENERGY, shift, background)
    fit = FITTERS["poisson"](transmission.astype(np.float32), COUNTS, design, FitOptions(bias_removed=False))
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
    error = systematic_soc_error(found, shift_se_ev=0.02, leak_sd=0.01, i0_relative_sd=0.003)
    expected = np.hypot(np.hypot(found.energy_per_ev[0] * 0.02, found.leak[0] * 0.01), found.i0[0] * 0.003)
    assert error[0] == pytest.approx(expected)
    assert np.isnan(error[1:]).all()


def test_optical_density_varies_with_the_energy_scale_as_its_slope_says(lfp: EndMembers) -> None:
    thickness, se = np.array([80.0, 40.0]), 0.02
    found = shared_od_variance(
        thickness, lfp, ENERGY, shift_ev=0.1, shift_se_ev=se, i0_relative_variance=np.full(ENERGY.size, 1e-6)
    )
    moved = thickness @ (lfp.at(ENERGY, 0.1 + se) - lfp.at(ENERGY, 0.1 - se)) / 2.0
    np.testing.assert_allclose(found, moved**2 + 1e-6, rtol=0.02, atol=1e-7)
