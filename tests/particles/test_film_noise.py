"""A film, fitted or not, and the noise that thickness has of it go; plateaus, half heights and what is smooth stay."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64, Mask
from stxmdist.particles.film_noise import without_film, without_film_noise

SLOPE_NM = -200.0
"""By how much thickness is off where the film is, nm per optical density: of three energies in 30 photons -160"""
FILM_SD = 0.2
REST_NM = 6.0
"""Noise of thickness that has nothing to do with the film's"""


def smooth_film(shape: tuple[int, ...]) -> F64:
    """Optical density (Y, X) of patches of a film."""
    y, x = np.indices(shape)
    return np.asarray(0.3 * (1.0 + np.sin(x / 15.0)) * (1.0 + np.cos(y / 17.0)))


def measured(seed: int) -> tuple[F64, F64, F64, Mask]:
    """True thickness of a disc under a smooth film, and what a noisy fit says of both."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((90, 94))
    disc = np.hypot(y - 44.3, x - 47.8) < 15.0
    true = ndimage.gaussian_filter(80.0 * disc, 0.8)
    film = smooth_film(true.shape)
    noise = rng.normal(0.0, FILM_SD, true.shape)
    return true, true + SLOPE_NM * noise + rng.normal(0.0, REST_NM, true.shape), film + noise, disc


def test_what_the_film_brought_goes_and_the_rest_stays() -> None:
    true, thickness, film, _ = measured(0)
    steadied = without_film_noise(thickness, film, np.ones(true.shape, bool), SLOPE_NM * FILM_SD**2, FILM_SD**2)
    before, after = np.std(thickness - true), np.std(steadied - true)
    assert before > 38.0
    # A tenth of the film's noise stays in its mean around the pixel, and a fiftieth is taken for roughness.
    assert after < np.hypot(REST_NM, 0.13 * before)


def test_plateau_and_half_height_stay() -> None:
    errors, areas = [], []
    for seed in range(12):
        true, thickness, film, disc = measured(seed)
        steadied = without_film_noise(thickness, film, np.ones(true.shape, bool), SLOPE_NM * FILM_SD**2, FILM_SD**2)
        inner = ndimage.binary_erosion(disc, iterations=4)
        errors.append(float((steadied - true)[inner].mean()))
        areas.append(float((ndimage.gaussian_filter(steadied, 0.7) > 40.0)[20:70, 20:76].sum() / disc.sum()))
    assert np.mean(errors) == pytest.approx(0.0, abs=2.0)
    assert np.mean(areas) == pytest.approx(1.0, abs=0.02)


def test_without_a_film_nothing_changes_and_what_is_not_known_stays_so() -> None:
    true, thickness, _, disc = measured(1)
    same = without_film_noise(thickness, np.zeros(true.shape), np.ones(true.shape, bool), 0.0, 0.0)
    np.testing.assert_array_equal(same, thickness)
    film = np.where(disc, np.nan, 0.1)
    assert np.array_equal(np.isnan(without_film_noise(thickness, film, np.ones(true.shape, bool), -8.0, 0.04)), disc)
    assert np.isnan(without_film_noise(thickness, np.zeros(true.shape), ~disc, -8.0, 0.04)[disc]).all()


def test_what_a_film_adds_where_none_was_fitted_goes() -> None:
    true, _, film, disc = measured(2)
    known = np.ones(true.shape, bool)
    under_film = true - SLOPE_NM * smooth_film(true.shape)
    freed = without_film(under_film, film, known, SLOPE_NM * FILM_SD**2, FILM_SD**2)
    assert np.std((under_film - true)[~disc]) > 40.0
    assert np.std((freed - true)[~disc]) < 0.15 * np.std((under_film - true)[~disc])


def test_where_no_film_is_found_thickness_gets_no_noise_of_it() -> None:
    rng = np.random.default_rng(3)
    thickness, noise = rng.normal(0.0, REST_NM, (90, 94)), rng.normal(0.0, FILM_SD, (90, 94))
    known = np.ones(noise.shape, bool)
    freed = without_film(thickness, noise, known, SLOPE_NM * FILM_SD**2, FILM_SD**2)
    # The scatter of a smoothed map is known to a few percent, and so is what exceeds its noise.
    assert np.std(freed - thickness) < 0.35 * REST_NM
    assert np.isnan(without_film(thickness, noise, ~known, -8.0, 0.04)).all()
