"""The background of a stack is decided from its mean spectrum, and what is not fitted stays in the error."""

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.design_matrix import background_columns, design_matrix
from stxmdist.spectra.end_members.mean_errors import AROUND_PARTICLES
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.background_choice import (
    UNSEEN_OD,
    BackgroundChoice,
    BackgroundOption,
    MeanSpectrum,
    before_the_edge,
    choose_background,
)
from stxmdist.spectra.fitting.film_scatter import FilmScatter

ENERGY_EV = np.linspace(700.0, 725.0, 26)
FEW_EV = np.array([703.0, 707.0, 708.2, 710.2])
NOISE_OD = 2e-3
DOUBTS = 4.0
"""No planted background lies beyond so many doubts"""


def chosen(
    lfp: EndMembers,
    film: F64 | float,
    energy_ev: F64 = ENERGY_EV,
    asked: BackgroundOption = "auto",
    seed: int = 1,
    between: FilmScatter | None = None,
) -> BackgroundChoice:
    noise = np.random.default_rng(seed).normal(0.0, NOISE_OD, energy_ev.size)
    mean_od = np.array([50.0, 50.0]) @ lfp.at(energy_ev) + film + noise
    spectrum = MeanSpectrum(
        energy_ev,
        mean_od,
        np.full(energy_ev.size, NOISE_OD**2),
        design_matrix(lfp, energy_ev),
        np.stack([design_matrix(lfp, energy_ev, shift) for shift in (-0.01, 0.01)]),
    )
    return choose_background(spectrum, asked, between)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_fitted_where_nothing_else_absorbs(lfp: EndMembers, seed: int) -> None:
    choice = chosen(lfp, 0.0, seed=seed)
    assert choice.background == "none"
    assert 0.0 < np.abs(choice.doubt_od).max() < 0.02
    assert choice.said.endswith("no background is fitted")


@pytest.mark.parametrize("film", [2.0, 0.12, -0.12])
def test_a_constant_is_fitted_where_it_stands_before_the_edge(lfp: EndMembers, film: float) -> None:
    choice = chosen(lfp, film)
    assert choice.background == "constant"
    assert choice.before_edge_od - choice.explained_od == pytest.approx(film, abs=0.02)
    assert f"{choice.before_edge_od:.2f} +- 0.01" in choice.said
    # How far it may fall with energy is not fitted, and is doubted.
    assert np.abs(choice.doubt_od).max() > 0.0


def test_a_film_that_falls_with_energy_is_a_power_law(lfp: EndMembers) -> None:
    choice = chosen(lfp, 1.2 * (700.0 / ENERGY_EV) ** 4)
    assert choice.background == "power_law"
    assert not choice.doubt_od.any()


@pytest.mark.parametrize("film", [0.005, 0.012])
def test_what_is_too_little_to_be_fitted_is_doubted(lfp: EndMembers, film: float) -> None:
    choice = chosen(lfp, film)
    assert choice.background == "none"
    assert film < DOUBTS * choice.doubt_od[0]


@pytest.mark.parametrize("share", [0.0, 0.03, 0.06])
@pytest.mark.parametrize(("film", "background"), [(0.0, "none"), (0.4, "constant")])
def test_light_from_beside_dark_plates_is_no_background(
    lfp: EndMembers, share: float, film: float, background: str
) -> None:
    """The tails of the point spread function throw light into plates through which less than that comes."""
    od = np.array([200.0, 200.0]) @ lfp.at(ENERGY_EV) + film
    assert np.exp(-od.max()) < 0.04
    seen = -np.log((1.0 - share) * np.exp(-od) + share)
    noise = np.random.default_rng(3).normal(0.0, NOISE_OD, od.size)
    spectrum = MeanSpectrum(
        ENERGY_EV,
        seen + noise,
        np.full(od.size, NOISE_OD**2),
        design_matrix(lfp, ENERGY_EV),
        np.stack([design_matrix(lfp, ENERGY_EV, shift) for shift in (-0.01, 0.01)]),
        AROUND_PARTICLES,
    )
    choice = choose_background(spectrum)
    assert choice.background == background
    assert choice.before_edge_od - choice.explained_od == pytest.approx(film, abs=0.05)


