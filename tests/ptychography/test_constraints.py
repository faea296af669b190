"""What an object may be held to: the least of a function, laws of it, and a planted object in scarce light."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.arrays import numpy_of
from stxmdist.ptychography.constraints import less_varied
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.state import ModelOptions
from tests.ptychography.conftest import FIXED, run
from tests.ptychography.foreign import FOREIGN

SINGLE = 1e-5
"""Of an amplitude: a dozen steps in single precision"""
NEAR = 2e-3
"""Of the value of the function: so far a dozen steps come to its least"""
GAIN = {1e3: 1.03, 1e4: 1.1}
"""How many times truer, at so many photons a frame"""
STEPS = (Step("rpie", 20), Step("lsqml", 40))


def noisy(shape: tuple[int, int] = (23, 31)) -> np.ndarray:
    rng = np.random.default_rng(4)
    object_ = np.ones(shape, complex)
    object_[5:15, 8:20] = 0.6 * np.exp(-0.5j)
    return (object_ + 0.05 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)


def variation(values: np.ndarray) -> float:
    down, along = np.zeros_like(values), np.zeros_like(values)
    down[:-1], along[:, :-1] = np.diff(values, axis=0), np.diff(values, axis=1)
    return float(np.sqrt(np.abs(down) ** 2 + np.abs(along) ** 2).sum())


def value(found: np.ndarray, given: np.ndarray, weight: float) -> float:
    return float(0.5 * (np.abs(found - given) ** 2).sum() + weight * variation(found))


@pytest.mark.parametrize("weight", [0.005, 0.02, 0.1])
def test_nothing_near_is_better(weight: float) -> None:
    given, rng = noisy(), np.random.default_rng(1)
    found = less_varied(given, weight)
    least = value(found, given, weight)
    assert least < value(given, given, weight)
    for scale in (0.3, 0.1, 0.03):
        other = found + scale * (given - found)
        assert least < value(other, given, weight) * (1.0 + NEAR)
        other = found + scale * weight * (rng.normal(size=given.shape) + 1j * rng.normal(size=given.shape))
        assert least < value(other, given, weight)
    assert variation(found) < variation(given)
    # Differences add up to nothing: the mean stays.
    assert found.mean() == pytest.approx(given.mean(), abs=SINGLE)


def test_a_free_phase_and_half_a_turn_change_nothing() -> None:
    given, phase = noisy(), np.complex64(np.exp(0.7j))
    found = less_varied(given, 0.02)
    np.testing.assert_allclose(less_varied(given * phase, 0.02), found * phase, atol=SINGLE)
    turned = less_varied(np.ascontiguousarray(given.T), 0.02).T
    np.testing.assert_allclose(turned, found, atol=SINGLE)
    assert found.dtype == np.complex64


def test_another_array_library_finds_the_same() -> None:
    given = noisy()
    found = less_varied(FOREIGN.asarray(given), 0.02)
    np.testing.assert_allclose(numpy_of(found), less_varied(given, 0.02), atol=SINGLE)


def flat_parts(shape: tuple[int, int]) -> np.ndarray:
    blots = gaussian_filter(np.random.default_rng(3).normal(size=shape), 4.0)
    return np.exp(-(0.2 + 0.4j) * (blots > 0.8 * blots.std()))


@pytest.mark.long
@pytest.mark.parametrize("counts", [1e3, 1e4])
def test_flat_parts_in_scarce_light_are_truer(counts: float, measurement: Callable[..., Any]) -> None:
    made = measurement(side=9, step=4.0, counts=counts)
    made = made.again(object_=flat_parts(made.object_.shape))
    free, held = run(made.problem, *STEPS), run(made.problem, *STEPS, total_variation=0.01)
    assert held.stopped == free.stopped == "finished"
    assert GAIN[counts] * made.object_error(held) < made.object_error(free)
    assert held.residual < 1.1 * free.residual


def test_it_runs_in_another_array_library(measurement: Callable[..., Any]) -> None:
    made = measurement(n=16, side=4, counts=1e4)
    recipe = Recipe((Step("lsqml", 4),), ModelOptions(n_modes=1, total_variation=0.01), FIXED)
    here, there = (
        reconstruct(made.problem, recipe, np.random.default_rng(5), namespace=library) for library in (None, FOREIGN)
    )
    np.testing.assert_allclose(there.object_, here.object_, atol=2e-4)
