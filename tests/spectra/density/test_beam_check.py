"""An incident beam from elsewhere is held against what came through the pixels without a particle."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.density.beam_check import beam_agrees, free_density

ENERGY_EV = np.linspace(700.0, 730.0, 16)
COUNTS = np.linspace(900.0, 1000.0, 16)
N_FREE = 400


def said(beam: np.ndarray, film: np.ndarray | float = 0.0, *, background_fitted: bool = False) -> str:
    """What is said of a beam where the field's own one is COUNTS, under a film of this optical density."""
    field = COUNTS * np.exp(-np.asarray(film))
    density, error = free_density(field, field / N_FREE, beam)
    return beam_agrees(density, error, ENERGY_EV, background_fitted=background_fitted, where="a scan")


def test_the_beam_of_the_scan_itself_needs_no_word() -> None:
    assert said(COUNTS) == ""
    assert said(1.03 * COUNTS) == ""
    # Flicker from energy to energy, as a beam measured before the scan shows it.
    assert said(COUNTS * np.random.default_rng(1).normal(1.0, 0.005, COUNTS.size)) == ""


@pytest.mark.parametrize("times", [1.5, 2.0])
def test_a_brighter_beam_is_refused_unless_the_fit_bears_it(times: float) -> None:
    level = f"{np.log(times):.2f} at every energy"
    with pytest.raises(InputError, match="does not fit") as caught:
        said(times * COUNTS)
    assert level in str(caught.value.got)
    assert "i0: field" in str(caught.value.mend)
    assert "background: constant" in str(caught.value.mend)
    assert level in said(times * COUNTS, background_fitted=True)


def test_no_film_takes_nine_tenths_of_the_light() -> None:
    with pytest.raises(InputError, match="does not fit") as caught:
        said(10.0 * COUNTS, background_fitted=True)
    assert "2.30 at every energy: the beam is another one's" in str(caught.value.got)


def test_a_film_that_absorbs_less_at_higher_energies_is_one() -> None:
    film = 0.8 * (700.0 / ENERGY_EV) ** 2.7
    assert "0.7" in said(COUNTS, film, background_fitted=True)
    # A thin window is mentioned, and borne.
    assert "0.10 at every energy" in said(COUNTS, 0.1)


@pytest.mark.parametrize("background_fitted", [True, False])
def test_a_faint_beam_is_refused_at_all_energies_and_at_some(background_fitted: bool) -> None:
    some = np.where(ENERGY_EV > 715.0, 0.7, 1.0)
    for beam in (0.7 * COUNTS, some * COUNTS):
        with pytest.raises(InputError, match="weaker than what came through") as caught:
            said(beam, background_fitted=background_fitted)
        assert "1.43 times the incident beam" in str(caught.value.got)


def test_a_beam_that_differs_from_energy_to_energy_is_refused() -> None:
    some = np.where(ENERGY_EV > 715.0, 1.4, 1.0)
    with pytest.raises(InputError, match="does not fit") as caught:
        said(some * COUNTS, background_fitted=True)
    assert "not alike at all energies" in str(caught.value.got)


def test_few_photons_are_no_disagreement() -> None:
    rng = np.random.default_rng(2)
    field = rng.poisson(40.0, (200, ENERGY_EV.size)).mean(axis=1, keepdims=True) * np.ones(ENERGY_EV.size)
    for level in field[:20]:
        drawn = rng.poisson(level)
        density, error = free_density(drawn.astype(float), drawn.astype(float), level)
        assert beam_agrees(density, error, ENERGY_EV, background_fitted=True, where="a scan") == ""


def test_without_a_free_pixel_it_is_said_that_nothing_was_compared() -> None:
    nothing = np.full(ENERGY_EV.size, np.nan)
    density, error = free_density(nothing, nothing, COUNTS)
    assert "could not be seen" in beam_agrees(density, error, ENERGY_EV, background_fitted=False, where="a scan")
