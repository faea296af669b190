"""Planted white noise and planted slow waves between two halves are told apart."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.spectra.density.halves import split_noise

SHAPE = (131, 149)
COUNTS = np.array([900.0, 4000.0])
"""Photons per pixel at T = 1 in the whole; each half has half of them."""
SMOOTH_PX = 6.0
WAVE_SD = np.array([0.03, 0.015])
"""Of ln T, in the mean of the halves."""
GRAIN = 0.06
"""The median of 19000 squares is known to 2 %, and the smooth part takes a grain's share of 1 / (4 pi 36) with it."""
WAVE = 0.12
"""Of a wave with a correlation of 15 px smoothing keeps exp(-(6 / 15)**2 / 2) or a little more: a tenth is lost."""


def transmission() -> np.ndarray:
    rng = np.random.default_rng(3)
    od = gaussian_filter(rng.random(SHAPE), 8.0)
    od = (od - od.min()) / np.ptp(od)
    return np.exp(-np.array([0.4, 1.0])[:, None, None] * od)


def halves(grain: bool, waves: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Half A errs by +d, half B by -d of its own: white with the variance of half of the counts, waves as planted."""
    rng = np.random.default_rng(seed)
    truth = transmission()
    found = []
    wave = np.stack([gaussian_filter(rng.normal(size=SHAPE), 15.0, mode="wrap") for _ in COUNTS])
    wave *= WAVE_SD[:, None, None] / wave.std(axis=(1, 2), keepdims=True)
    for sign in (1.0, -1.0):
        log = sign * wave if waves else np.zeros_like(truth)
        noise = rng.normal(size=truth.shape) * np.sqrt(2.0 * truth / COUNTS[:, None, None]) if grain else 0.0
        found.append((truth * np.exp(log) + noise).astype(np.float32))
    return found[0], found[1]


def test_white_noise_is_grain() -> None:
    noise = split_noise(*halves(grain=True, waves=False), np.ones(SHAPE, bool), SMOOTH_PX)
    np.testing.assert_allclose(noise.effective_counts, COUNTS, rtol=GRAIN)
    assert noise.correlation_px2 == pytest.approx(1.0, abs=0.1)
    assert (noise.slow_variance < 0.1 * WAVE_SD**2).all()


def test_waves_are_slow() -> None:
    noise = split_noise(*halves(grain=False, waves=True), np.ones(SHAPE, bool), SMOOTH_PX)
    np.testing.assert_allclose(np.sqrt(noise.slow_variance), WAVE_SD, rtol=WAVE)
    # What smoothing leaves of the waves passes for grain of many photons.
    assert (noise.effective_counts > 20.0 * COUNTS).all()


def test_both_together_are_told_apart() -> None:
    noise = split_noise(*halves(grain=True, waves=True), np.ones(SHAPE, bool), SMOOTH_PX)
    np.testing.assert_allclose(noise.effective_counts, COUNTS, rtol=2.0 * GRAIN)
    np.testing.assert_allclose(np.sqrt(noise.slow_variance), WAVE_SD, rtol=1.5 * WAVE)


def test_a_difference_of_scale_is_no_noise() -> None:
    a, b = halves(grain=True, waves=False)
    plain = split_noise(a, b, np.ones(SHAPE, bool), SMOOTH_PX)
    scaled = split_noise(1.07 * a, b, np.ones(SHAPE, bool), SMOOTH_PX)
    np.testing.assert_allclose(scaled.effective_counts, plain.effective_counts, rtol=0.05)
    assert (scaled.slow_variance < 0.1 * WAVE_SD**2).all()


def test_correlated_grain_has_its_area() -> None:
    rng = np.random.default_rng(5)
    truth, sigma = transmission()[:1], 0.8
    fields = [gaussian_filter(rng.normal(size=SHAPE), sigma, mode="wrap") * 0.01 for _ in range(2)]
    a, b = ((truth * np.exp(field)).astype(np.float32) for field in fields)
    noise = split_noise(a, b, np.ones(SHAPE, bool), SMOOTH_PX)
    # The sum of a Gaussian's autocorrelation, 5 % of it below the level that is summed; what was split off as slow is
    # missing too.
    assert noise.correlation_px2 == pytest.approx(4.0 * np.pi * sigma**2, rel=0.2)


def test_what_is_outside_or_not_known_does_not_count() -> None:
    a, b = halves(grain=True, waves=False)
    inside = np.zeros(SHAPE, bool)
    inside[10:-10, 10:-10] = True
    for half, broken in ((a, 0.0), (b, np.nan)):
        half[:, :10] = broken
    a[:, 50, 50] = np.nan
    noise = split_noise(a, b, inside, SMOOTH_PX)
    np.testing.assert_allclose(noise.effective_counts, COUNTS, rtol=1.5 * GRAIN)
    nowhere = split_noise(a, b, np.zeros(SHAPE, bool), SMOOTH_PX)
    assert np.isnan(nowhere.effective_counts).all()
    assert np.isnan(nowhere.slow_variance).all()
