"""Rasters are recognised, and what repeats with their steps is taken out of the object."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.raster import periodic_pattern, raster_steps
from stxmdist.ptychography.reconstruct import Step
from stxmdist.ptychography.refinement import PositionOptions
from tests.ptychography.conftest import Measurement, run, structured_object

pytestmark = pytest.mark.long

STEPS = np.array([[0.4, 7.3], [6.1, -0.2]])


def knots(steps: np.ndarray, rows: int = 11, columns: int = 13) -> np.ndarray:
    return np.indices((rows, columns)).reshape(2, -1).T @ steps + 3.3


def same_lattice(found: np.ndarray, steps: np.ndarray) -> bool:
    mixing = found @ np.linalg.inv(steps)
    return bool(np.allclose(mixing, np.round(mixing), atol=0.02) and abs(round(np.linalg.det(mixing))) == 1)


@pytest.mark.parametrize(
    "steps", [STEPS, np.array([[6.0, 3.5], [0.0, 7.0]]), np.array([[4.0, 0.0], [0.0, 9.0]])],
    ids=["skew", "hexagonal", "oblong"],
)  # fmt: skip
def test_a_raster_is_recognised_in_any_order_and_with_gaps(steps: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    positions = rng.permutation(knots(steps))[:120]
    found = raster_steps(positions)
    assert found is not None
    assert same_lattice(found, steps)


def test_what_is_no_raster_is_none() -> None:
    rng = np.random.default_rng(0)
    number = np.arange(1, 200)
    spiral = 4.0 * np.sqrt(number)[:, None] * np.stack([np.cos(2.39996 * number), np.sin(2.39996 * number)], axis=1)
    line = np.stack([np.zeros(20), 2.0 * np.arange(20)], axis=1)
    for positions in (knots(STEPS) + rng.normal(0.0, 0.4, (143, 2)), spiral, line, np.zeros((30, 2)), knots(STEPS)[:5]):
        assert raster_steps(positions) is None


def periodic(shape: tuple[int, int], steps: np.ndarray, first: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    places = np.stack(np.meshgrid(*(np.arange(side) for side in shape), indexing="ij"), axis=-1) + np.array(first)
    phase = places @ np.linalg.inv(steps)
    return 1.0 + 0.1 * np.cos(2 * np.pi * phase[..., 0]) + 0.06j * np.sin(2 * np.pi * (phase[..., 0] - phase[..., 1]))


OWN = 0.02
"""Rms of what an object without periods happens to have of any: measured 0.006"""


def test_a_planted_pattern_is_found_and_nothing_else() -> None:
    object_ = structured_object((128, 121))
    light = np.ones(object_.shape, np.float32)
    planted = periodic(object_.shape, STEPS)
    found = periodic_pattern((object_ * planted).astype(np.complex64), STEPS, light).values(np.zeros(2), object_.shape)
    assert np.sqrt(np.mean(np.abs(found - planted) ** 2)) < OWN
    none = periodic_pattern(object_.astype(np.complex64), STEPS, light).values(np.zeros(2), object_.shape)
    assert np.sqrt(np.mean(np.abs(none - 1.0) ** 2)) < OWN


def test_wide_steps_keep_to_the_widest_harmonics() -> None:
    object_ = structured_object((128, 121)).astype(np.complex64)
    pattern = periodic_pattern(object_, 40.0 * np.eye(2), np.ones(object_.shape, np.float32))
    assert len(pattern.frequency) == 400
    assert np.hypot(*pattern.frequency.T).max() < 0.3


def test_handing_a_pattern_over_changes_no_exit_wave() -> None:
    pattern = periodic_pattern(structured_object((90, 97)).astype(np.complex64), STEPS, np.ones((90, 97), np.float32))
    first, *others = knots(STEPS, 4, 5)
    here = pattern.values(first, (31, 29))
    for place in others:
        np.testing.assert_allclose(pattern.values(place, (31, 29)), here, atol=1e-5)
    np.testing.assert_allclose(pattern.values(np.zeros(2), (90, 97)).mean(), 1.0, atol=0.05)


@pytest.fixture(scope="module")
def on_raster(measurement: Callable[..., Any]) -> Measurement:
    """Frames of an exact raster, begun with a beam that has a pattern of the raster's steps."""
    measured = measurement(n=48, side=15, step=5.0, counts=1e6, hooded=True, whole=True)
    rows = np.indices((15, 15)).reshape(2, -1).T * 5.0 + 2.0
    probe = measured.problem.probe * periodic((48, 48), 5.0 * np.eye(2)).astype(np.complex64)
    return replace(measured, problem=replace(measured.problem, positions_px=rows, probe=probe)).again()


def strength(measured: Measurement, found: Any) -> float:
    """Rms of the pattern in the object found, over the true one's."""
    steps = raster_steps(measured.problem.positions_px)
    assert steps is not None
    values = [
        periodic_pattern(object_.astype(np.complex64), steps, found.illumination).values(np.zeros(2), object_.shape)
        for object_ in (found.object_, measured.object_)
    ]
    return float(np.sqrt(np.mean(np.abs(values[0] - values[1]) ** 2)))


@pytest.mark.slow
def test_handing_over_and_jitter_lessen_what_a_raster_leaves(on_raster: Measurement) -> None:
    schedule = (Step("raar", 10), Step("lsqml", 60))
    plain = run(on_raster.problem, *schedule)
    handed = run(on_raster.problem, *schedule, raster_to_probe=True)
    jittered = run(on_raster.problem, *schedule, positions=PositionOptions(jitter_px=0.7))
    for name, one in (("plain", plain), ("handed over", handed), ("jittered", jittered)):
        error = on_raster.object_error(one)
        print(f"{name}: pattern {strength(on_raster, one):.4f}, error {error:.4f}, residual {one.residual:.4f}")
    assert strength(on_raster, handed) < 0.3 * strength(on_raster, plain)
    assert on_raster.object_error(handed) < 0.5 * on_raster.object_error(plain)
    assert handed.residual < 1.05 * plain.residual
    assert strength(on_raster, jittered) < 0.8 * strength(on_raster, plain)
    both = run(on_raster.problem, *schedule, raster_to_probe=True, positions=PositionOptions(jitter_px=0.7))
    assert strength(on_raster, both) < 0.3 * strength(on_raster, plain)