@pytest.mark.parametrize("asked", ["none", "constant", "power_law"])
def test_what_is_asked_for_is_taken_with_its_doubt(lfp: EndMembers, asked: BackgroundOption) -> None:
    choice = chosen(lfp, 0.5, asked=asked)
    assert choice.background == asked
    assert choice.said.endswith(", as was asked for")
    if asked == "none":
        np.testing.assert_allclose(choice.doubt_od, 0.5, atol=0.02)


def test_few_energies_tell_a_constant_where_one_lies_before_the_edge(lfp: EndMembers) -> None:
    assert chosen(lfp, 0.3, FEW_EV).background == "constant"
    assert chosen(lfp, 0.3, FEW_EV[[0, 2, 3]]).background == "constant"
    assert chosen(lfp, 0.0, FEW_EV).background == "none"


def test_two_energies_tell_nothing_and_the_error_allows_for_a_film(lfp: EndMembers) -> None:
    choice = chosen(lfp, 0.3, FEW_EV[[2, 3]])
    assert choice.background == "none"
    np.testing.assert_allclose(choice.doubt_od, UNSEEN_OD)
    assert choice.said == (
        "2 energies cannot tell a background from the end-members: no background is fitted, and the error allows for "
        "0.05 of optical density"
    )
    # The same energy again is no further energy.
    assert chosen(lfp, 0.3, FEW_EV[[2, 3, 3]]).background == "none"


def test_energies_in_another_order_or_not_known_decide_alike(lfp: EndMembers) -> None:
    order = np.random.default_rng(2).permutation(ENERGY_EV.size)
    design = design_matrix(lfp, ENERGY_EV)
    mean_od = design @ [50.0, 50.0] + background_columns(ENERGY_EV, "constant")[:, 0] * 0.3
    variance = np.full(ENERGY_EV.size, NOISE_OD**2)
    one = choose_background(MeanSpectrum(ENERGY_EV, mean_od, variance, design))
    mixed = choose_background(MeanSpectrum(ENERGY_EV[order], mean_od[order], variance[order], design[order]))
    assert one.said == mixed.said
    mean_od[3] = np.nan
    without = choose_background(MeanSpectrum(ENERGY_EV, mean_od, variance, design))
    assert without.background == one.background
    assert np.isfinite(without.doubt_od).all()


def test_before_the_edge_is_where_neither_end_member_has_risen(lfp: EndMembers) -> None:
    before = before_the_edge(design_matrix(lfp, ENERGY_EV), ENERGY_EV)
    assert before.any()
    assert ENERGY_EV[before].max() < 707.0
    assert not before_the_edge(design_matrix(lfp, FEW_EV[1:]), FEW_EV[1:]).all()


SHOWN = FilmScatter(0.08**2, 0.0003)


def test_a_film_that_shows_between_the_particles_is_fitted_where_their_mean_has_little_of_it(lfp: EndMembers) -> None:
    choice = chosen(lfp, 0.005, between=SHOWN)
    assert choice.background == "constant"
    assert choice.said.endswith("between the particles a film varies by 0.08 from place to place: a constant is fitted")
    # Less than shows, chance, energies that cannot tell it, and what was asked for stay as they are.
    assert chosen(lfp, 0.005, between=FilmScatter(0.02**2, 1e-6)).background == "none"
    assert chosen(lfp, 0.005, between=FilmScatter(0.08**2, 0.005)).background == "none"
    assert chosen(lfp, 0.005, FEW_EV[[2, 3]], between=SHOWN).background == "none"
    asked = chosen(lfp, 0.005, asked="none", between=SHOWN)
    assert asked.background == "none"
    assert asked.said.endswith(", as was asked for")


def test_what_the_mean_needs_is_not_changed_by_a_film_between_the_particles(lfp: EndMembers) -> None:
    falling = 1.2 * (700.0 / ENERGY_EV) ** 4
    assert chosen(lfp, falling, between=SHOWN).said == chosen(lfp, falling).said
    assert chosen(lfp, 0.12, between=SHOWN).said == chosen(lfp, 0.12).said
