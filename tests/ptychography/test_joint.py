"""All energies of a tile in one problem: planted maps come back from the frames, whatever pixels and gauges are."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import C64, C128, F64
from stxmdist.errors import InputError
from stxmdist.ptychography.cost import JOINT_BYTES_PER_PX, peak_bytes
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.joint import (
    AT_REST,
    EnergyTile,
    JointImages,
    JointOptions,
    JointSetting,
    References,
    joint_images,
    log_ratio,
    released,
    shared_grid,
)
from stxmdist.ptychography.joint_tile import JointTile, SingleEnergy, best_shift, joint_tile, shift_against
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.tile import reconstruct_tile
from tests.ptychography.conftest import Measurement, frame_of, measure

MODEL = ModelOptions(n_modes=1)
SHORT = JointOptions(spectra="references", rounds=16, release=3)
LOGS = np.array([[-0.6 - 0.9j, -0.2 - 0.7j, -0.9 - 0.2j], [-0.2 - 0.5j, -0.9 - 0.9j, -0.3 - 1.0j]])
"""Logarithms of a unit of thickness: (COMPONENT, ENERGY)"""
PIXELS_NM = (10.0, 9.8, 9.7)
FOREIGN = np.array([-0.1 - 0.9j, -0.7 + 0.8j, 0.3 - 0.1j])
"""Of a material that is no mixture of the others"""


def maps_at(y_um: F64, x_um: F64, third: bool = False) -> F64:
    """Thicknesses (COMPONENT, Y, X): smooth blots, each component with its own."""
    rng = np.random.default_rng(4)
    y, x = y_um[:, None] * 1e3, x_um * 1e3
    centres = rng.uniform(60.0, 640.0, (24, 2))
    maps = np.zeros((2 + third, y_um.size, x_um.size))
    for number, (cy, cx) in enumerate(centres):
        maps[number % len(maps)] += 0.5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 2.0 / 35.0**2)
    return maps


class Planted:
    """The same sample at three energies, each with pixels, probe and noise of its own."""

    def __init__(self, counts: float | None, *, third: bool = False, side: int = 9, step: float = 4.0) -> None:
        self.measured: list[Measurement] = []
        self.tiles: list[EnergyTile] = []
        spectra = np.concatenate([LOGS, FOREIGN[None]]) if third else LOGS
        for energy, pixel in enumerate(PIXELS_NM):
            drawn = measure(n=32, side=side, step=step, counts=counts, hooded=True, whole=False, seed=energy)
            shape = drawn.problem.object_shape
            grid = Grid((0.0, 0.0), (pixel, pixel), shape)
            object_: C128 = np.exp(np.tensordot(spectra[:, energy], maps_at(grid.y_um, grid.x_um, third), axes=1))
            frames = np.stack([frame_of(object_, drawn.probe, place) for place in drawn.problem.positions_px])
            if counts is not None:
                frames = np.random.default_rng(50 + energy).poisson(frames)
            problem = replace(drawn.problem, frames=frames.astype(np.float32), probe=drawn.probe.astype(np.complex64))
            self.measured.append(Measurement(problem, object_, drawn.probe))
            self.tiles.append(EnergyTile(grid, Given(problem)))

    def errors(self, found: JointImages) -> F64:
        """Rms (COMPONENT,) of maps where there is light, a constant left free, over the spread of the planted ones."""
        planted = maps_at(found.grid.y_um, found.grid.x_um)
        lit = found.weight.min(axis=0) > 0.3 * np.median(found.weight[found.weight > 0])
        left = (found.maps[:2] - planted[:2])[:, lit]
        return np.asarray((left - left.mean(axis=1, keepdims=True)).std(axis=1) / planted[:2][:, lit].std(axis=1))


class Given:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __call__(self) -> Problem:
        return self.problem


def references(logs: C128 = LOGS) -> References:
    """The planted ones amid those of two other energy scales."""
    return References(np.array([-0.1, 0.0, 0.1]), np.stack([np.roll(logs, 1, axis=1), logs, np.roll(logs, -1, axis=1)]))


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted(None)


@pytest.fixture(scope="module")
def found(planted: Planted) -> JointImages:
    return joint_images(planted.tiles, references(), JointSetting(SHORT, MODEL), [3])


def test_planted_maps_come_back_without_noise(planted: Planted, found: JointImages) -> None:
    assert found.shift_ev == 0.0
    assert found.maps.shape[0] == 2
    # What sixteen rounds leave: .01 after forty.
    assert planted.errors(found).max() < 0.08
    for measured, image in zip(planted.measured, found.found, strict=True):
        assert measured.object_error(image) < 0.02


def test_energies_in_another_order_make_the_same_maps(planted: Planted, found: JointImages) -> None:
    order = [2, 0, 1]
    turned = References(references().shifts_ev, references().logs_per_nm[:, :, order])
    again = joint_images([planted.tiles[at] for at in order], turned, JointSetting(SHORT, MODEL), [3])
    # Batches are drawn anew: the same to what rounds of few iterations leave.
    assert abs(planted.errors(again) - planted.errors(found)).max() < 0.03


def test_the_same_seed_makes_the_same_maps(planted: Planted, found: JointImages) -> None:
    again = joint_images(planted.tiles, references(), JointSetting(SHORT, MODEL), [3])
    np.testing.assert_array_equal(again.maps, found.maps)


def test_spectra_found_from_the_data_explain_the_same_images(planted: Planted) -> None:
    low = joint_images(planted.tiles, None, JointSetting(SHORT, MODEL), [3], n_found=2)
    assert low.shift_ev is None
    for measured, image in zip(planted.measured, low.found, strict=True):
        assert measured.object_error(image) < 0.02


def test_an_image_that_lies_elsewhere_is_brought_over(planted: Planted) -> None:
    """What drift does: the beam of one energy met the sample elsewhere than its file says."""
    moved = planted.tiles[1]
    off = replace(moved, grid=replace(moved.grid, origin_um=(0.008, -0.006)))
    tiles = [planted.tiles[0], off, planted.tiles[2]]
    left = joint_images(tiles, references(), JointSetting(SHORT, MODEL), [3])
    shift = np.subtract(left.gauges[1].shift_px, left.gauges[0].shift_px) * left.grid.pixel_nm
    np.testing.assert_allclose(shift, [8.0, -6.0], atol=2.0)
    assert planted.errors(left).max() < 0.15


def test_moves_there_and_back_are_those_that_were_made(found: JointImages) -> None:
    y, x = found.grid.y_um * 1e3, found.grid.x_um * 1e3
    bump = (0.1 + 0.2j) * np.exp(-((y[:, None] - 300.0) ** 2 + (x - 280.0) ** 2) / 2.0 / 40.0**2)
    images = found.with_moves(np.stack([bump] * 3).astype(np.complex64))
    back = found.moves_to(images)
    lit = found.weight.min(axis=0) > 0.3 * np.median(found.weight[found.weight > 0])
    for energy in range(3):
        left = (back[energy] - bump)[lit]
        # Scale, phase and ramp are no part of a move.
        assert np.abs(left - left.mean()).max() < 0.05


def test_logarithms_of_dark_pixels_are_bounded() -> None:
    image: C64 = np.array([[0.0, 1.0], [1j, 2.0]], np.complex64)
    left = log_ratio(image, np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert np.isfinite(left).all()
    assert np.abs(left.real).max() <= 1.0
    assert left[1, 0].imag == pytest.approx(np.pi / 2)


def test_the_grid_of_maps_holds_all_windows_in_the_finest_pixels() -> None:
    grids = [Grid((0.0, 0.1), (10.0, 11.0), (20, 23)), Grid((-0.01, 0.12), (9.0, 12.0), (25, 19))]
    grid = shared_grid(grids)
    assert grid.pixel_nm == (9.0, 11.0)
    assert grid.origin_um == (-0.01, 0.1)
    for one in grids:
        assert grid.y_um[-1] >= one.y_um[-1] - 1e-9
        assert grid.x_um[-1] >= one.x_um[-1] - 1e-9


def alone(planted: Planted) -> list[SingleEnergy]:
    recipe = Recipe((Step("lsqml", 15),), MODEL, PositionOptions(refine=False))
    singles = []
    for energy, (measured, tile) in enumerate(zip(planted.measured, planted.tiles, strict=True)):
        positions = np.arange(len(measured.problem.frames))
        result = reconstruct_tile(measured.problem, recipe, positions, tile.grid.pixel_nm, [9, energy])
        singles.append(SingleEnergy(tile, positions, result, result))
    return singles


@pytest.fixture(scope="module")
def dim() -> Planted:
    return Planted(3e3)


@pytest.fixture(scope="module")
def dim_alone(dim: Planted) -> list[SingleEnergy]:
    return alone(dim)


@pytest.fixture(scope="module")
def dim_together(dim_alone: list[SingleEnergy]) -> JointTile:
    return joint_tile(dim_alone, references(), JointSetting(SHORT, MODEL), [1, 2])


def test_in_few_photons_the_images_are_better_than_each_alone(
    dim: Planted, dim_alone: list[SingleEnergy], dim_together: JointTile
) -> None:
    assert dim_together.better
    before = [one.object_error(single.result.whole) for one, single in zip(dim.measured, dim_alone, strict=True)]
    after = [one.object_error(joint.whole) for one, joint in zip(dim.measured, dim_together.results, strict=True)]
    assert np.mean(after) < 0.8 * np.mean(before)
    assert "end-members" in dim_together.note


def test_a_scale_of_the_positions_that_an_energy_starts_from_stays_in_its_verdict(
    dim_alone: list[SingleEnergy],
) -> None:
    first = dim_alone[0].result
    stretched = replace(first, evidence=replace(first.evidence, stretch=0.2))
    begun = [replace(single, begun_from=stretched) for single in dim_alone]
    few = replace(SHORT, rounds=2, release=1)
    for result in joint_tile(begun, references(), JointSetting(few, MODEL), [1, 2]).results:
        assert result.verdict.word != "good"


def test_memory_is_what_the_plan_foretells(dim: Planted, dim_alone: list[SingleEnergy]) -> None:
    few = replace(SHORT, rounds=2, release=1)
    tracemalloc.start()
    joint_tile(dim_alone, references(), JointSetting(few, MODEL), [1, 2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    shape, frames = dim.tiles[0].grid.shape, dim.measured[0].problem.frames
    engine = peak_bytes(Recipe((Step("lsqml", 2),), MODEL, AT_REST), len(frames), (32, 32), shape, 4)
    foretold = engine + 3 * JOINT_BYTES_PER_PX * shape[0] * shape[1]
    assert 0.3 * foretold < peak < foretold


def test_halves_differ_about_the_whole(dim: Planted, dim_together: JointTile) -> None:
    for measured, joint in zip(dim.measured, dim_together.results, strict=True):
        one, other = joint.halves
        lit = joint.whole.illumination > 0.5 * np.median(joint.whole.illumination)
        middle = np.sqrt(one.object_ * other.object_ + 0j)
        middle *= np.sign((middle * joint.whole.object_.conj()).real)
        np.testing.assert_allclose(middle[lit], joint.whole.object_[lit], atol=1e-3)
        spread = np.abs(one.object_ - other.object_)[lit] / 2.0
        error = measured.object_error(joint.whole)
        assert 0.2 * error < np.sqrt(np.mean(spread**2)) < 3.0 * error


@pytest.mark.slow
def test_spectra_that_are_not_those_of_the_sample_are_noticed() -> None:
    """In much light, end-members that the sample does not hold: others are found beside them, or it is left alone."""
    bright = Planted(1e6)
    singles = alone(bright)
    wrong = references(np.stack([LOGS[0], LOGS[0].conj()]))
    strict = replace(SHORT, most_found=0)
    left = joint_tile(singles, wrong, JointSetting(strict, MODEL), [1, 2])
    assert not left.better
    assert "left as it was alone" in left.note
    helped = joint_tile(singles, wrong, JointSetting(SHORT, MODEL), [1, 2])
    assert "found beside them" in helped.note
    held = [
        np.mean([result.evidence.held_out_residual for result in tile.results]) for tile in (left, helped)
    ]  # fmt: skip
    assert held[1] < held[0]


@pytest.mark.slow
def test_a_third_material_is_not_forced_on_the_end_members() -> None:
    """A planted material that the references lack: found beside them, or left as each energy alone shows it."""
    three = Planted(3e5, third=True)
    singles = alone(three)
    together = joint_tile(singles, references(), JointSetting(SHORT, MODEL), [1, 2])
    assert "found beside them" in together.note or "left as" in together.note
    results = together.results if together.better else [single.result for single in singles]
    before = np.mean(
        [one.object_error(single.result.whole) for one, single in zip(three.measured, singles, strict=True)]
    )
    after = np.mean([one.object_error(result.whole) for one, result in zip(three.measured, results, strict=True)])
    assert after < 1.1 * before


def test_the_shift_between_two_energies_is_found_from_their_images(dim_alone: list[SingleEnergy]) -> None:
    grid = shared_grid([single.energy.grid for single in dim_alone])
    there = replace(dim_alone[1].energy.grid, origin_um=(0.03, -0.02))
    moved = replace(dim_alone[1], energy=replace(dim_alone[1].energy, grid=there))
    one, reference = dim_alone[1].image, dim_alone[0].image
    found = np.subtract(shift_against(moved.image, reference, grid), shift_against(one, reference, grid))
    np.testing.assert_allclose(found * np.array(grid.pixel_nm), [30.0, -20.0], atol=10.0)


def test_the_energy_scale_is_that_of_the_images_wherever_they_drifted_to(
    dim_alone: list[SingleEnergy],
) -> None:
    images = [single.image for single in dim_alone]
    images[2] = replace(images[2], grid=replace(images[2].grid, origin_um=(0.03, -0.02)))
    known = references()
    assert known.shifts_ev[best_shift(images, known)] == 0.0
    turned = References(known.shifts_ev, np.roll(known.logs_per_nm, 1, axis=0))
    assert best_shift(images, turned) == 2
    assert turned.only(2).columns.shape == (1, 6, 2)


def test_released_images_start_from_the_maps(planted: Planted, found: JointImages) -> None:
    free = released(found, JointSetting(SHORT, MODEL), [5])
    for measured, before, after in zip(planted.measured, found.found, free, strict=True):
        assert len(after.error) == SHORT.release
        assert measured.object_error(after) < measured.object_error(before) + 0.01


@pytest.mark.parametrize(
    "wrong", [{"spectra": "dictionary"}, {"rounds": 1}, {"iterations": 0}, {"final_step": 0.0}, {"release": 0}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        JointOptions(**wrong)
