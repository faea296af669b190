"""Tiles with planted gauges, a reconstruction in tiles beside the whole, and images on another grid."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.ptychography import gauge, geometry, stitch
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.reconstruct import Step
from tests.ptychography.conftest import run

SHAPE = (150, 170)


def whole_object(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    absorption, phase = (gaussian_filter(rng.normal(size=SHAPE), 3.0) for _ in range(2))
    return np.exp(-0.1 * (absorption / absorption.std()) ** 2 - 0.5j * phase / phase.std())


def cut(image: np.ndarray, gauges: list[gauge.Gauge], noise: float = 0.0) -> list[stitch.TileImage]:
    rng = np.random.default_rng(9)
    tiles = []
    for number, (row, column) in enumerate([(0, 0), (0, 80), (70, 0), (65, 75)]):
        shape = (80, 90) if number < 3 else (85, 95)
        piece = image[row : row + shape[0], column : column + shape[1]] * gauges[number].factor(shape, (row, column))
        piece = piece + noise * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
        edge = np.minimum.outer(np.minimum(np.arange(shape[0]), np.arange(shape[0])[::-1]),
                                np.minimum(np.arange(shape[1]), np.arange(shape[1])[::-1]))  # fmt: skip
        tiles.append(
            stitch.TileImage(
                piece.astype(np.complex64), (1000 * np.minimum(edge / 6.0, 1.0)).astype(np.float32), (row, column)
            )
        )
    return tiles


PLANTED = [
    gauge.Gauge(0.02, 0.0, (0.0, 0.0)),
    gauge.Gauge(-0.05, 2.5, (0.03, -0.05)),
    gauge.Gauge(0.0, -3.0, (-0.08, 0.01)),
    gauge.Gauge(0.1, 1.0, (0.02, 0.12)),
]


def same_up_to_gauge(found: np.ndarray, truth: np.ndarray) -> float:
    known = np.isfinite(found)
    return float(np.abs(gauge.remove_ramp(found, truth, known.astype(float)) - truth)[known].max())


def test_planted_offsets_ramps_and_scales_are_solved() -> None:
    image = whole_object()
    tiles = cut(image, PLANTED)
    solved = stitch.solve_gauge(tiles)
    object_, weight = stitch.blend(tiles, solved, SHAPE)
    assert same_up_to_gauge(object_, image) < 1e-3
    np.testing.assert_array_equal(np.isnan(object_), weight == 0)
    assert 0.8 < (weight > 0).mean() < 1.0
    assert {s.component for s in solved} == {0}
    assert max(s.residual_rad for s in solved) < 1e-3
    # what is common to all tiles is not determined, and made zero
    assert np.mean([s.gauge.log_amplitude for s in solved]) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(np.mean([s.gauge.ramp_rad_per_px for s in solved], axis=0), 0.0, atol=1e-9)


def test_noise_leaves_no_seam() -> None:
    image, noise = whole_object(), 0.05
    tiles = cut(image, PLANTED, noise)
    object_, _ = stitch.blend(tiles, stitch.solve_gauge(tiles), SHAPE)
    known = np.isfinite(object_)
    difference = gauge.remove_ramp(object_, image, known.astype(float)) - image
    # Seams would be steps between tiles: means over the tiles' middles agree to the noise of means.
    middles = [difference[y : y + 40, x : x + 50] for y in (20, 90) for x in (20, 100)]
    np.testing.assert_allclose([m.mean() for m in middles], 0.0, atol=0.006)


def test_the_order_of_tiles_does_not_matter() -> None:
    tiles = cut(whole_object(), PLANTED, 0.02)
    one = stitch.blend(tiles, stitch.solve_gauge(tiles), SHAPE)[0]
    other = stitch.blend(tiles[::-1], stitch.solve_gauge(tiles[::-1]), SHAPE)[0]
    np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_tile_apart_is_a_component_of_its_own_and_holes_stay_holes() -> None:
    tiles = cut(whole_object(), PLANTED)
    far = replace(tiles[3], object_=tiles[3].object_[20:, 20:], weight=tiles[3].weight[20:, 20:], corner_px=(85, 95))
    solved = stitch.solve_gauge([tiles[0], far])
    assert [s.component for s in solved] == [0, 1]
    assert all(np.isnan(s.residual_rad) for s in solved)
    object_, weight = stitch.blend(tiles[:1], stitch.solve_gauge(tiles[:1]), SHAPE)
    assert np.isnan(object_[100:, 100:]).all()
    assert not weight[100:, 100:].any()


def test_nan_in_a_tile_is_taken_from_its_neighbour() -> None:
    image = whole_object()
    tiles = cut(image, PLANTED)
    spoiled = tiles[0].object_.copy()
    spoiled[20:40, 82:90] = np.nan  # in the overlap with tile 1
    spoiled[20:40, 20:30] = np.nan  # tile 0 alone
    tiles[0] = replace(tiles[0], object_=spoiled)
    object_, _ = stitch.blend(tiles, stitch.solve_gauge(tiles), SHAPE)
    assert np.isfinite(object_[22:38, 86:88]).all()
    assert np.isnan(object_[20:40, 20:30]).all()
    assert same_up_to_gauge(object_, image) < 1e-3


def test_tiles_reconstructed_apart_are_the_whole(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e6, side=16, step=4.0, whole=False, n=32)
    problem = measured.problem
    schedule = Step("epie", 40)
    placed = geometry.Placement(problem.positions_px, problem.object_shape, (0.0, 0.0), (10.0, 10.0))
    cuts = geometry.split_tiles(problem.positions_px * 0.01, most_positions=150, halo_um=0.13)
    assert len(cuts) == 4
    whole = run(problem, schedule)
    tiles = []
    for tile in cuts:
        positions, corner, shape = geometry.tile_window(placed, tile, (32, 32))
        part = replace(problem.subset(tile.positions), positions_px=positions, object_shape=shape)
        found = run(part, schedule, seed=tile.index + 1)
        tiles.append(stitch.TileImage(found.object_, found.illumination, corner))
    object_, _ = stitch.blend(tiles, stitch.solve_gauge(tiles), problem.object_shape)
    lit = np.isfinite(object_) & (whole.illumination > 0.5 * np.median(whole.illumination[whole.illumination > 0]))
    same = gauge.remove_ramp(object_, whole.object_, lit.astype(float))
    apart = np.sqrt(np.mean(np.abs(same - whole.object_)[lit] ** 2))
    assert apart < 1.5 * measured.object_error(whole)
    assert apart < 0.05


def test_another_grid_and_back() -> None:
    truth = whole_object().astype(np.complex64)
    origin, pixel = (1.0, -2.0), (10.0, 11.0)
    fine = Grid((1.0, -2.0), (9.3, 9.3), (160, 200))
    there = stitch.to_grid(truth, pixel, origin, fine)
    back = stitch.to_grid(there, fine.pixel_nm, fine.origin_um, Grid(origin, pixel, SHAPE))
    known = np.isfinite(back)
    known[:6] = known[-6:] = False
    known[:, :6] = known[:, -6:] = False
    assert known.mean() > 0.8
    assert np.abs(back - truth)[known].max() < 0.005
    assert there.dtype == np.complex64


def test_a_grid_of_another_energy_is_accurate_for_what_a_zone_plate_resolves() -> None:
    # A sine of 4 pixels' period, twice finer than the half-bit limit of a good reconstruction.
    pixel_a, pixel_b = 12.0, 11.6
    x = np.arange(200) * pixel_a
    wave = np.exp(0.3j * np.sin(2 * np.pi * x / (4 * pixel_a)))[None, :] * np.ones((40, 1))
    grid = Grid((0.0, 0.0), (pixel_b, pixel_b), (38, 190))
    found = stitch.to_grid(wave.astype(np.complex64), (pixel_a, pixel_a), (0.0, 0.0), grid)
    exact = np.exp(0.3j * np.sin(2 * np.pi * np.arange(190) * pixel_b / (4 * pixel_a)))[None, :]
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(found - exact)[inner].max() < 0.005


def test_real_images_masks_and_borders_on_another_grid() -> None:
    image = np.add.outer(np.arange(30.0), 2 * np.arange(40.0)).astype(np.float32)
    image[10, 10] = np.nan
    grid = Grid((-0.02, 0.0), (10.0, 10.0), (30, 40))
    found = stitch.to_grid(image, (10.0, 10.0), (0.0, 0.0), grid)
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[20:, :], image[18:28, :], atol=1e-3)
    assert np.isnan(found[12, 10])
    assert np.isfinite(found[16, 10])
    assert np.isnan(stitch.to_grid(np.full((5, 5), np.nan), (1.0, 1.0), (0.0, 0.0), grid)).all()


def test_a_half_takes_the_gauge_and_the_weight_of_the_whole() -> None:
    rng = np.random.default_rng(5)
    object_ = np.exp(0.1 * rng.normal(size=(40, 44)) + 0.2j * rng.normal(size=(40, 44))).astype(np.complex64)
    whole = stitch.TileImage(object_, np.full((40, 44), 50.0, np.float32), (3, 7), stitch.trust_of("poor"))
    drifted = object_ / gauge.Gauge(0.3, 0.5, (0.02, -0.03)).factor((40, 44))
    half = stitch.TileImage(drifted.astype(np.complex64), np.full((40, 44), 25.0, np.float32), (3, 7))
    found = stitch.half_in_gauge(half, whole)
    np.testing.assert_allclose(found.object_, object_, atol=1e-4)
    assert found.weight is whole.weight
    assert (found.corner_px, found.trust) == ((3, 7), stitch.POOR_WEIGHT)


def test_failed_and_good_tiles_have_their_full_weight() -> None:
    assert stitch.trust_of("good") == 1.0
    assert stitch.trust_of("poor") == stitch.POOR_WEIGHT < 1.0
