"""Scale, offset, ramp and shift: planted, found, removed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.errors import InputError
from stxmdist.ptychography import gauge

SHAPE = (67, 83)


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    absorption, phase = (gaussian_filter(rng.normal(size=SHAPE), 2.0) for _ in range(2))
    return np.exp(-1.5 * np.abs(absorption) / absorption.std() * 0.2 - 0.4j * phase / phase.std())


WEIGHT = np.pad(np.ones((47, 63)), 10)


@pytest.mark.parametrize("ramp", [(0.0, 0.0), (0.003, -0.001), (0.21, -0.4), (1.3, 2.9)])
def test_a_planted_gauge_is_found_though_it_wraps(ramp: tuple[float, float]) -> None:
    planted = gauge.Gauge(0.3, -2.0, ramp)
    rng = np.random.default_rng(1)
    noise = 0.05 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    found = gauge.fit_gauge(planted.factor(SHAPE) * (1 + noise), WEIGHT)
    assert found.log_amplitude == pytest.approx(0.3, abs=0.005)
    assert found.ramp_rad_per_px == pytest.approx(ramp, abs=1e-4)
    left = np.angle(found.factor(SHAPE) / planted.factor(SHAPE))
    assert np.abs(left).max() < 0.01


def test_noise_does_not_raise_the_amplitude() -> None:
    rng = np.random.default_rng(1)
    noise = 0.5 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    # 4221 pixels: 0.5 / sqrt(4221) = 0.008; the mean of amplitudes would be 0.2 too high
    assert gauge.fit_gauge(1 + noise, np.ones(SHAPE)).log_amplitude == pytest.approx(0.0, abs=0.025)


def test_the_factor_of_a_corner_is_a_slice_of_the_whole() -> None:
    planted = gauge.Gauge(0.1, 0.5, (0.02, -0.03))
    np.testing.assert_allclose(planted.factor((10, 12), (20, 30)), planted.factor(SHAPE)[20:30, 30:42])


def test_remove_ramp_undoes_what_was_done(image: np.ndarray) -> None:
    done = image * gauge.Gauge(-0.2, 1.0, (0.05, 0.02)).factor(SHAPE)
    np.testing.assert_allclose(gauge.remove_ramp(done, image, WEIGHT), image, atol=1e-4)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.31, -0.77), (-3.4, 2.6)])
def test_a_planted_shift_is_found(image: np.ndarray, shift: tuple[float, float]) -> None:
    weight = gaussian_filter(np.pad(np.ones((41, 57)), 13), 3.0)
    moved = gauge.shift_image(image, np.array(shift))
    found = gauge.register_pair(moved, image, weight)
    # The weight stays where it was while the image moved, which holds back some percent of a shift.
    np.testing.assert_allclose(found, shift, atol=0.01, rtol=0.04)
    np.testing.assert_allclose(gauge.shift_image(moved, -np.array(shift)), image, atol=1e-9)


def test_the_peak_of_a_single_frequency() -> None:
    rows, columns = np.indices(SHAPE)
    frequency = (0.12345, -0.3217)
    wave = np.exp(-2j * np.pi * (frequency[0] * rows + frequency[1] * columns))
    np.testing.assert_allclose(gauge.peak(wave), frequency, atol=2e-4 / 67)


def test_vacuum_becomes_one(image: np.ndarray) -> None:
    free = np.zeros(SHAPE, bool)
    free[:, :12] = free[50:, :] = True
    truth = np.where(free, 1.0, image)
    known, found = gauge.fix_gauge(truth * gauge.Gauge(0.05, 2.0, (0.04, -0.1)).factor(SHAPE), free)
    np.testing.assert_allclose(known, truth, atol=1e-3)
    assert found.ramp_rad_per_px == pytest.approx((0.04, -0.1), abs=1e-4)


def test_without_vacuum_there_is_no_gauge(image: np.ndarray, measurement: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="too little particle-free"):
        gauge.fix_gauge(image, np.zeros(SHAPE, bool))
    hidden = image.copy()
    hidden[:] = np.nan
    with pytest.raises(InputError, match="too little particle-free"):
        gauge.fix_gauge(hidden, np.ones(SHAPE, bool))
