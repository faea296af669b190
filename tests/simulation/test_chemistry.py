"""The planted optical constants: published ratios, Kramers-Kronig against closed form and table, fit's references."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.simulation.chemistry import (
    CHARGED,
    DISCHARGED,
    FEPO4_IRON_PER_NM3,
    IRON_PER_NM3,
    absorption,
    kramers_kronig_f1,
    optical_constants,
    refraction_delta,
    transmission,
)
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.units import wavelength_nm

ENERGY_EV = np.array([700.0, 705.0, 707.25, 708.25, 709.25, 710.25, 712.0, 720.0])
# Made with another continuum (Henke) and tuned peak heights, and steep there: 10 % of the largest.
TABLE_TOLERANCE = 0.6e-4


@pytest.mark.parametrize(("lithium", "angle_deg"), [(0.93, 27.48), (0.02, 65.00)])
def test_two_energy_ratio_is_the_published_one(lithium: float, angle_deg: float) -> None:
    discharged, charged = absorption(np.array([708.2, 710.2]))
    mixed = lithium * discharged + (1.0 - lithium) * charged
    assert np.degrees(np.arctan2(mixed[1], mixed[0])) == pytest.approx(angle_deg, abs=0.02)


@pytest.mark.parametrize(
    ("member", "density", "expected"),
    [
        (DISCHARGED, 1.0, [8.45, 5.71, 1.85, 8.19, 13.8, 12.3, 11.3, 7.7]),
        (CHARGED, FEPO4_IRON_PER_NM3 / IRON_PER_NM3, [8.34, 6.32, 2.53, 0.87, 1.74, 8.59, 14.6, 7.9]),
    ],
)
def test_refraction_meets_the_independent_kramers_kronig_table(member, density, expected) -> None:
    np.testing.assert_allclose(
        density * refraction_delta(member, ENERGY_EV), np.array(expected) * 1e-4, atol=TABLE_TOLERANCE
    )


def test_phase_contrast_at_709_ev_is_large() -> None:
    """0.50 rad against 0.06 rad per 100 nm of dense LiFePO4 and FePO4."""
    _, delta = optical_constants(np.array([709.25]))
    phase = 2.0 * np.pi / wavelength_nm(709.25) * 100.0 * delta[:, 0]
    assert phase[0] == pytest.approx(0.50, abs=0.02)
    assert phase[1] < 0.09


def test_kramers_kronig_of_a_bound_electron_is_its_real_part() -> None:
    """f = g E^2 / (E^2 - E0^2 + i E w) scatters as g free electrons far above its resonance: f1 = g + KK of f2."""
    centre, width, electrons = 700.0, 2.0, 5.0
    grid = np.unique(np.concatenate([np.geomspace(0.1, 1e7, 4000), np.arange(600.0, 800.0, 0.02)]))

    def factor(energy: np.ndarray) -> np.ndarray:
        return electrons * energy**2 / (energy**2 - centre**2 + 1j * energy * width)

    at = np.array([650.0, 699.0, 700.0, 701.3, 750.0])
    # For Z -> 0 the relativistic correction vanishes and only the integral is left.
    found = kramers_kronig_f1(at, grid, -factor(grid).imag, 1e-9)
    np.testing.assert_allclose(found, factor(at).real - electrons, atol=1e-4 * np.abs(factor(at).real).max())


def test_end_members_of_the_fit_agree_with_the_planted_ones() -> None:
    """Two codes, one physics: the truth must not be biased against the references by more than 1e-3."""
    energy = np.linspace(695.0, 740.0, 301)
    np.testing.assert_allclose(absorption(energy), CHEMISTRIES["LFP"].load().end_members().at(energy), rtol=1e-3)


def test_transmission_is_the_exponential_of_absorption_and_phase() -> None:
    energy = 709.3
    mu, delta = optical_constants(np.array([energy]))
    thickness = np.array([[[40.0]], [[70.0]]])
    found = transmission(thickness, energy)[0, 0]
    assert -2.0 * np.log(abs(found)) == pytest.approx(40.0 * mu[0, 0] + 70.0 * mu[1, 0], rel=1e-12)
    assert -np.angle(found) == pytest.approx(
        2 * np.pi / wavelength_nm(energy) * (40 * delta[0, 0] + 70 * delta[1, 0]), rel=1e-9
    )


def test_energies_off_the_edge_are_refused() -> None:
    with pytest.raises(InputError, match="Fe L edge"):
        absorption(np.array([853.0]))
