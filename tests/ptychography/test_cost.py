"""Forecasts of memory and time grow with what they should grow with."""

from dataclasses import replace

import numpy as np

from stxmdist.ptychography.cost import (
    JOINT_BYTES_PER_PX,
    KEPT_BYTES_PER_PX,
    peak_bytes,
    stitch_core_seconds,
    stitch_peak_bytes,
    tile_core_seconds,
    tile_peak_bytes,
)
from stxmdist.ptychography.geometry import Tile
from stxmdist.ptychography.joint import JointOptions
from stxmdist.ptychography.motion import MOST_MODES, with_moved_beam
from stxmdist.ptychography.options import ReconstructOptions
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.tiling import TileWindow

FRAME = (32, 40)
OBJECT = (90, 100)


def recipe(engine: str, modes: int = 1) -> Recipe:
    return Recipe((Step(engine, 10),), ModelOptions(n_modes=modes, modes_from=0.0))


def test_only_engines_that_keep_exit_waves_pay_for_them() -> None:
    keeping, not_keeping = (peak_bytes(recipe(engine, 2), 500, FRAME, OBJECT, 2) for engine in ("raar", "rpie"))
    assert keeping - not_keeping == 500 * 2 * FRAME[0] * FRAME[1] * 8


def test_frames_of_two_bytes_are_kept_as_they_are_and_others_as_four() -> None:
    two, eight = (peak_bytes(recipe("rpie"), 500, FRAME, OBJECT, size) for size in (2, 8))
    assert eight - two == 500 * FRAME[0] * FRAME[1] * ((8 + 4) - (2 + 2))


def window(shape: tuple[int, int], positions: int = 50) -> TileWindow:
    tile = Tile(0, np.arange(positions), (0.0, 1.0, 0.0, 1.0))
    return TileWindow(tile, np.zeros((positions, 2)), (0, 0), shape)


def test_a_tile_takes_what_its_largest_window_takes() -> None:
    options = ReconstructOptions()
    found = tile_peak_bytes(options, [window((60, 60)), window(OBJECT)], FRAME, 2)
    # Nobody knows before the frames are read whether they must be turned to photons, float32, and the beam moved.
    moving = with_moved_beam(options.recipe(None), MOST_MODES)
    alone = max(peak_bytes(recipe, 50, FRAME, OBJECT, 4) for recipe in (options.recipe(None), moving))
    assert found == alone + KEPT_BYTES_PER_PX * OBJECT[0] * OBJECT[1]


def test_later_energies_cost_the_iterations_of_their_own_schedule() -> None:
    options = ReconstructOptions(schedule=(Step("lsqml", 40),), next_energy=(Step("lsqml", 10),))
    one, two = (tile_core_seconds(options, [window(OBJECT, 200)] * count, 1, FRAME) for count in (1, 2))
    assert np.isclose((two - 1.0 - one), (one - 1.0) / 4.0)
    longer = replace(options, next_energy=(Step("lsqml", 20),))
    assert tile_core_seconds(longer, [window(OBJECT, 200)] * 2, 1, FRAME) > two


def test_a_tile_with_neighbours_pays_for_the_seed() -> None:
    options = ReconstructOptions()
    one = [window(OBJECT, 200)]
    assert tile_core_seconds(options, one, 4, FRAME) > tile_core_seconds(options, one, 1, FRAME)


def test_energies_that_are_reconstructed_together_keep_their_images_and_take_their_rounds() -> None:
    alone, joint = ReconstructOptions(), ReconstructOptions(joint=JointOptions("low_rank"))
    few, many = ([window(OBJECT)] * count for count in (2, 7))
    grown = [tile_peak_bytes(joint, windows, FRAME, 2) - tile_peak_bytes(alone, windows, FRAME, 2)
             for windows in (few, many)]  # fmt: skip
    assert grown[0] == 2 * JOINT_BYTES_PER_PX * OBJECT[0] * OBJECT[1]
    assert grown[1] == 7 * JOINT_BYTES_PER_PX * OBJECT[0] * OBJECT[1]
    seconds = [tile_core_seconds(options, few, 1, FRAME) for options in (alone, joint)]
    assert seconds[1] > seconds[0]
    longer = ReconstructOptions(joint=JointOptions("low_rank", rounds=24))
    assert tile_core_seconds(longer, few, 1, FRAME) > seconds[1]


def test_stitching_costs_by_the_pixel() -> None:
    assert stitch_peak_bytes((20, 30)) == 2 * stitch_peak_bytes((10, 30))
    assert stitch_core_seconds((200, 300)) > stitch_core_seconds((100, 300))
