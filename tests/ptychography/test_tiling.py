"""Tiles of a scan: the same positions at every energy, on windows that fit each other, nobody left out."""

from dataclasses import astuple

import numpy as np
import pytest

from stxmdist.ptychography.geometry import object_pixel_nm
from stxmdist.ptychography.tiling import Tiling, tiling_of

ENERGY_EV = np.array([700.0, 708.2, 730.0])
FRAME = (37, 41)
DISTANCE_M = 0.0528
PIXEL_UM = (120.0, 120.0)
STEP_UM = 0.11


def raster(rows: int = 13, columns: int = 17) -> np.ndarray:
    rng = np.random.default_rng(2)
    first = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).reshape(-1, 2) * STEP_UM
    return first + rng.normal(0.0, 0.01, (len(ENERGY_EV), len(first), 2))


def tiled(most_positions: int, halo_um: float = 0.15, where: np.ndarray | None = None) -> Tiling:
    return tiling_of(
        ENERGY_EV,
        raster() if where is None else where,
        DISTANCE_M,
        PIXEL_UM,
        FRAME,
        most_positions=most_positions,
        halo_um=halo_um,
    )


def test_a_small_scan_is_one_tile() -> None:
    tiling = tiled(221)
    assert tiling.n_tiles == 1
    assert tiling.most_positions == 221
    for placement, (window,) in zip(tiling.placements, tiling.windows, strict=True):
        np.testing.assert_array_equal(window.tile.positions, np.arange(221))
        assert window.corner[0] <= 1
        assert window.shape[0] <= placement.object_shape[0]


@pytest.mark.parametrize("most_positions", [60, 97, 150])
def test_no_tile_is_too_full_and_nobody_is_left_out(most_positions: int) -> None:
    tiling = tiled(most_positions)
    assert tiling.n_tiles > 1
    assert tiling.most_positions <= most_positions
    for windows in tiling.windows:
        assert set(np.concatenate([window.tile.positions for window in windows])) == set(range(221))


def test_tiles_are_the_same_at_every_energy_and_their_pixels_are_not() -> None:
    tiling = tiled(97)
    for number in range(tiling.n_tiles):
        first = tiling.windows[0][number]
        for windows in tiling.windows:
            np.testing.assert_array_equal(windows[number].tile.positions, first.tile.positions)
    pixels = [placement.pixel_nm[0] for placement in tiling.placements]
    wanted = [object_pixel_nm(energy, DISTANCE_M, PIXEL_UM[0], FRAME[0]) for energy in ENERGY_EV]
    assert pixels == pytest.approx(wanted)
    assert pixels == sorted(pixels, reverse=True)


def test_windows_are_pieces_of_the_scan() -> None:
    tiling = tiled(97)
    for placement, windows in zip(tiling.placements, tiling.windows, strict=True):
        for window in windows:
            # A frame at a tile's position covers the same pixels of the scan.
            own = window.positions_px + np.array(window.corner)
            np.testing.assert_allclose(own, placement.positions_px[window.tile.positions], atol=1e-9)
            assert (window.positions_px >= 0).all()
            assert (np.floor(window.positions_px).astype(int) + FRAME <= np.array(window.shape)).all()
            assert (np.add(window.corner, window.shape) <= placement.object_shape).all()
            assert (np.array(window.shape) <= tiling.largest).all()


def test_neighbours_share_the_halo() -> None:
    tiling = tiled(97)
    windows = tiling.windows[0]
    shared = [
        len(np.intersect1d(one.tile.positions, other.tile.positions))
        for index, one in enumerate(windows)
        for other in windows[index + 1 :]
    ]
    assert max(shared) >= 13
    apart = tiled(97, halo_um=0.0)
    assert sum(len(window.tile.positions) for window in apart.windows[0]) == 221


def test_plan_work_and_stitch_get_the_same_tiles() -> None:
    for one, other in zip(tiled(97).windows, tiled(97).windows, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.corner == b.corner
            assert a.shape == b.shape
            np.testing.assert_array_equal(a.positions_px, b.positions_px)
            np.testing.assert_array_equal(astuple(a.tile)[1], astuple(b.tile)[1])
