"""Optical density, phase and noise of planted complex images and of their noisy halves."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.spectra.density.reconstructed import (
    density_of_images,
    free_margin_px,
    intensity,
    lit_pixels,
)

SHAPE = (96, 104)
COUNTS = 2000.0
"""Photons per pixel at T = 1 in the whole"""
PIXEL_NM = 10.0
SHARED = 0.01
GRAIN = 0.1
"""Effective counts are known to some per cent from ten thousand pixels, and smoothing takes a little of the grain"""


def planted() -> np.ndarray:
    """Complex images (ENERGY, Y, X) of smooth grains."""
    rng = np.random.default_rng(2)
    thickness = gaussian_filter(rng.random(SHAPE), 6.0)
    thickness = (thickness - thickness.min()) / np.ptp(thickness)
    exponent = np.array([0.2 + 0.3j, 0.5 - 0.4j])[:, None, None] * thickness
    return np.exp(-exponent)


def noisy(images: np.ndarray, counts: float, seed: int) -> np.ndarray:
    """Images whose intensity has the variance of so many counts."""
    rng = np.random.default_rng(seed)
    power = np.abs(images) ** 2
    seen = power + rng.normal(0.0, np.sqrt(power / counts))
    return (images * np.sqrt(np.maximum(seen, 1e-6) / power)).astype(np.complex64)


def test_pixels_are_lit_where_the_beam_was_and_the_image_is_a_number() -> None:
    images = planted()
    images[0, 3, 4] = np.nan
    weight = np.ones((2, *SHAPE))
    weight[:, :10] = 0.05
    lit = lit_pixels(images, weight)
    assert not lit[:, :10].any()
    assert lit[:, 10:].all()
    assert not lit_pixels(images, np.ones((2, *SHAPE)))[0, 3, 4]
    assert np.isnan(intensity(images, lit)[:, :10]).all()
    np.testing.assert_allclose(intensity(images, lit)[1, 10:], np.abs(images[1, 10:]) ** 2, rtol=1e-6)


@pytest.mark.parametrize(("pixel_nm", "margin_px"), [(5.0, 10), (10.0, 5), (40.0, 2), (200.0, 2)])
def test_free_pixels_keep_fifty_nanometres_from_particles(pixel_nm: float, margin_px: int) -> None:
    assert free_margin_px(pixel_nm) == margin_px


def test_density_phase_and_noise_are_those_that_were_planted() -> None:
    images = planted()
    lit = np.ones(images.shape, bool)
    lit[:, :4] = False
    free = np.zeros(SHAPE, bool)
    free[10:30, 10:30] = True
    halves = (noisy(images, COUNTS / 2, 1), noisy(images, COUNTS / 2, 2))
    whole = (0.5 * (halves[0] + halves[1])).astype(np.complex64)
    found = density_of_images(whole, halves, lit, free, PIXEL_NM, SHARED)
    assert np.isnan(found.optical_density[:, :4]).all()
    assert np.isnan(found.phase[:, :4]).all()
    inside = (slice(None), slice(4, None))
    expected = -np.log(np.abs(images[inside]) ** 2)
    assert np.median(np.abs(found.optical_density[inside] - expected)) < 1.0 / np.sqrt(COUNTS * 0.3)
    np.testing.assert_allclose(found.phase[inside], np.angle(images[inside]), atol=1e-4)
    np.testing.assert_allclose(found.effective_counts, COUNTS, rtol=GRAIN)
    seen = np.exp(-found.optical_density[inside])
    np.testing.assert_allclose(found.variance[inside], 1 / (found.effective_counts[:, None, None] * seen), rtol=1e-4)
    assert found.correlation_px2 == pytest.approx(1.0, abs=0.5)
    # Of white noise nothing is slow but what a Gaussian of 15 pixels leaves of it.
    assert (found.slow_noise_od < 0.2 / np.sqrt(COUNTS)).all()
    relative = found.effective_counts_variance / found.effective_counts**2
    scale = found.correlation_px2 / free.sum() / found.effective_counts
    np.testing.assert_allclose(relative, found.slow_noise_od**2 + scale + SHARED**2)
    assert found.optical_density.dtype == found.variance.dtype == found.phase.dtype == np.float32
