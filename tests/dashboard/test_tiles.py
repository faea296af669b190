"""Tiles: levels that keep means, orientation, and numbers that are not known and never look like one that is."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from storage.levels import n_levels
from stxmdist.arrays import MaskClass
from stxmdist.dashboard.tiles import (
    CLASS_COLOURS,
    EMPTY,
    HATCHED,
    MASKED,
    N_COLOURS,
    TILE_PX,
    indices_of,
    outlines_of,
    palette_of,
    png,
    tile_region,
)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 4))
def test_tiles_of_a_level_cover_its_image_once(ny: int, nx: int, level: int) -> None:
    shape = (-(-ny // 2**level), -(-nx // 2**level))
    seen = np.zeros(shape, np.uint8)
    for row in range(-1, shape[0] // TILE_PX + 2):
        for column in range(-1, shape[1] // TILE_PX + 2):
            region = tile_region((ny, nx), level, row, column)
            if region is not None:
                seen[region] += 1
    assert (seen == 1).all()


@given(st.integers(1, 20000), st.integers(1, 20000))
def test_the_coarsest_level_is_one_tile(ny: int, nx: int) -> None:
    level = n_levels((ny, nx))
    assert tile_region((ny, nx), level, 0, 1) is None
    assert tile_region((ny, nx), level, 1, 0) is None
    assert level == 0 or max(ny, nx) > TILE_PX * 2 ** (level - 1)


def test_what_is_not_known_never_has_the_colour_of_a_number() -> None:
    values = np.full((40, 40), np.nan)
    values[:20] = np.linspace(-5, 5, 20 * 40).reshape(20, 40)
    found = indices_of(values, 0.0, 1.0)
    assert set(np.unique(found[20:])) == {MASKED, HATCHED}
    assert found[:20].max() == N_COLOURS - 1
    assert (indices_of(values, 0.0, 1.0, np.ones_like(values, bool)) == EMPTY).all()
    for name in ("viridis", "cividis", "grey", "signed"):
        colours = palette_of(name)
        assert len(colours) == 256
        assert not {colours[MASKED], colours[HATCHED]} & set(colours[:N_COLOURS])


def test_colours_follow_the_numbers() -> None:
    values = np.linspace(-1, 3, 500)[None]
    places = indices_of(values, 0.0, 2.0)[0].astype(int)
    assert (np.diff(places) >= 0).all()
    assert places[values[0] <= 0].max() == 0
    assert places[values[0] >= 2].min() == N_COLOURS - 1
    # A scale without an extent still tells below from above.
    np.testing.assert_array_equal(indices_of(np.array([[0.0, 2.0]]), 1.0, 1.0), [[0, N_COLOURS - 1]])


@pytest.mark.parametrize("upward", [True, False])
@pytest.mark.parametrize("rightward", [True, False])
def test_up_on_the_sample_is_up_on_the_page(upward: bool, rightward: bool) -> None:
    indices = np.array([[0, 50], [100, 200]], np.uint8)
    image = np.asarray(Image.open(io.BytesIO(png(indices, "grey", upward=upward, rightward=rightward))).convert("P"))
    read = Image.open(io.BytesIO(png(indices, "grey", upward=upward, rightward=rightward)))
    assert read.mode == "P"
    image = np.asarray(read)
    top_left = indices[-1 if upward else 0, 0 if rightward else -1]
    assert image[0, 0] == top_left


def test_what_is_left_open_is_transparent() -> None:
    image = Image.open(io.BytesIO(png(np.array([[0, EMPTY]], np.uint8), "viridis", upward=True, rightward=True)))
    assert [pixel[3] for pixel in image.convert("RGBA").get_flattened_data()] == [255, 0]


def test_outlines_lie_inside_particles_and_part_neighbours() -> None:
    labels = np.zeros((9, 12), np.int32)
    labels[2:7, 1:6], labels[2:7, 6:11] = 1, 2
    drawn = outlines_of(labels) == 0
    assert not drawn[labels == 0].any()
    assert drawn[4, 5]
    assert drawn[4, 6]
    assert not drawn[4, 3]


def test_every_mask_class_has_a_colour_of_its_own() -> None:
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS) == len(MaskClass)
