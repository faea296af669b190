"""Starts and engines that do not explain the frames are left for others, as often as is allowed, and it is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stxmdist.ptychography import tile as tile_module
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.geometry import positions_to_px
from stxmdist.ptychography.held_out import static_residual
from stxmdist.ptychography.probe import zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, noise_of, reconstruct
from stxmdist.ptychography.schedule import NEAR, Adaptation
from stxmdist.ptychography.switching import LOST, STALLED, Switched, by_another_engine, switched, with_others
from stxmdist.ptychography.tile import reconstruct_tile
from stxmdist.ptychography.trials import TrialOptions
from stxmdist.ptychography.verdict import Evidence
from tests.ptychography.spoilt_scans import ENERGY_EV, PIXEL_NM, Setting, measure

SETTING = Setting(kind="blots", n=40, side=7, defocus_um=3.0, seed=5)
GIVEN = Recipe((Step("lsqml", 16),))
ADAPTING = replace(GIVEN, adaptation=Adaptation(longest=1.5))
TRIALS = TrialOptions(positions=25, iterations=6)


def mirrored(defocus_um: float = -6.0) -> Problem:
    """A scan, to be started from the other side of the focus."""
    scan = measure(SETTING)
    shape = scan.frames.shape[1:]
    placed = positions_to_px(scan.positions_um, PIXEL_NM, shape)
    probe = zone_plate_probe(shape, PIXEL_NM, ENERGY_EV, outer_zone_nm=SETTING.outer_zone_nm, defocus_um=defocus_um)
    return Problem(scan.frames, np.ones(shape, bool), placed.positions_px, probe[None], placed.object_shape)


class Tried:
    """Reconstructions that were made."""

    def __init__(self, problem: Problem) -> None:
        self.noise, self.static = noise_of(problem), static_residual(problem.frames, problem.good)
        self.numbers: list[int] = []

    def left(self, found: Reconstruction) -> float:
        return Evidence(found.stopped, found.residual, self.noise, self.static).unexplained

    def switched(self, problem: Problem, recipe: Recipe) -> Switched:
        found = self.again(problem, recipe, 0)
        begun = Switched(problem, found, recipe, found.schedule)
        return switched(begun, self.left, self.again, TRIALS)

    def again(self, problem: Problem, recipe: Recipe, number: int) -> Reconstruction:
        self.numbers.append(number)
        return reconstruct(problem, recipe, np.random.default_rng(0))


def test_a_wrong_start_is_left_and_what_was_done_is_said() -> None:
    problem = mirrored()
    tried = Tried(problem)
    given = reconstruct(problem, GIVEN, np.random.default_rng(0))
    found = tried.switched(problem, ADAPTING)
    assert given.residual > 3.0 * tried.noise
    assert found.found.residual < NEAR * tried.noise
    assert tried.left(found.found) < STALLED
    assert tried.numbers == list(range(len(tried.numbers)))
    assert found.words.count("was left, so") == len(tried.numbers) - 1 >= 1
    assert "is left of the best" in found.words


def test_a_right_start_is_kept_and_costs_nothing_more() -> None:
    problem = mirrored(SETTING.defocus_um)
    tried = Tried(problem)
    found = tried.switched(problem, ADAPTING)
    assert tried.numbers == [0]
    assert found.problem is problem
    assert found.words == found.found.schedule


def test_frames_of_other_positions_cost_no_more_than_is_allowed_and_the_best_is_kept() -> None:
    problem = mirrored()
    problem = replace(problem, frames=np.random.default_rng(1).permutation(problem.frames))
    for switches in (0, 1, 2):
        tried = Tried(problem)
        recipe = replace(ADAPTING, adaptation=Adaptation(longest=1.0, switches=switches))
        found = tried.switched(problem, recipe)
        assert len(tried.numbers) == 1 + switches
        assert tried.left(found.found) > LOST
        assert found.found.residual <= reconstruct(problem, recipe, np.random.default_rng(0)).residual


@pytest.mark.parametrize("held", ["freeze_probe", "freeze_object"])
def test_what_is_frozen_is_not_left(held: str) -> None:
    problem = mirrored()
    tried = Tried(problem)
    tried.switched(problem, replace(ADAPTING, model=replace(GIVEN.model, **{held: True})))
    assert tried.numbers == [0]


def test_a_schedule_as_it_is_given_is_not_left() -> None:
    problem = mirrored()
    tried = Tried(problem)
    found = tried.switched(problem, replace(GIVEN, adaptation=Adaptation(adapt=False)))
    assert tried.numbers == [0]
    assert found.words == "lsqml 16"


def test_the_other_engine_is_another() -> None:
    for recipe in (Recipe(), GIVEN):
        engines = {step.engine for step in recipe.schedule}
        assert by_another_engine(recipe).schedule[0].engine not in engines
    assert with_others(GIVEN) == (GIVEN,)
    assert with_others(ADAPTING) == (ADAPTING, by_another_engine(ADAPTING))


class CutError(Exception):
    """The worker dies."""


def test_after_an_interruption_what_has_ended_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, positions = mirrored(), np.arange(SETTING.side**2)

    def whole(path: Path | None = None) -> tile_module.TileResult:
        checkpoint = None if path is None else Checkpoint(path, every_s=0.0)
        return reconstruct_tile(
            problem, ADAPTING, positions, (PIXEL_NM, PIXEL_NM), [0], checkpoint=checkpoint, starts=TRIALS
        )

    undisturbed = whole()
    starts: list[bool] = []

    def counted(here: Problem, recipe: Recipe, rng: np.random.Generator, **others: object) -> Reconstruction:
        checkpoint = others["checkpoint"]
        assert checkpoint is None or isinstance(checkpoint, Checkpoint)
        starts.append(checkpoint is not None and checkpoint.path.exists())
        if len(starts) == 2:
            raise CutError
        return reconstruct(here, recipe, rng, **others)  # type: ignore[arg-type]

    path = tmp_path / "scratch" / "tile.npz"
    monkeypatch.setattr(tile_module, "reconstruct", counted)
    with pytest.raises(CutError):
        whole(path)
    assert starts == [False, False]
    resumed = whole(path)
    # The first had ended, the second had not begun.
    assert starts[2:4] == [True, False]
    assert resumed.schedule == undisturbed.schedule
    np.testing.assert_array_equal(resumed.whole.object_, undisturbed.whole.object_)
    assert not path.parent.exists()
