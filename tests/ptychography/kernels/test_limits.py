"""Counts that are but the least that there was: saturated pixels, and pixels of single frames that tell nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.kernels.fourier import padded_copy
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Step
from stxmdist.ptychography.state import State
from tests.ptychography.conftest import Measurement, run

SATURATED = 0.5
"""Share of the brightest mean count at which a detector saturates here: four tenths of all light are above"""
WORSE = 2.0
"""Object's error against that from whole counts: 1.2 to 1.8"""
BELIEVED = 0.2
"""Object's error against that where limits are taken for counts: .1 to .15"""
SCALE = 0.1
"""Of vacuum, of which the frames' sums say nothing then"""


def misfit(problem: Problem) -> float:
    state = State(
        object_=np.ones(problem.object_shape, np.complex64),
        probe=padded_copy(problem.probe * np.float32(20.0)),
        positions_px=problem.positions_px,
        intensity=np.ones(len(problem.frames), np.float32),
        background=np.zeros(problem.frames.shape[1:], np.float32),
        variations=padded_copy(np.zeros((0, *problem.frames.shape[1:]), np.complex64)),
        shares=np.zeros((len(problem.frames), 0), np.float32),
    )
    sweep = FusedSweep(problem, 1)
    sweep.adopt(state)
    return float(sweep.misfit(state))


def test_limits_ask_for_more_light_and_never_for_less(measurement: Callable[..., Measurement]) -> None:
    problem = measurement(counts=1e4).problem
    everywhere = np.ones(problem.frames.shape, bool)
    bright = replace(problem, frames=np.full(problem.frames.shape, 1e9, np.float32))
    assert misfit(replace(problem, frames=problem.frames * 0, at_least=everywhere)) == 0.0
    assert misfit(replace(bright, at_least=everywhere)) == pytest.approx(misfit(bright), rel=1e-6)
    few = np.random.default_rng(0).random(problem.frames.shape) < 0.1
    assert 0.0 < misfit(replace(problem, at_least=few)) < misfit(problem)


@pytest.mark.parametrize("engine", ["rpie", "lsqml", "ml"])
def test_a_saturated_direct_beam_costs_little(engine: str, measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e6)
    whole = measured.problem
    ceiling = SATURATED * whole.frames.mean(axis=0).max()
    clipped = replace(whole, frames=np.minimum(whole.frames, ceiling), at_least=whole.frames >= ceiling)
    assert clipped.frames.sum() < 0.7 * whole.frames.sum()
    step = Step(engine, 60)
    found, best, believed = (run(one, step) for one in (clipped, whole, replace(clipped, at_least=None)))
    assert measured.object_error(found) < WORSE * measured.object_error(best)
    assert measured.object_error(found) < BELIEVED * measured.object_error(believed)
    assert np.sum(np.abs(found.probe) ** 2) == pytest.approx(np.sum(np.abs(best.probe) ** 2), rel=SCALE)


def test_a_pixel_that_tells_nothing_in_some_frames_costs_nothing(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e6)
    whole = measured.problem
    unread = np.random.default_rng(2).random(whole.frames.shape) < 0.05
    some = replace(whole, frames=np.where(unread, 0, whole.frames), at_least=unread)
    step = Step("lsqml", 60)
    assert measured.object_error(run(some, step)) < WORSE * measured.object_error(run(whole, step))
