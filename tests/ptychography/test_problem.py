"""What no engine can work on is refused, saying what was got and what was wanted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.ptychography.problem import Problem, check


def with_nan(problem: Problem) -> Problem:
    frames = problem.frames.astype(np.float32)
    frames[3, 5, 6] = np.nan
    return replace(problem, frames=frames)


SPOILED: dict[str, tuple[Callable[[Problem], Problem], str]] = {
    "one position too few": (lambda p: replace(p, positions_px=p.positions_px[:-1]), "disagree in number"),
    "no frames": (lambda p: replace(p, frames=p.frames[:0], positions_px=p.positions_px[:0]), "not a series"),
    "another probe": (lambda p: replace(p, probe=p.probe[:, :-1]), "probe and frames"),
    "limits of another shape": (lambda p: replace(p, at_least=np.zeros((3, 4, 4), bool)), "limits and frames"),
    "another mask": (lambda p: replace(p, good=p.good[:, 1:]), "mask and frames"),
    "mask turned round": (lambda p: replace(p, good=~p.good), "no detector pixel is good"),
    "a position of NaN": (lambda p: replace(p, positions_px=p.positions_px * np.nan), "not finite"),
    "no scan": (lambda p: replace(p, positions_px=p.positions_px * 0 + 3), "all positions are equal"),
    "object too small": (lambda p: replace(p, object_shape=(40, 40)), "outside the object"),
    "before the object": (lambda p: replace(p, positions_px=p.positions_px - 9), "outside the object"),
    "start of other shape": (lambda p: replace(p, object0=np.ones((3, 3), np.complex64)), "another shape"),
    "dark probe": (lambda p: replace(p, probe=p.probe * 0), "empty or not finite"),
    "dark frames": (lambda p: replace(p, frames=p.frames * 0), "hold no counts"),
    "a pixel of NaN": (with_nan, "not finite on good pixels"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_refused(what: str, measurement: Callable[..., Any]) -> None:
    spoil, says = SPOILED[what]
    with pytest.raises(InputError, match=says) as caught:
        check(spoil(measurement(counts=1e4).problem))
    assert caught.value.mend


def test_a_sound_problem_passes_and_a_masked_nan_too(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e4).problem
    good = problem.good.copy()
    good[5, 6] = False
    for sound in (problem, replace(with_nan(problem), good=good)):
        assert check(sound) is None  # it raises what it finds


def test_a_subset_keeps_frames_with_their_positions(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e4).problem
    index = np.array([7, 2, 30])
    limits = np.zeros(problem.frames.shape, bool)
    limits[2, 4, 5] = True
    part = replace(problem, at_least=limits).subset(index)
    assert np.argwhere(part.at_least).tolist() == [[1, 4, 5]]
    np.testing.assert_array_equal(part.frames[1], problem.frames[2])
    np.testing.assert_array_equal(part.positions_px[2], problem.positions_px[30])
    assert part.object_shape == problem.object_shape
