"""Pixels, placements, overlap and tiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stxmdist.errors import InputError
from stxmdist.ptychography import geometry


def raster(rows: int, columns: int, step_um: float, seed: int = 0) -> np.ndarray:
    grid = np.indices((rows, columns)).reshape(2, -1).T * step_um
    return grid + np.random.default_rng(seed).uniform(-0.2, 0.2, grid.shape) * step_um + [120.0, -40.0]


def test_the_pixel_of_cosmic_and_that_it_goes_as_one_over_energy() -> None:
    # COSMIC: 974 pixels of 30 um at 121 mm gave 6.0 nm at 855.9 eV in the file of xanespy's tests.
    assert geometry.object_pixel_nm(855.9, 0.121, 30.0, 974) == pytest.approx(6.0, abs=0.005)
    one, two = (geometry.object_pixel_nm(energy, 0.1, 20.0, 128) for energy in (700.0, 710.0))
    assert one / two == pytest.approx(710.0 / 700.0)


def test_the_beam_meets_the_middle_of_its_window() -> None:
    positions = raster(5, 7, 0.1)
    placed = geometry.positions_to_px(positions, (11.0, 13.0), (32, 33))
    centre = placed.positions_px + np.array([16, 16])
    y = placed.origin_um[0] + centre[:, 0] * 0.011
    x = placed.origin_um[1] + centre[:, 1] * 0.013
    np.testing.assert_allclose(np.stack([y, x], axis=1), positions, atol=1e-9)
    assert placed.positions_px.min() >= 1.0
    assert (np.ceil(placed.positions_px).max(axis=0) + np.array([32, 33]) <= placed.object_shape).all()
    assert placed.y_um.shape == (placed.object_shape[0],)
    assert placed.x_um[1] - placed.x_um[0] == pytest.approx(0.013)


def test_two_scans_of_one_place_share_their_pixels() -> None:
    positions = raster(5, 7, 0.1)
    one = geometry.positions_to_px(positions, 12.0, (32, 32))
    other = geometry.positions_to_px(positions[:20] + 0.034, 12.0, (32, 32))
    apart = (np.array(one.origin_um) - other.origin_um) / 0.012
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6)


def test_a_given_origin_is_kept_or_refused() -> None:
    positions = raster(3, 3, 0.1)
    placed = geometry.positions_to_px(positions, 10.0, (8, 8), origin_um=(119.0, -41.0))
    assert placed.origin_um == (119.0, -41.0)
    with pytest.raises(InputError, match="begins after"):
        geometry.positions_to_px(positions, 10.0, (8, 8), origin_um=(120.0, -40.0))
    with pytest.raises(InputError, match="not finite"):
        geometry.positions_to_px(positions * np.nan, 10.0, (8, 8))


def test_diameter_of_a_gaussian_beam() -> None:
    sigma = 6.0
    beam = np.exp(-0.25 * ((np.indices((81, 81)) - 37.0) ** 2).sum(axis=0) / sigma**2)  # intensity of width sigma
    wanted = 2.0 * sigma * np.sqrt(-2.0 * np.log(0.1))
    assert geometry.probe_diameter_px(beam) == pytest.approx(wanted, rel=0.02)


def test_overlap_of_a_raster() -> None:
    positions = np.indices((9, 9)).reshape(2, -1).T * 4.0
    assert geometry.overlap(positions, 10.0) == pytest.approx(0.6)
    with pytest.raises(InputError, match="overlap too little") as caught:
        geometry.overlap(positions, 5.0)
    assert "0.20" in caught.value.got
    assert geometry.overlap(positions[:1], 5.0) == 1.0


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(2, 23), columns=st.integers(2, 23), most=st.integers(30, 200), seed=st.integers(0, 5),
    halo=st.sampled_from([0.0, 0.1, 0.25]),
)  # fmt: skip
def test_every_position_is_some_tiles_own(rows: int, columns: int, most: int, seed: int, halo: float) -> None:
    positions = raster(rows, columns, 0.1, seed)
    try:
        tiles = geometry.split_tiles(positions, most_positions=most, halo_um=halo, least_positions=5)
    except InputError as error:
        assert "halo" in error.problem  # noqa: PT017
        return
    owners = np.zeros(len(positions), int)
    for number, tile in enumerate(tiles):
        assert tile.index == number
        assert len(tile.positions) <= most
        assert (np.diff(tile.positions) > 0).all()
        y0, y1, x0, x1 = tile.core_um
        p = positions[tile.positions]
        core = (p[:, 0] >= y0) & (p[:, 0] <= y1) & (p[:, 1] >= x0) & (p[:, 1] <= x1)
        owners[tile.positions[core]] += 1
        # the halo is there: whatever lies within it of the core is in the tile
        near = (positions[:, 0] >= y0 - halo) & (positions[:, 0] <= y1 + halo)
        near &= (positions[:, 1] >= x0 - halo) & (positions[:, 1] <= x1 + halo)
        assert set(np.flatnonzero(near)) <= set(tile.positions)
    assert (owners >= 1).all()


def test_few_positions_are_one_tile_and_a_square_is_cut_into_squares() -> None:
    positions = raster(20, 20, 0.1)
    (one,) = geometry.split_tiles(positions, most_positions=400, halo_um=0.2)
    assert len(one.positions) == 400
    four = geometry.split_tiles(positions, most_positions=200, halo_um=0.25)
    assert len(four) == 4
    with pytest.raises(InputError, match="halo alone"):
        geometry.split_tiles(positions, most_positions=40, halo_um=0.8)


def test_a_tile_is_a_slice_of_the_scans_object() -> None:
    placed = geometry.positions_to_px(raster(20, 20, 0.1), 10.0, (32, 32))
    for tile in geometry.split_tiles(raster(20, 20, 0.1), most_positions=200, halo_um=0.25):
        positions, corner, shape = geometry.tile_window(placed, tile, (32, 32))
        np.testing.assert_allclose(positions + corner, placed.positions_px[tile.positions])
        assert positions.min() >= 0.0
        assert (np.ceil(positions).max(axis=0) + 32 <= shape).all()
        assert (np.array(corner) + shape <= placed.object_shape).all()


def test_of_several_tiles_that_one_counts_in_whose_core_a_position_lies() -> None:
    positions = raster(20, 30, 0.1)
    tiles = geometry.split_tiles(positions, most_positions=200, halo_um=0.25)
    assert len(tiles) > 3
    # Each tile says its number, twice.
    said = [np.full((len(tile.positions), 2), float(tile.index)) for tile in tiles]
    found = geometry.merged(tiles, positions, said)
    for tile in tiles:
        y0, y1, x0, x1 = tile.core_um
        own = ((positions >= [y0, x0]) & (positions <= [y1, x1])).all(axis=1)
        assert own.any()
        assert (found[own] == tile.index).all()


def test_where_the_own_tile_knows_nothing_the_nearest_other_counts_and_nan_where_none_does() -> None:
    positions = np.stack([np.zeros(7), np.arange(7.0)], axis=1)
    core = (0.0, 0.0)
    tiles = [
        geometry.Tile(0, np.array([0, 1, 2, 3, 4]), (*core, 0.0, 2.0)),
        geometry.Tile(1, np.array([1, 2, 3, 4, 5, 6]), (*core, 3.0, 4.0)),
        geometry.Tile(2, np.array([3, 4, 5, 6]), (*core, 5.0, 6.0)),
    ]
    said = [np.full((len(tile.positions), 2), float(tile.index)) for tile in tiles]
    assert geometry.merged(tiles, positions, said)[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    said[1][:] = np.nan
    # The middles of the others are at 1 and at 5.5: 3 is nearer to the first, 4 to the last.
    assert geometry.merged(tiles, positions, said)[:, 0].tolist() == [0, 0, 0, 0, 2, 2, 2]
    said[2][1:] = np.nan
    np.testing.assert_array_equal(geometry.merged(tiles, positions, said)[:, 1], [0, 0, 0, 0, 0, np.nan, np.nan])


def test_beams_closer_together_than_a_pixel_are_refused() -> None:
    grid = np.indices((8, 8)).reshape(2, -1).T.astype(float)
    geometry.refuse_close(0.6 * grid)
    geometry.refuse_close(np.repeat(5.0 * grid, 3, axis=0))  # three exposures of each place
    geometry.refuse_close(grid[:1])
    with pytest.raises(InputError, match="closer together"):
        geometry.refuse_close(0.01 * grid)
