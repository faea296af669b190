"""Energies to take: published and derived bounds, every set tried, counts drawn, and doses."""

from itertools import combinations

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.energy_choice import (
    SOCS,
    Unknowns,
    choose_energies,
    dose_per_photon_mgy,
    limitations,
    soc_sigma,
)
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, state_of_charge

PHOTONS = 1e4
TWO = np.array([708.2, 710.2])
FIVE = np.array([703.0, 706.6, 708.2, 710.2, 713.0])
# Before the edge, every .3 eV through L3, and a few beyond: the usual spectrum of 35 energies.
MANY = np.concatenate([[700.0, 702.0, 704.0], np.linspace(705.5, 713.0, 26), np.linspace(714.0, 728.0, 6)])
# Derived elsewhere from Henke's continuum, 3 to 5 % above Chantler's, and printed to two figures; 35 energies are not
# said to be these 35.
DERIVED = 0.06


def even(lfp: EndMembers, energy_ev: np.ndarray, thickness_nm: float, soc: float = 0.5, **more: Unknowns) -> float:
    photons = np.full(energy_ev.size, PHOTONS / energy_ev.size)
    return soc_sigma(lfp, energy_ev, photons, thickness_nm=thickness_nm, soc=soc, **more)


@pytest.mark.parametrize(
    ("thickness_nm", "two", "five", "many"),
    [
        (100.0, 0.024, 0.036, 0.043),
        (150.0, 0.0199, 0.029, 0.034),
        (200.0, 0.0186, 0.027, 0.031),
        (300.0, 0.019, 0.027, 0.029),
    ],
)
def test_bounds_derived_elsewhere(
    lfp: EndMembers, thickness_nm: float, two: float, five: float, many: float, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [even(lfp, energies, thickness_nm) for energies in (TWO, FIVE, MANY)]
    with capsys.disabled():
        print(
            f"\n  sigma of soc, 1e4 photons, {thickness_nm:.0f} nm: 2, 5, 35 energies "
            + ", ".join(f"{a:.4f} ({b})" for a, b in zip(found, (two, five, many), strict=True)),
            end="",
        )
    np.testing.assert_allclose(found, [two, five, many], rtol=DERIVED)


@pytest.mark.parametrize("background", ["none", "constant"])
def test_the_bound_is_reached_by_the_fit(lfp: EndMembers, background: str) -> None:
    rng = np.random.default_rng(2)
    thickness = np.array([60.0, 90.0])
    counts = np.full(MANY.size, 2000.0)
    drawn = rng.poisson(counts[:, None] * np.exp(-lfp.at(MANY).T @ thickness)[:, None], (MANY.size, 4001)) / 2000.0
    fit = FITTERS["poisson"].load()(
        drawn.astype(np.float32), counts, design_matrix(lfp, MANY, 0.0, background), FitOptions()
    )
    soc, _ = state_of_charge(fit.coefficients[:2], fit.covariance[:2, :2])
    bound = soc_sigma(lfp, MANY, counts, thickness_nm=150.0, soc=0.6, unknowns=Unknowns(background))
    # 4001 pixels tell a standard deviation to 1.1 %.
    assert soc.std() == pytest.approx(bound, rel=0.04)


def test_every_unknown_costs_light(lfp: EndMembers) -> None:
    sigma = [
        even(lfp, MANY, 150.0, unknowns=each)
        for each in (Unknowns(), Unknowns("constant"), Unknowns("power_law"), Unknowns("power_law", shift=True))
    ]
    assert sigma == sorted(sigma)
    assert sigma[-1] < 2.0 * sigma[0]
    assert even(lfp, TWO, 150.0, unknowns=Unknowns("constant")) == np.inf


@pytest.mark.parametrize(
    ("n", "unknowns"), [(2, Unknowns()), (3, Unknowns("constant")), (4, Unknowns("constant", shift=True))]
)
def test_no_other_set_is_better(lfp: EndMembers, n: int, unknowns: Unknowns) -> None:
    """Against every set of a coarse grid, the light spread evenly."""
    grid = np.arange(704.0, 715.1, 0.7)

    def mean_variance(energies: np.ndarray) -> float:
        return float(np.mean([even(lfp, energies, 150.0, soc, unknowns=unknowns) ** 2 for soc in SOCS]))

    found = choose_energies(lfp, grid, n, thickness_nm=150.0, photons=PHOTONS, unknowns=unknowns)
    best = min(mean_variance(grid[list(each)]) for each in combinations(range(grid.size), n))
    assert mean_variance(found.energy_ev) == pytest.approx(best, rel=1e-9)
    # Shared out by what helps it is better still.
    assert np.mean(found.soc_sigma**2) < best * (1.0 + 1e-9)
    assert found.share.sum() == pytest.approx(1.0)
    assert (found.share >= 0.5 / n - 1e-12).all()


def test_two_energies_are_the_two_white_lines(lfp: EndMembers) -> None:
    found = choose_energies(lfp, np.arange(702.0, 725.0, 0.1), 2, thickness_nm=150.0, photons=PHOTONS)
    np.testing.assert_allclose(found.energy_ev, TWO, atol=0.5)
    assert found.soc_sigma[1] < even(lfp, TWO, 150.0)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_presets_beat_energies_spread_evenly(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry, members = CHEMISTRIES[name].load().edges[0], CHEMISTRIES[name].load().end_members()
    low, high = entry.lines_ev
    grid = np.arange(np.ceil(low), high, 0.1)
    found = choose_energies(members, grid, 5, thickness_nm=150.0, photons=PHOTONS)
    with capsys.disabled():
        listed = " ".join(f"{energy:.1f}" for energy in found.energy_ev)
        print(f"\n  {name}: {listed} eV, sigma of soc {found.soc_sigma[1]:.3f} at 1e4 photons", end="")
    assert np.diff(found.energy_ev).min() > 0.49
    assert found.soc_sigma[1] < 0.7 * even(members, np.linspace(low, high, 5), 150.0)
    # The same again, and whatever the order of the candidates.
    again = choose_energies(members, grid[::-1], 5, thickness_nm=150.0, photons=PHOTONS)
    np.testing.assert_array_equal(again.energy_ev, found.energy_ev)


def test_doses_derived_elsewhere(lfp: EndMembers) -> None:
    peak = np.array([708.2])
    assert 100.0 * dose_per_photon_mgy(lfp, peak, 7.2)[0] == pytest.approx(0.66, rel=0.1)
    assert 1e4 * dose_per_photon_mgy(lfp, peak, 30.0)[0] == pytest.approx(3.8, rel=0.1)


def test_a_dose_is_kept_and_chosen_for(lfp: EndMembers) -> None:
    grid = np.arange(702.0, 725.0, 0.1)
    found = choose_energies(lfp, grid, 3, thickness_nm=150.0, dose_mgy=7.0)
    assert found.dose_mgy == pytest.approx(7.0)
    by_photons = choose_energies(lfp, grid, 3, thickness_nm=150.0, photons=found.photons)
    # The same number of photons can be had to tell more, or to do less harm, not both.
    assert np.mean(by_photons.soc_sigma**2) <= np.mean(found.soc_sigma**2) * (1.0 + 1e-6)
    assert found.dose_mgy <= by_photons.dose_mgy * (1.0 + 1e-6)
    ten = choose_energies(lfp, grid, 3, thickness_nm=150.0, dose_mgy=70.0)
    np.testing.assert_array_equal(ten.energy_ev, found.energy_ev)
    np.testing.assert_allclose(ten.soc_sigma, found.soc_sigma / np.sqrt(10.0))


@pytest.mark.parametrize(
    ("n", "more", "message"),
    [
        (1, {"photons": 1e4}, "fewer energies than unknowns"),
        (3, {"photons": 1e4, "unknowns": Unknowns("constant", shift=True)}, "fewer energies than unknowns"),
        (2, {}, "neither"),
        (2, {"photons": 1e4, "dose_mgy": 1.0}, "both"),
        (2, {"photons": -1.0}, "photons is not a positive number"),
        (2, {"photons": 1e4, "thickness_nm": 0.0}, "thickness_nm is not a positive number"),
        (40, {"photons": 1e4}, "do not fit into the range of the edge"),
    ],
)
def test_what_cannot_be_chosen_is_refused(lfp: EndMembers, n: int, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_energies(lfp, np.arange(705.0, 715.0, 0.1), n, **({"thickness_nm": 150.0} | more))


def test_what_a_choice_cannot_see_is_said(lfp: EndMembers) -> None:
    grid = np.arange(702.0, 725.0, 0.1)

    def said(n: int, unknowns: Unknowns, thickness_nm: float = 150.0) -> str:
        choice = choose_energies(lfp, grid, n, thickness_nm=thickness_nm, photons=PHOTONS, unknowns=unknowns)
        return " ".join(limitations(choice, lfp, unknowns, thickness_nm))

    assert "No third component" in said(2, Unknowns())
    assert "Hardly a third component" in said(3, Unknowns())
    assert said(8, Unknowns("constant", shift=True)) == ""
    assert "Saturated at" in said(2, Unknowns(), 400.0)
