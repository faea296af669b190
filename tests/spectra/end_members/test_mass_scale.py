"""Spectra scaled to tables: planted thicknesses come back, and the tables' weak places are not touched."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.mass_scale import TABLES_SD, scale_to_mass
from stxmdist.spectra.end_members.references import Compounds, EndMembers, from_files

# The planted spectra follow the tables far from the edge, but for two power laws fitted through them and the tails of
# two arctangents, a hundredth each.
POWER_LAWS = 0.02
# From 7 eV above the last step on, tables and model differ by as much as a scale found there is said to be unsure.
NEAR = 0.10
FORMULAS = ("LiFePO4", "FePO4")
ENERGY = np.concatenate([np.arange(690.0, 730.0, 0.5), np.arange(730.0, 775.0, 2.0)])
THICK_NM = (137.0, 61.0)


def _film(energy_ev: np.ndarray) -> np.ndarray:
    return 0.21 * (700.0 / energy_ev) ** 3


def test_planted_thickness_comes_back_under_a_film(lfp: EndMembers) -> None:
    assert lfp.density_g_cm3 is not None
    for mu, formula, rho, thick in zip(lfp.at(ENERGY), FORMULAS, lfp.density_g_cm3, THICK_NM, strict=True):
        found = scale_to_mass(ENERGY, thick * mu + _film(ENERGY), formula)
        assert found.areal_density_g_cm2 == pytest.approx(thick * rho * 1e-7, rel=POWER_LAWS)
        # Hundredths of what the sample absorbs before its edge.
        assert found.background_od == pytest.approx(_film(ENERGY.mean()), abs=0.01)
        np.testing.assert_allclose(found.mass_absorption_cm2_g, mu / rho * 1e7, rtol=3 * POWER_LAWS)
        assert (found.metal, found.near) == ("Fe", False)


def test_what_lies_between_is_not_looked_at(lfp: EndMembers) -> None:
    """The tables are up to a factor of 2.6 off just above L3; white lines of any height give the same scale."""
    od = 100.0 * lfp.at(ENERGY)[0]
    inside = (ENERGY > 704.0) & (ENERGY < 744.9)
    scales = [scale_to_mass(ENERGY, od * np.where(inside, f, 1.0), "LiFePO4").areal_density_g_cm2 for f in (1.0, 2.6)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-12)


def test_a_spectrum_that_ends_early_is_scaled_less_surely(lfp: EndMembers) -> None:
    short = ENERGY[ENERGY < 733.0]
    found = scale_to_mass(short, 100.0 * lfp.at(short)[1], "FePO4")
    assert lfp.density_g_cm3 is not None
    assert found.areal_density_g_cm2 == pytest.approx(100.0 * lfp.density_g_cm3[1] * 1e-7, rel=NEAR)
    assert found.near
    assert found.relative_sd > TABLES_SD


def test_the_error_covers_what_noise_does(lfp: EndMembers) -> None:
    rng = np.random.default_rng(5)
    clean = 100.0 * lfp.at(ENERGY)[0]
    found = [scale_to_mass(ENERGY, clean + rng.normal(0.0, 0.02, ENERGY.size), "LiFePO4") for _ in range(80)]
    areal = np.array([one.areal_density_g_cm2 for one in found])
    stated = np.mean([one.relative_sd for one in found])
    assert areal.std() / areal.mean() == pytest.approx(stated, rel=0.25)


@pytest.mark.parametrize(
    ("energy_ev", "od", "formula", "message"),
    [
        (ENERGY, ENERGY - 680.0, "LiNiO2", "crosses no edge of its compound"),
        (ENERGY, ENERGY - 680.0, "LiFeXx4", "not a chemical formula"),
        (ENERGY[ENERGY < 725.0], None, "LiFePO4", "too short to be scaled"),
        (ENERGY[ENERGY > 705.0], None, "LiFePO4", "too short to be scaled"),
        (ENERGY, np.cos(ENERGY), "LiFePO4", "does not rise over the edge"),
    ],
)
def test_what_cannot_be_scaled_is_refused(lfp: EndMembers, energy_ev, od, formula: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        scale_to_mass(energy_ev, 100.0 * lfp.at(energy_ev)[0] if od is None else od, formula, "a.txt")
    assert refusal.value.mend


def test_files_of_samples_of_unknown_thickness_become_absorption_per_nm(tmp_path: Path, lfp: EndMembers) -> None:
    paths = [tmp_path / "discharged.txt", tmp_path / "charged.txt"]
    for path, mu, thick in zip(paths, lfp.at(ENERGY), THICK_NM, strict=True):
        np.savetxt(path, np.column_stack([ENERGY, thick * mu + _film(ENERGY), np.full(ENERGY.size, 0.004)]))
    found = from_files(*paths, compounds=Compounds(FORMULAS, 3.6))
    assert (found.thickness_unit, found.flags) == ("nm", ())
    assert found.density_g_cm3 == pytest.approx(lfp.density_g_cm3)
    np.testing.assert_allclose(found.mu_per_nm, lfp.at(ENERGY), rtol=3 * POWER_LAWS)
    assert found.errors is not None
    for component, thick in enumerate(THICK_NM):
        np.testing.assert_allclose(found.errors.noise_sd[component], 0.004 / thick, rtol=POWER_LAWS)


def test_noise_before_the_edge_speaks_where_no_column_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    members = CHEMISTRIES["NCA"].load().end_members()
    energy = np.concatenate([np.arange(830.0, 848.0, 0.2), np.arange(848.0, 925.0, 0.25)])
    sd = 0.013
    for name, mu in zip("dc", 100.0 * members.at(energy), strict=True):
        noise = sd * np.exp(0.5 * (mu - mu[0])) * rng.normal(size=energy.size)
        np.savetxt(tmp_path / name, np.column_stack([energy, mu + noise]))
    found = from_files(tmp_path / "d", tmp_path / "c")
    assert found.errors is not None
    stated = sd * np.exp(0.5 * 100.0 * (members.at(energy) - members.at(energy)[:, :1]))
    # 90 energies before the edge say a standard deviation to a twelfth.
    np.testing.assert_allclose(found.errors.noise_sd, stated, rtol=0.25)
