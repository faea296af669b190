"""Scale and rotation of positions against the frames: planted ones are found, none is found where there is none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.linear import Linear, find_linear, parts_of, straightened, without_room
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.trials import TrialOptions
from tests.ptychography.conftest import Step, run

FOUND = 0.025
"""In logarithm of the scale and in radians: half a pixel at the rim of a beam"""


def told(problem: Problem, wrong: Linear) -> Problem:
    """The problem with positions that the file has scaled or turned, on an object that holds them."""
    places = wrong.moved(problem.positions_px)
    places = places - places.min(axis=0) + 1.0
    shape = np.ceil(places.max(axis=0)).astype(int) + np.array(problem.frames.shape[1:]) + 2
    return replace(problem, positions_px=places, object_shape=(int(shape[0]), int(shape[1])))


@pytest.mark.parametrize("wrong", [Linear(0.1, 0.0), Linear(-0.12, 0.0), Linear(0.0, 0.1), Linear()])
def test_a_planted_scale_or_rotation_is_found(wrong: Linear, measurement: Callable[..., Any]) -> None:
    problem = measurement(n=32, side=9, counts=1e6, whole=False, hooded=True).problem
    found = find_linear(told(problem, wrong), TrialOptions())
    assert found.log_scale == pytest.approx(-wrong.log_scale, abs=FOUND)
    assert found.turn_rad == pytest.approx(-wrong.turn_rad, abs=FOUND)


def test_positions_are_straightened_and_the_object_lies_where_it_was_asked_for(
    measurement: Callable[..., Any],
) -> None:
    problem = measurement(n=32, side=9, counts=1e6, whole=False, hooded=True).problem
    squeezed = told(problem, Linear(-0.12, 0.0))

    def again(changed: Problem) -> Any:
        return run(changed, Step("lsqml", 15))

    first = again(squeezed)
    line = straightened(squeezed, first, TrialOptions(), again)
    assert line.found.residual < 0.8 * first.residual
    assert parts_of(line.map)[0] == pytest.approx(np.exp(0.12) - 1.0, abs=FOUND)
    assert line.room_px > 0
    back = without_room(line.found, line.room_px)
    assert back.object_.shape == squeezed.object_shape
    np.testing.assert_allclose(back.positions_px.mean(axis=0), squeezed.positions_px.mean(axis=0), atol=0.5)


def test_a_map_is_a_stretch_and_a_rotation() -> None:
    turned = Linear(0.0, np.deg2rad(7.0)).matrix
    stretch, turn_deg = parts_of(turned - np.eye(2))
    assert stretch == pytest.approx(0.0, abs=1e-12)
    assert turn_deg == pytest.approx(7.0)
    stretch, turn_deg = parts_of(turned @ np.diag([1.05, 1.0]) - np.eye(2))
    assert stretch == pytest.approx(0.05)
    assert turn_deg == pytest.approx(7.0)
    shear = np.array([[0.0, 0.04], [0.0, 0.0]])
    assert parts_of(shear)[0] == pytest.approx(0.02, abs=1e-3)
