"""Beams that move while frames are taken: how far is found from the frames, and none moves in scans at rest."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.ptychography.chain import NEIGHBOUR
from stxmdist.ptychography.geometry import positions_to_px
from stxmdist.ptychography.motion import (
    MOST_MODES,
    find_motion,
    may_move,
    moved_probe,
    step_along_lines,
    with_moved_beam,
)
from stxmdist.ptychography.options import ReconstructOptions
from stxmdist.ptychography.probe import zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.tile import TileResult, reconstruct_tile
from stxmdist.ptychography.trials import TrialOptions
from tests.ptychography.spoilt_scans import Light, Scan, Setting, correlation_with_truth, measure

SMALL = Setting(n=40, side=8, defocus_um=3.0, seed=21)
FOUND_STEPS = 0.35
"""Trials are short, and the beam at rest is not known: a shorter way of a wider beam explains nearly as much"""


def problem_of(scan: Scan) -> Problem:
    """With the beam as it is at rest."""
    shape, pixel_nm = scan.frames.shape[1:], (scan.pixel_nm, scan.pixel_nm)
    placed = positions_to_px(scan.positions_um, pixel_nm, shape)
    beam = zone_plate_probe(
        shape, pixel_nm, scan.energy_ev, outer_zone_nm=scan.setting.outer_zone_nm, central_stop_fraction=0.3,
        defocus_um=scan.setting.defocus_um,
    )  # fmt: skip
    return Problem(scan.frames, np.ones(shape, bool), placed.positions_px, beam[None], placed.object_shape)


def flying(steps: float, setting: Setting = SMALL) -> Scan:
    """Along x, the fast axis."""
    return measure(setting, Light(travel_px=(0.0, steps * setting.step_px)))


def judged(scan: Scan, recipe: Recipe) -> TileResult:
    frames, pixel_nm = np.arange(len(scan.frames)), (scan.pixel_nm, scan.pixel_nm)
    return reconstruct_tile(problem_of(scan), recipe, frames, pixel_nm, [0, 0], motion=TrialOptions())


def correlation(scan: Scan, found: Reconstruction) -> float:
    """With the truth."""
    placed = positions_to_px(scan.positions_um, (scan.pixel_nm, scan.pixel_nm), scan.frames.shape[1:])
    return correlation_with_truth(scan, found.object_, placed.origin_um, found.illumination)


def test_a_scan_that_flies_over_two_steps_is_reconstructed_with_a_beam_that_moves() -> None:
    scan = flying(2.0)
    at_rest = reconstruct(problem_of(scan), Recipe(), np.random.default_rng(0))
    result = judged(scan, Recipe())
    assert result.verdict.word == "good"
    assert correlation(scan, result.whole) > 0.98 > correlation(scan, at_rest)
    assert result.whole.residual < 0.9 * at_rest.residual
    assert len(result.whole.probe) > 2
    assert {len(half.probe) for half in result.halves} == {len(result.whole.probe)}
    assert "as if the beam had moved" in result.notes[0]


def test_a_beam_that_moves_and_must_not_in_the_model_is_the_reason_of_a_poor_verdict() -> None:
    result = judged(flying(2.0), Recipe(model=ModelOptions(n_modes=1)))
    assert result.evidence.motion_steps == pytest.approx(2.0, abs=FOUND_STEPS)
    assert result.verdict.word == "poor"
    assert "the beam moved" in result.verdict.reason
    assert len(result.whole.probe) == 1


@pytest.mark.parametrize(
    "scan",
    [
        measure(SMALL),
        measure(replace(SMALL, photons=1e4)),
        measure(replace(SMALL, kind="star")),
        measure(replace(SMALL, blur_px=0.5)),
        measure(replace(SMALL, spiral=True)),
    ],
    ids=["particles", "dim", "star", "a little vibration", "spiral"],
)
def test_a_beam_at_rest_stays_at_rest(scan: Scan) -> None:
    problem = problem_of(scan)
    found = reconstruct(problem, Recipe(), np.random.default_rng(0))
    assert find_motion(problem, found, TrialOptions()) is None


@pytest.mark.parametrize("steps", [1.5, 2.0, 3.0])
def test_the_way_is_found_along_the_lines_of_the_scan(steps: float) -> None:
    problem = problem_of(flying(steps))
    found = reconstruct(problem, Recipe(), np.random.default_rng(0))
    motion = find_motion(problem, found, TrialOptions())
    assert motion is not None
    assert motion.steps == pytest.approx(steps, abs=FOUND_STEPS)
    rows, columns = np.abs(motion.travel_px)
    assert columns == pytest.approx(steps * SMALL.step_px, abs=1.3 * FOUND_STEPS * SMALL.step_px)
    assert rows < 0.1 * columns


def test_trials_are_left_out_where_one_mode_explains_all() -> None:
    found = reconstruct(problem_of(measure(SMALL)), Recipe(), np.random.default_rng(0))
    assert not may_move(found, 0.001)
    assert may_move(found, 0.02)
    assert may_move(replace(found, mode_power=np.array([0.8, 0.2])), 0.001)


def test_modes_of_a_moved_beam_are_its_mean_density() -> None:
    rng = np.random.default_rng(1)
    window = np.exp(-0.5 * (np.hypot(*(np.indices((32, 32)) - 16)) / 5.0) ** 2)
    probe = (window * (1.0 + 0.2j * rng.normal(size=(32, 32))))[None].astype(np.complex64)
    at_rest = moved_probe(probe, np.zeros(2))
    np.testing.assert_allclose(np.abs(at_rest), np.abs(probe), atol=1e-5)
    moved = moved_probe(probe, np.array([0.0, 9.0]))
    assert 1 < len(moved) <= MOST_MODES
    # The way is nine pixels, one a part: shifts are whole.
    mean = np.mean([np.roll(np.abs(probe[0]) ** 2, shift, axis=1) for shift in range(-4, 5)], axis=0)
    np.testing.assert_allclose((np.abs(moved) ** 2).sum(axis=0), mean, atol=0.02 * mean.max())


def test_steps_are_those_along_lines_forward_and_backward() -> None:
    rows, columns = np.indices((6, 10)).reshape(2, -1) * 4.0
    there_and_back = np.where((rows // 4) % 2 == 0, columns, 36.0 - columns)
    for places in (np.stack([rows, columns], axis=1), np.stack([rows, there_and_back], axis=1)):
        step = step_along_lines(places)
        assert step is not None
        np.testing.assert_allclose(np.abs(step), [0.0, 4.0], atol=0.3)
    order = np.random.default_rng(2).permutation(len(rows))
    assert step_along_lines(np.stack([rows, columns], axis=1)[order]) is None


def test_engines_that_keep_waves_are_left_out_where_there_are_others() -> None:
    moving = with_moved_beam(Recipe(), 5)
    assert [step.engine for step in moving.schedule] == ["lsqml"]
    assert (moving.model.n_modes, moving.model.modes_from) == (5, 0.0)
    alone = Recipe((Step("raar", 10),))
    assert with_moved_beam(alone, 5).schedule == alone.schedule


def test_the_next_energy_keeps_all_modes_of_a_beam_that_moved() -> None:
    options = ReconstructOptions()
    assert options.recipe(NEIGHBOUR, 5).model.n_modes == 5
    assert options.recipe(NEIGHBOUR, 1).model.n_modes == options.model.n_modes
    assert options.recipe(None, 5).model.n_modes == options.model.n_modes
    # The probe of a neighbour moves already; a tile with a seed is asked like any other.
    assert options.motion_trials(NEIGHBOUR) is None
    assert options.motion_trials("seed of tile 3") == options.motion_trials(None) == options.trials
