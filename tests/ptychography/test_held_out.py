"""Frames that took no part in a reconstruction: how well they are predicted, and what they vary by themselves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.held_out import predicted_residual, static_residual
from tests.ptychography.conftest import Step, run

NEAR = 2e-4
"""Residuals of the same model by two routes, in float32"""


def test_the_static_residual_is_that_of_the_mean_amplitude() -> None:
    rng = np.random.default_rng(3)
    frames = rng.poisson(rng.uniform(5.0, 50.0, (20, 6, 7)))
    good = rng.random((6, 7)) > 0.2
    roots = np.sqrt(frames[:, good])
    wanted = np.sqrt(((roots - roots.mean(axis=0)) ** 2).sum() / frames[:, good].sum())
    assert static_residual(frames, good) == pytest.approx(wanted)
    assert np.isnan(static_residual(0 * frames, good))
    assert static_residual(np.broadcast_to(frames[0], frames.shape), good) < NEAR


def test_seen_frames_are_predicted_as_they_were_explained(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=32, side=7, counts=1e5).problem
    found = run(problem, Step("rpie", 5), n_modes=2)
    again = predicted_residual(replace(problem, positions_px=found.positions_px), found)
    # All light of the inner frames falls on what has been seen; those at the rim are left out.
    assert again == pytest.approx(found.residual, rel=0.1)


def test_a_right_object_predicts_what_it_did_not_see_and_a_wrong_one_does_not(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=32, side=8, step=3.0, counts=1e6).problem
    even, odd = (np.arange(first, len(problem.frames), 2) for first in (0, 1))
    variation = static_residual(problem.frames, problem.good)
    right = predicted_residual(problem.subset(odd), run(problem.subset(even), Step("lsqml", 30)))
    assert right < 0.3 * variation
    mirrored = replace(problem, frames=problem.frames[:, :, ::-1])
    wrong = predicted_residual(mirrored.subset(odd), run(mirrored.subset(even), Step("lsqml", 30)))
    assert wrong > 0.8 * variation


def test_where_nothing_was_seen_nothing_is_said(measurement: Callable[..., Any]) -> None:
    problem = measurement(n=16, side=6, step=8.0, counts=1e5).problem
    few = problem.subset(np.arange(3))
    found = run(few, Step("rpie", 2))
    assert np.isnan(predicted_residual(problem.subset(np.arange(20, 36)), found))
