"""One grid for all energies of a scan: square pixels of the coarsest energy, over all that the beam has seen."""

import numpy as np
import pytest

from stxmdist.ptychography.geometry import object_pixel_nm, positions_to_px
from stxmdist.ptychography.grid import Grid, scan_grid

ENERGY_EV = np.array([700.0, 708.2, 731.0])
DISTANCE_M = 0.0528
FRAME = (37, 41)
PIXEL_UM = (120.0, 100.0)


def positions(seed: int = 0, n: int = 53) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.uniform((-3.0, 11.0), (-1.7, 13.1), (n, 2))
    return first + rng.normal(0.0, 0.01, (len(ENERGY_EV), 1, 2))


def grid_of(where: np.ndarray, energy_ev: np.ndarray = ENERGY_EV) -> Grid:
    return scan_grid(energy_ev, where, DISTANCE_M, PIXEL_UM, FRAME)


def test_coordinates_are_pixel_centres() -> None:
    grid = Grid((1.0, -2.0), (20.0, 30.0), (3, 2))
    np.testing.assert_allclose(grid.y_um, [1.0, 1.02, 1.04])
    np.testing.assert_allclose(grid.x_um, [-2.0, -1.97])


def test_pixels_are_square_and_those_of_the_coarsest_energy() -> None:
    coarsest = max(object_pixel_nm(700.0, DISTANCE_M, p, n) for p, n in zip(PIXEL_UM, FRAME, strict=True))
    grid = grid_of(positions())
    assert grid.pixel_nm == (coarsest, coarsest)
    # The order of energies does not matter, nor finer ones.
    assert grid_of(positions()[::-1], ENERGY_EV[::-1]) == grid
    assert grid_of(positions()[:1], ENERGY_EV[:1]).pixel_nm == grid.pixel_nm


def test_every_position_lies_inside_with_room_for_the_beam() -> None:
    where = positions()
    grid = grid_of(where)
    quarter_um = [
        0.25 * n * object_pixel_nm(700.0, DISTANCE_M, p, n) * 1e-3 for p, n in zip(PIXEL_UM, FRAME, strict=True)
    ]
    for axis, coordinates in enumerate((grid.y_um, grid.x_um)):
        assert coordinates[0] <= where[..., axis].min() - quarter_um[axis] + 1e-9
        assert coordinates[-1] >= where[..., axis].max() + quarter_um[axis] - 1e-9
        # And no more than that and a pixel on each side.
        spare = np.ptp(coordinates) - np.ptp(where[..., axis]) - 2 * quarter_um[axis]
        assert spare < 2.0 * grid.pixel_nm[axis] * 1e-3


def test_the_objects_of_all_energies_cover_it() -> None:
    # What is stitched reaches half a window beyond the positions: nothing of the grid lies outside.
    where = positions()
    grid = grid_of(where)
    for energy, here in zip(ENERGY_EV, where, strict=True):
        pixels = tuple(object_pixel_nm(energy, DISTANCE_M, p, n) for p, n in zip(PIXEL_UM, FRAME, strict=True))
        placed = positions_to_px(here, pixels, FRAME)
        for axis, coordinates in enumerate((grid.y_um, grid.x_um)):
            last = placed.origin_um[axis] + (placed.object_shape[axis] - 1) * pixels[axis] * 1e-3
            assert placed.origin_um[axis] <= coordinates[0]
            assert last >= coordinates[-1]


@pytest.mark.parametrize("steps", [(1, 0), (-3, 7)])
def test_a_scan_moved_by_whole_pixels_has_the_grid_moved(steps: tuple[int, int]) -> None:
    where = positions()
    grid = grid_of(where)
    pitch_um = np.array(grid.pixel_nm) * 1e-3
    moved = grid_of(where + np.array(steps) * pitch_um)
    assert moved.shape == grid.shape
    np.testing.assert_allclose(np.subtract(moved.origin_um, grid.origin_um), np.array(steps) * pitch_um, atol=1e-12)


def test_the_origin_is_a_whole_number_of_pixels() -> None:
    # So that two scans of one geometry share their pixels.
    grid = grid_of(positions(3))
    steps = np.array(grid.origin_um) / (np.array(grid.pixel_nm) * 1e-3)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
