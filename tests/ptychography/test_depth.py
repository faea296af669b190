"""How deep a sample may be, and how deep it is: laws of the first, and the second planted under noise."""

import numpy as np
import pytest

from stxmdist.ptychography.depth import deep_optical_density, depth_of_field_nm, too_deep

NOISY = 0.08
"""Of an optical density over nine pixels, each with an amplitude error of a tenth"""


def test_the_field_deepens_with_the_square_of_the_detail_and_with_the_energy() -> None:
    one = depth_of_field_nm(10.0, 700.0)
    assert one == pytest.approx(5.2 * 100.0 / 1.7712, rel=1e-4)
    assert depth_of_field_nm(20.0, 700.0) == pytest.approx(4.0 * one)
    assert depth_of_field_nm(10.0, 1400.0) == pytest.approx(2.0 * one)
    assert np.isnan(depth_of_field_nm(float("nan"), 700.0))


@pytest.mark.parametrize("density", [0.3, 1.0, 2.0])
def test_the_deep_part_is_found_under_noise_and_where_light_is(density: float) -> None:
    rng = np.random.default_rng(5)
    object_ = np.ones((61, 53), np.complex64)
    object_[20:40, 15:35] = np.exp(-0.5 * density + 0.7j)
    object_ += (0.1 * np.sqrt(0.5) * (rng.normal(size=object_.shape) + 1j * rng.normal(size=object_.shape))).astype(
        np.complex64
    )
    light = np.zeros(object_.shape, np.float32)
    light[10:50, 5:45] = rng.uniform(8.0, 12.0, (40, 40))
    object_[:5] = 1e-6  # where nothing was lit, nothing is known
    object_[50:] = np.nan
    # Noise adds its own power to the light of every pixel.
    assert deep_optical_density(object_, light) == pytest.approx(-np.log(np.exp(-density) + 0.01), abs=2.0 * NOISY)


def test_nothing_lit_has_no_density() -> None:
    assert np.isnan(deep_optical_density(np.ones((5, 7), np.complex64), np.zeros((5, 7), np.float32)))


def test_the_worst_tile_is_named_and_thin_or_unknown_ones_are_not() -> None:
    least, depth, half = np.array([100.0, 900.0, np.nan, 500.0]), np.array([300.0, 300.0, 300.0, np.nan]), [10.0] * 4
    (words,) = too_deep(least, depth, half)
    assert "900 nm thick at least" in words
    assert "only 300 nm" in words
    assert "finer than 17 nm" in words  # at which 5.2 half-period^2 / wavelength is 900 nm
    assert too_deep(least[[0, 2, 3]], depth[[0, 2, 3]], half[:3]) == ()
    assert too_deep(np.array([]), np.array([]), []) == ()
