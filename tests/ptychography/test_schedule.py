"""A schedule that follows its errors: sooner at the noise, longer while it gains, and the same again if interrupted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Recipe, Step, noise_of, reconstruct
from stxmdist.ptychography.schedule import LEAST, NEAR, Adaptation, length_of
from stxmdist.ptychography.state import ModelOptions, State

ADAPTING, SOONER = Adaptation(), Adaptation(sooner=True)
PLANNED = 40
NOISE = 0.02
AS_GOOD = 1.05
"""Residual of a run that ended sooner, over that as planned: half of what full steps leave above small ones"""


def errors(*, floor: float, half_life: float, count: int = 300, begin: float = 0.3) -> list[float]:
    """Errors that fall to a floor."""
    return list(floor + (begin - floor) * 0.5 ** (np.arange(count) / half_life))


def test_at_the_noise_a_step_ends_sooner_where_it_may_and_its_halves_are_as_long_as_each_other() -> None:
    fast = errors(floor=1.1 * NOISE, half_life=0.8)
    as_planned = length_of(fast, PLANNED, NOISE, 3.0)
    assert as_planned is not None
    assert (as_planned.passes, as_planned.reason) == (PLANNED, "as planned")
    found = length_of(fast, PLANNED, NOISE, 3.0, sooner=True)
    assert found is not None
    assert found.reason == "sooner, at the noise"
    assert LEAST <= found.first == found.second < PLANNED / 2


def test_a_step_goes_on_while_it_gains_and_no_longer() -> None:
    slow = errors(floor=1.5 * NOISE, half_life=8.0)
    found = length_of(slow, PLANNED, NOISE, 5.0)
    assert found is not None
    assert found.reason == "longer, while it gained"
    assert found.first > PLANNED / 2
    assert found.second == PLANNED / 2
    # It never gets to the noise: its last passes gained little.
    assert slow[found.first - 1] > 0.97 * slow[found.first - 5]
    bounded = length_of(errors(floor=0.0, half_life=20.0, begin=5.0), PLANNED, NOISE, 2.5)
    assert bounded is not None
    assert (bounded.passes, bounded.reason) == (2.5 * PLANNED, "still gaining")


@pytest.mark.parametrize("level", [1.0, 0.5, 20.0])
def test_a_step_that_stands_still_above_the_noise_is_as_planned(level: float) -> None:
    still = [level * NEAR * NOISE * 1.01] * 200
    found = length_of(still, PLANNED, NOISE, 3.0, sooner=True)
    assert found is not None
    assert (found.passes == PLANNED) == (level >= 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_later_does_not_change_what_was_decided(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = errors(floor=NOISE * rng.uniform(0.8, 3.0), half_life=rng.uniform(0.5, 20.0))
    drawn = [error * float(np.exp(rng.normal(0.0, 0.03))) for error in drawn]
    planned = int(rng.integers(2 * LEAST, 60))
    sooner = bool(rng.integers(2))
    whole = length_of(drawn, planned, NOISE, 3.0, sooner=sooner)
    assert whole is not None
    for count in range(120):
        assert length_of(drawn[:count], planned, NOISE, 3.0, sooner=sooner) == (whole if count >= whole.first else None)
    assert whole.first <= whole.passes <= max(planned, 3 * planned)
    assert whole.share(whole.first + 1) > 0.5
    assert whole.share(whole.passes) == 1.0


def test_limits_without_sense_are_refused() -> None:
    for wrong in ({"longest": 0.9}, {"longest": np.inf}, {"switches": -1}):
        with pytest.raises(InputError):
            Adaptation(**wrong)


def good_start(measurement: Callable[..., Any], counts: float = 3e4) -> Problem:
    return measurement(n=40, side=9, counts=counts).problem


def test_a_good_start_ends_sooner_where_it_may_and_as_well(measurement: Callable[..., Any]) -> None:
    problem = good_start(measurement)
    given = Recipe((Step("lsqml", PLANNED),), ModelOptions(n_modes=1))
    one = reconstruct(problem, given, np.random.default_rng(0))
    other = reconstruct(problem, replace(given, adaptation=SOONER), np.random.default_rng(0))
    assert len(one.error) == PLANNED > len(other.error)
    assert other.residual < AS_GOOD * one.residual
    assert one.schedule == f"lsqml {PLANNED}"
    assert other.schedule == f"lsqml {len(other.error)} of {PLANNED} (sooner, at the noise)"


def test_a_bad_start_goes_on_and_gets_farther(measurement: Callable[..., Any]) -> None:
    problem = good_start(measurement, 1e6)
    bad = replace(problem, probe=problem.probe.conj())  # as of the other side of the focus
    given = Recipe((Step("lsqml", 2 * LEAST),), ModelOptions(n_modes=1, probe_from=0.0))
    one = reconstruct(bad, given, np.random.default_rng(0))
    other = reconstruct(bad, replace(given, adaptation=ADAPTING), np.random.default_rng(0))
    assert one.residual > NEAR * noise_of(bad)
    assert len(one.error) == 2 * LEAST < len(other.error) <= ADAPTING.longest * 2 * LEAST
    assert other.residual < one.residual
    assert "gain" in other.schedule


@pytest.mark.parametrize("schedule", [(Step("lsqml", 2 * LEAST - 1),), (Step("lsqml", 9), Step("raar", 30))])
def test_short_steps_and_engines_whose_errors_tell_nothing_are_as_given(
    schedule: tuple[Step, ...], measurement: Callable[..., Any]
) -> None:
    problem = good_start(measurement)
    given = Recipe(schedule, ModelOptions(n_modes=1))
    one, other = (
        reconstruct(problem, replace(given, adaptation=adaptation), np.random.default_rng(0))
        for adaptation in (given.adaptation, ADAPTING)
    )
    np.testing.assert_array_equal(one.object_, other.object_)
    assert given.most_iterations == replace(given, adaptation=ADAPTING).most_iterations == given.iterations


class CutError(Exception):
    """The worker dies."""


@pytest.mark.parametrize("last", [5, LEAST + 4, LEAST + 6])
def test_an_interrupted_schedule_decides_as_if_it_had_not_been(
    last: int, measurement: Callable[..., Any], tmp_path: Path
) -> None:
    problem = good_start(measurement)
    recipe = Recipe((Step("raar", 3), Step("lsqml", PLANNED)), ModelOptions(n_modes=1), adaptation=SOONER)
    whole = reconstruct(problem, recipe, np.random.default_rng(0))
    path = tmp_path / "state.npz"

    def cut(iteration: int, state: State) -> None:
        if iteration == last:
            raise CutError

    with pytest.raises(CutError):
        reconstruct(problem, recipe, np.random.default_rng(0), checkpoint=Checkpoint(path, every_s=0.0), watch=cut)
    resumed = reconstruct(problem, recipe, np.random.default_rng(0), checkpoint=Checkpoint(path, every_s=0.0))
    np.testing.assert_array_equal(resumed.error[:last], whole.error[:last])
    # The order of frames is drawn anew from there: errors differ a little, the decision rests on those before.
    assert abs(len(resumed.error) - len(whole.error)) <= (0 if last > LEAST + 5 else 4)
    assert len(resumed.error) < 3 + PLANNED
