"""Shifts by correlation against shifts that were planted."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from stxmdist.ptychography.correlation import shifts_by_correlation

N = 61
HELD_BACK = 0.1
"""Share by which the outline of the light holds a shift back: measured 0.02 to 0.08"""
ASIDE_PX = 0.12
"""What one axis does to the other, until the next correction: measured up to 0.09"""


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    object_ = np.exp(1j * gaussian_filter(rng.normal(size=(180, 170)), 2.5) * 6)
    light = np.exp(-0.5 * ((np.indices((N, N)) - N / 2) ** 2).sum(axis=0) / 9**2).astype(np.float32)
    return object_, light


def found(scene: tuple[np.ndarray, np.ndarray], planted: tuple[float, float], noise: float = 0.0) -> np.ndarray:
    object_, light = scene
    back = (-planted[0], -planted[1])
    true = shift(object_.real, back, order=5) + 1j * shift(object_.imag, back, order=5)
    rng = np.random.default_rng(1)
    window = np.s_[50 : 50 + N, 60 : 60 + N]
    error = noise * (rng.normal(size=(N, N)) + 1j * rng.normal(size=(N, N)))
    asked = light * true[window] + np.sqrt(light) * error
    stacks = (object_[window], asked)
    return shifts_by_correlation(*(part[None].astype(np.complex64) for part in stacks), light[None], 10.0)[0]


@pytest.mark.parametrize("planted", [(0.3, -0.2), (1.4, 2.2), (4.0, -5.0), (-7.3, 0.0), (0.05, 0.02)])
def test_planted_shifts_are_found_but_for_what_the_light_holds_back(
    scene: tuple[np.ndarray, np.ndarray], planted: tuple[float, float]
) -> None:
    np.testing.assert_allclose(found(scene, planted), planted, rtol=HELD_BACK, atol=ASIDE_PX)


def test_a_window_in_its_place_stays(scene: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_allclose(found(scene, (0.0, 0.0)), 0.0, atol=1e-3)


def test_shifts_that_chance_explains_are_none(scene: tuple[np.ndarray, np.ndarray]) -> None:
    object_, light = scene
    empty = np.ones_like(object_)
    np.testing.assert_array_equal(found((empty, light), (0.0, 0.0), noise=0.1), 0.0)
    np.testing.assert_array_equal(found((empty, light), (0.0, 0.0)), 0.0)


def test_nothing_is_looked_for_beyond_the_reach(scene: tuple[np.ndarray, np.ndarray]) -> None:
    object_, light = scene
    window = object_[50 : 50 + N, 60 : 60 + N]
    moved = light * object_[54 : 54 + N, 60 : 60 + N]
    stacks = (part[None].astype(np.complex64) for part in (window, moved))
    assert np.abs(shifts_by_correlation(*stacks, light[None], 2.0)).max() <= 2.5
