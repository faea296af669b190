"""Frames in other light than their neighbours are told from those that a sample dims, and their light is found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.ptychography.light import in_other_light, light_words, relative_light, unsteady_words
from stxmdist.ptychography.reconstruct import Step
from stxmdist.ptychography.refinement import PositionOptions
from tests.ptychography.conftest import Measurement, run

LIGHT = 0.15
"""Relative: the sample between a frame and its neighbours is not known"""
FOUND = 0.01
"""Of the light of a frame of 1e6 photons, once the model is known"""
OFTEN = PositionOptions(refine=False, start=0.1, every=1)


def scan(side: int = 15, step: float = 1.0) -> F64:
    rng = np.random.default_rng(0)
    return np.indices((side, side)).reshape(2, -1).T * step + rng.uniform(-0.2, 0.2, (side * side, 2))


def sample(places: F64) -> F64:
    """Particles as wide as three steps that take up to six tenths of the light, seen by beams two steps wide."""
    rng = np.random.default_rng(1)
    dimmed = np.ones(len(places))
    for centre in rng.uniform(0, 15, (9, 2)):
        dimmed *= 1.0 - 0.6 / (1.0 + np.exp((np.hypot(*(places - centre).T) - 1.8) / 0.6))
    return dimmed


@pytest.mark.parametrize("photons", [300.0, 1e6])
def test_a_sample_dims_frames_and_a_shutter_does(photons: float) -> None:
    places = scan()
    sums = np.random.default_rng(2).poisson(photons * sample(places)).astype(float)
    np.testing.assert_array_equal(relative_light(sums, places), 1.0)
    dim = np.arange(len(sums)) % 40 == 0
    # Two that are dim beside one another, and one brighter than all.
    dim[41] = True
    planted = np.where(dim, 0.05, 1.0)
    planted[100] = 4.0
    found = relative_light(sums * planted, places)
    np.testing.assert_array_equal(found != 1.0, planted != 1.0)
    np.testing.assert_allclose(found[100], 4.0, rtol=3 * LIGHT)
    (said,) = light_words(found, np.zeros(len(sums), bool))
    assert said.startswith("8 of 225 frames have 0.0")
    assert "2 of 225 frames are left out" in light_words(found, np.arange(225) < 2)[-1]


def test_a_scan_of_few_frames_or_none_with_light_tells_nothing() -> None:
    np.testing.assert_array_equal(relative_light(np.array([1.0, 5.0, 9.0]), scan()[:3]), 1.0)
    np.testing.assert_array_equal(relative_light(np.zeros(225), scan()), 1.0)
    assert not in_other_light(np.zeros(5), np.ones(5)).any()


def test_shot_noise_is_no_unsteady_light() -> None:
    rng = np.random.default_rng(3)
    for photons in (30.0, 1e4, 1e7):
        expected = np.full(400, photons)
        assert not in_other_light(rng.poisson(expected).astype(float), expected).any()
    assert in_other_light(rng.poisson(1e6 * rng.normal(1.0, 0.06, 400)).astype(float), np.full(400, 1e6)).all()
    few = rng.poisson(np.where(np.arange(400) < 3, 0.8, 1.0) * 1e5).astype(float)
    assert np.flatnonzero(in_other_light(few, np.full(400, 1e5))).tolist() == [0, 1, 2]


@pytest.mark.parametrize("engine", ["rpie", "lsqml"])
def test_dim_frames_are_found_and_cost_nothing(engine: str, measurement: Callable[..., Measurement]) -> None:
    measured = measurement(counts=1e6)
    places = measured.problem.positions_px
    planted = np.where(np.arange(len(places)) % 20 == 3, 0.05, 1.0)
    dim = measured.again(intensity=planted)
    sums = dim.problem.frames.sum(axis=(1, 2)).astype(float)
    problem = replace(dim.problem, light=relative_light(sums, places))
    step = Step(engine, 60)
    found, best = run(problem, step, positions=OFTEN), run(measured.problem, step, positions=OFTEN)
    np.testing.assert_allclose(found.intensity[planted < 1], 0.05, rtol=5 * FOUND)
    np.testing.assert_array_equal(found.intensity[planted == 1], 1.0)
    assert measured.object_error(found) < 1.3 * measured.object_error(best)
    asis = run(problem, step, positions=OFTEN, intensities=False)
    assert measured.object_error(asis) > 2.0 * measured.object_error(found)


def test_unsteady_light_is_found_of_every_frame(measurement: Callable[..., Measurement]) -> None:
    measured = measurement(counts=1e6)
    planted = np.random.default_rng(5).normal(1.0, 0.08, len(measured.problem.frames))
    flicker = measured.again(intensity=planted / planted.mean())
    found = run(flicker.problem, Step("lsqml", 80), positions=OFTEN)
    assert found.intensity.std() == pytest.approx(planted.std(), rel=0.3)
    assert "it is found for each" in unsteady_words(found.intensity)[0]
    steady = run(measured.problem, Step("lsqml", 80), positions=OFTEN)
    np.testing.assert_array_equal(steady.intensity, 1.0)
    assert unsteady_words(steady.intensity) == ()
    assert found.residual < 1.2 * steady.residual
