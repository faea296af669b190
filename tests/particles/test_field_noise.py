"""Noise is drawn that is as strong and as alike as that of the field it stands for."""

import numpy as np
import pytest
from scipy import ndimage, signal

from stxmdist.arrays import F64
from stxmdist.particles.field_noise import LEAST_FREE_PIXELS, field_noise, three_pixel_stencil
from stxmdist.particles.null_twins import twin_noise

SIDE = 160


def alike(noise: F64, lag: int) -> float:
    """Correlation of pixels of images (..., Y, X) that lie so far apart in a row."""
    return float((noise[..., lag:] * noise[..., : noise.shape[-1] - lag]).mean() / (noise**2).mean())


@pytest.mark.parametrize("sigma_px", [0.0, 0.6, 1.0, 1.6])
def test_twins_are_as_alike_as_the_field(sigma_px: float) -> None:
    rng = np.random.default_rng(11)
    noise = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), sigma_px)
    noise *= 1.5 / noise.std()
    noise += 1.5 * np.sin(np.arange(SIDE) / 40.0)  # a trend is no noise
    found = field_noise(noise, np.ones_like(noise), np.ones(noise.shape, dtype=bool), 1.0)
    assert np.square(found.stencil).sum() == pytest.approx(1.0, abs=1e-5)
    assert found.variance_ratio == pytest.approx(1.5**2, rel=0.08)
    drawn = twin_noise((60, 50), found.stencil, 40, rng)
    assert drawn.shape == (40, 2, 60, 50)
    assert drawn.std() == pytest.approx(1.0, abs=0.02)
    planted = [np.exp(-((lag / max(2.0 * sigma_px, 1e-9)) ** 2)) for lag in (1, 2, 3)]
    got = [alike(drawn.astype(np.float64), lag) for lag in (1, 2, 3)]
    print(f"sigma {sigma_px}: planted {np.round(planted, 3)}, drawn {np.round(got, 3)}")
    # What a field of 160 px tells of its own correlations, and the cut of what is below .05.
    np.testing.assert_allclose(got, planted, atol=0.05)


def test_noise_may_be_alike_in_one_direction() -> None:
    rng = np.random.default_rng(12)
    noise = ndimage.gaussian_filter1d(rng.standard_normal((SIDE, SIDE)), 1.2, axis=1)
    found = field_noise(noise, noise.var() * np.ones_like(noise), np.ones(noise.shape, dtype=bool), 1.0)
    shown = signal.correlate2d(found.stencil, found.stencil)
    middle = shown.shape[0] // 2
    assert shown[middle, middle + 1] == pytest.approx(np.exp(-0.25 / 1.44), abs=0.05)
    assert abs(shown[middle + 1, middle]) < 0.06


def test_dirt_is_no_noise() -> None:
    noise = np.random.default_rng(13).standard_normal((SIDE, SIDE))
    noise[40:46, 50:60] += 40.0
    found = field_noise(noise, np.ones_like(noise), np.ones(noise.shape, dtype=bool), 1.0)
    assert found.variance_ratio == 1.0
    assert found.stencil.shape[0] == 1


def test_a_field_without_free_pixels_takes_the_scans_correlation_area() -> None:
    noise = np.random.default_rng(14).standard_normal((SIDE, SIDE))
    free = np.zeros(noise.shape, dtype=bool)
    free.ravel()[: LEAST_FREE_PIXELS - 1] = True
    found = field_noise(noise, np.ones_like(noise), free, 4.0)
    assert (found.free_pixels, found.variance_ratio) == (0, 1.0)
    np.testing.assert_array_equal(found.stencil, three_pixel_stencil(4.0))
    assert found.stencil.sum() ** 2 == pytest.approx(4.0, rel=1e-3)
