"""A reconstruction that was cut off goes on from where it was, and ends where it would have ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.state import ModelOptions, State

ITERATIONS = 40
CUT_AFTER = 23
SAME_RESIDUAL = 0.02
"""Relative: the order of positions is drawn anew, and momentum begins from nothing."""


class CutError(Exception):
    """The worker dies."""


def cut(iteration: int, state: State) -> None:
    if iteration == CUT_AFTER:
        raise CutError


@pytest.fixture
def recipe() -> Recipe:
    return Recipe((Step("raar", 8), Step("lsqml", ITERATIONS - 8)), ModelOptions(n_modes=1))


def test_what_was_cut_off_goes_on(measurement: Callable[..., Any], tmp_path: Path, recipe: Recipe) -> None:
    problem = measurement(counts=1e5).problem
    path = tmp_path / "scratch" / "state.npz"
    with pytest.raises(CutError):
        reconstruct(problem, recipe, np.random.default_rng(0), checkpoint=Checkpoint(path, every_s=0.0), watch=cut)
    assert path.exists()
    seen = []
    resumed = reconstruct(
        problem,
        recipe,
        np.random.default_rng(0),
        checkpoint=Checkpoint(path, every_s=0.0),
        watch=lambda iteration, state: seen.append(iteration),
    )
    assert seen == list(range(CUT_AFTER + 1, ITERATIONS + 1))
    assert not path.parent.exists()
    undisturbed = reconstruct(problem, recipe, np.random.default_rng(0))
    assert len(resumed.error) == ITERATIONS
    np.testing.assert_array_equal(resumed.error[:CUT_AFTER], undisturbed.error[:CUT_AFTER])
    assert resumed.residual == pytest.approx(undisturbed.residual, rel=SAME_RESIDUAL)


def test_a_state_of_another_problem_is_not_taken_up(
    measurement: Callable[..., Any], tmp_path: Path, recipe: Recipe
) -> None:
    path = tmp_path / "state.npz"
    problem = measurement(counts=1e5).problem
    with pytest.raises(CutError):
        reconstruct(problem, recipe, np.random.default_rng(0), checkpoint=Checkpoint(path, every_s=0.0), watch=cut)
    other = measurement(counts=1e5, seed=1).problem
    found = reconstruct(other, recipe, np.random.default_rng(0), checkpoint=Checkpoint(path, every_s=1e9))
    np.testing.assert_array_equal(found.object_, reconstruct(other, recipe, np.random.default_rng(0)).object_)
