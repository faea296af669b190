"""One tile with its halves: how halves are drawn, what is judged, and what the next energy starts with."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stxmdist.ptychography.gauge import remove_ramp
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.tile import carried_from, in_shard, reconstruct_tile, second_half

RECIPE = Recipe((Step("lsqml", 30),), ModelOptions(n_modes=1), PositionOptions(refine=False))
PIXEL_NM = (10.0, 12.0)
ALIKE = 0.6
"""Correlation of what the halves of two tiles differ by: at the rim of each are fewer frames; of other halves none"""


def test_of_two_numbers_in_a_row_each_half_has_one() -> None:
    second = second_half(np.arange(101), np.random.default_rng(1))
    assert (second[0:100:2] != second[1:100:2]).all()
    # A raster of ten columns: no column belongs to one half alone.
    columns = second[:100].reshape(10, 10)
    assert columns.any(axis=0).all()
    assert not columns.all(axis=0).any()


def test_a_position_is_in_the_same_half_whichever_positions_are_usable() -> None:
    whole = second_half(np.arange(60), np.random.default_rng(2))
    some = np.array([3, 4, 11, 30, 59])
    np.testing.assert_array_equal(second_half(some, np.random.default_rng(2)), whole[some])


def test_a_tile_is_reconstructed_with_its_halves_and_judged(measurement: Callable[..., Any]) -> None:
    measured = measurement(n=32, side=9, counts=1e5)
    positions = np.arange(len(measured.problem.frames))
    result = reconstruct_tile(measured.problem, RECIPE, positions, PIXEL_NM, [7, 1])
    assert result.verdict.word == "good"
    assert result.counts_per_frame == np.mean(measured.problem.frames.sum(axis=(1, 2)))
    assert result.frc.pixel_nm == PIXEL_NM[0]
    light = [float(half.illumination.sum(dtype=np.float64)) for half in result.halves]
    frames = [len(half.intensity) for half in result.halves]
    assert sum(frames) == len(positions)
    np.testing.assert_allclose(np.divide(light, frames), light[0] / frames[0], rtol=0.01)
    # Each half knows less than the whole, and neither is the other.
    errors = [measured.object_error(one) for one in (result.whole, *result.halves)]
    assert errors[0] < min(errors[1:])
    again = reconstruct_tile(measured.problem, RECIPE, positions, PIXEL_NM, [7, 1])
    np.testing.assert_array_equal(again.whole.object_, result.whole.object_)
    np.testing.assert_array_equal(again.halves[1].object_, result.halves[1].object_)


def test_halves_of_two_tiles_err_alike_where_they_overlap(measurement: Callable[..., Any]) -> None:
    """Else their blend would look quieter than it is: halves of other frames average what they differ by."""
    measured = measurement(n=32, side=10, counts=1e4)
    rows = np.arange(100) // 10
    halves = []
    for number, inside in enumerate((rows < 7, rows >= 3)):
        positions = np.flatnonzero(inside)
        tile = measured.problem.subset(positions)
        one, other = reconstruct_tile(tile, RECIPE, positions, PIXEL_NM, [7, number], halves_key=[7]).halves
        light = one.illumination.astype(np.float64)
        halves.append((light, one.object_, remove_ramp(other.object_, one.object_, light)))
    lit = np.minimum(*(light for light, _, _ in halves))
    both = lit > 0.7 * np.median(lit[lit > 0.1 * lit.max()])
    differ = [np.log(np.abs(one[both] / other[both])) for _, one, other in halves]
    assert np.corrcoef(*differ)[0, 1] > ALIKE


def test_the_next_energy_starts_with_moves_from_where_the_file_has_positions(measurement: Callable[..., Any]) -> None:
    measured = measurement(side=3)
    result = reconstruct_tile(measured.problem, RECIPE, np.arange(9), PIXEL_NM, [7, 1]).whole
    usable = np.ones(11, bool)
    usable[[2, 5]] = False
    of_file = result.positions_px - np.array([1.0, -2.0])
    carried = carried_from(result, 3, of_file, usable, PIXEL_NM)
    assert carried.orientation == 3
    np.testing.assert_array_equal(carried.moves_um[~usable], 0.0)
    np.testing.assert_allclose(carried.moves_um[usable], np.tile([0.010, -0.024], (9, 1)))


def test_what_a_tile_does_not_reach_of_its_shard_is_unknown() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    shard = in_shard(values, (4, 5))
    assert (shard.shape, shard.dtype) == ((1, 1, 4, 5), np.float32)
    np.testing.assert_array_equal(shard[0, 0, :2, :3], values)
    assert np.isnan(shard).sum() == 20 - 6
