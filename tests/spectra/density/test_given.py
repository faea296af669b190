"""The noise of numbers that are no counts is what their scatter shows, whatever was done to them."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.spectra.density.given import given_noise, transmission_given

SHAPE, N = (60, 64), 8
PHOTONS = 250.0
FEW_PERCENT = 0.06
"""Of a variance from two thousand pixels at each of eight energies"""


def scene() -> tuple[np.ndarray, np.ndarray]:
    """True transmission (ENERGY, Y, X) with a particle in one half, and the free pixels."""
    true = np.ones((N, *SHAPE))
    true[:, 30:, 8:50] = np.exp(-np.linspace(0.2, 1.5, N))[:, None, None]
    free = np.zeros(SHAPE, bool)
    free[:28] = True
    return true, free


def drawn(seed: int = 1) -> np.ndarray:
    true, _ = scene()
    return (np.random.default_rng(seed).poisson(PHOTONS * true) / PHOTONS).astype(np.float32)


def test_photons_that_nobody_told_are_found() -> None:
    noise = given_noise(list(drawn()), np.arange(N), scene()[1])
    np.testing.assert_allclose(1.0 / noise.factor, PHOTONS, rtol=0.2)
    assert np.median(1.0 / noise.factor) == pytest.approx(PHOTONS, rel=FEW_PERCENT)
    assert noise.correlation_px2 == pytest.approx(1.0, abs=0.5)
    assert abs(noise.free_od) < 0.01
    assert noise.notes == (noise.said,)
    assert "free pixels scatter from energy to energy" in noise.said


def test_noise_that_was_smoothed_hangs_together() -> None:
    """Resampling hides noise between neighbours; an average of many pixels must not be believed the better for it."""
    smooth = [ndimage.uniform_filter(one, 3) for one in drawn()]
    noise = given_noise(smooth, np.arange(N), scene()[1])
    of_average = np.median(noise.factor) * noise.correlation_px2
    assert noise.correlation_px2 == pytest.approx(9.0, rel=0.25)
    assert of_average == pytest.approx(1.0 / PHOTONS, rel=0.25)


def test_dust_is_no_noise_and_a_changing_beam_is_an_error_of_the_beam() -> None:
    dust = 1.0 - 0.2 * np.random.default_rng(3).random(SHAPE)
    beam = np.random.default_rng(4).normal(1.0, 0.02, N)
    stack = [one * dust * scale for one, scale in zip(drawn(), beam, strict=True)]
    noise = given_noise(stack, np.arange(N), scene()[1])
    assert np.median(1.0 / noise.factor) == pytest.approx(PHOTONS, rel=0.2)
    assert np.sqrt(np.median(noise.beam_variance)) == pytest.approx(0.02, rel=0.6)
    assert f"absorb {noise.free_od:.2f}" in noise.notes[1]


def test_without_free_pixels_neighbours_show_it() -> None:
    noise = given_noise(list(drawn()), np.arange(N), np.zeros(SHAPE, bool))
    assert np.median(1.0 / noise.factor) == pytest.approx(PHOTONS, rel=0.2)
    assert "neighbouring pixels" in noise.said


def test_energies_that_were_not_measured_have_no_noise() -> None:
    stack = list(drawn())
    stack[3] = np.full(SHAPE, np.nan, np.float32)
    noise = given_noise(stack, np.delete(np.arange(N), 3), scene()[1])
    assert np.flatnonzero(np.isnan(noise.factor)).tolist() == [3]
    # Numbers without any noise weigh as very many photons, not as infinitely many.
    assert np.isfinite(given_noise(list(scene()[0]), np.arange(N), scene()[1]).factor).all()


def test_what_is_infinite_is_not_known() -> None:
    numbers = np.array([[0.0, 1.0, np.inf], [-np.inf, np.nan, -200.0]], np.float32)
    known = np.isfinite(transmission_given(numbers, logarithmic=True))
    np.testing.assert_array_equal(known, [[True, True, False], [False, False, False]])
    np.testing.assert_allclose(transmission_given(numbers[:1, :2], logarithmic=True), [[1.0, np.exp(-1.0)]])
    np.testing.assert_array_equal(transmission_given(numbers[:1, :2], logarithmic=False), numbers[:1, :2])
