"""Maps keep what is known, show what is not, and carry a scale bar."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from stxmdist.report.canvas import as_pdf, as_png, as_svg, drawing
from stxmdist.report.maps import Map, block_px, coarse_axis, coarsened, draw_map, limits_of, nice_length

FLOAT32 = 1e-6
"""A few roundings of single precision."""


@pytest.mark.parametrize("longest", [3, 5, 7, 100])
@pytest.mark.parametrize("shape", [(13, 17), (1, 11), (23, 3)])
def test_coarse_images_are_means_of_blocks(shape: tuple[int, int], longest: int) -> None:
    values = np.random.default_rng(1).random(shape).astype(np.float32)
    values[0, 0] = np.nan
    small = coarsened(values, longest)
    assert max(small.shape) <= longest
    step_y, step_x = block_px(shape, longest)
    for i, j in np.ndindex(small.shape):
        block = values[i * step_y : (i + 1) * step_y, j * step_x : (j + 1) * step_x]
        expected = np.nanmean(block) if np.isfinite(block).any() else np.nan
        np.testing.assert_allclose(small[i, j], expected, rtol=FLOAT32)
    centres = coarse_axis(np.arange(shape[1], dtype=float), step_x)
    np.testing.assert_allclose(centres, step_x * np.arange(small.shape[1]) + 0.5 * (step_x - 1))


def test_a_block_of_nothing_stays_nothing() -> None:
    values = np.zeros((4, 4))
    values[:2, :2] = np.nan
    small = coarsened(values, 2)
    assert np.isnan(small[0, 0])
    assert (small.ravel()[1:] == 0).all()


@pytest.mark.parametrize(("width", "length"), [(3.0, 1.0), (8.0, 2.0), (15.1, 5.0), (0.31, 0.1), (40.0, 10.0)])
def test_scale_bars_have_round_lengths(width: float, length: float) -> None:
    assert nice_length(width) == pytest.approx(length)


def test_the_bar_is_as_long_as_it_says_whichever_way_the_axes_run() -> None:
    y = np.linspace(5.0, 1.0, 9)
    image = Map(np.random.default_rng(0).random((9, 11)), y, np.linspace(0.0, 5.0, 11))
    axes = Figure().subplots()
    draw_map(axes, image, cmap="gray", low=0, high=1, bar_um=1.0)
    assert axes.patches[0].get_width() == 1.0
    assert axes.texts[0].get_text() == "1 µm"
    bottom, top = axes.get_ylim()
    assert bottom < top
    # The first row has the largest y: it must lie on top.
    left, right, first, last = axes.images[0].get_extent()
    assert first > last
    assert left < right


def test_masked_pixels_are_hatched_and_not_drawn_as_numbers() -> None:
    values = np.full((8, 8), 0.5)
    masked = np.zeros((8, 8), bool)
    masked[2:6, 2:6] = True
    values[masked] = np.nan
    axes = Figure().subplots()
    draw_map(axes, Map(values, np.arange(8.0), np.arange(8.0), masked), cmap="gray", low=0, high=1, bar_um=1.0)
    assert any(c.hatches == ["////"] for c in axes.collections if hasattr(c, "hatches"))
    assert np.ma.getmaskarray(axes.images[0].get_array())[3, 3]


def test_limits_are_shared_and_never_empty() -> None:
    y = np.arange(3.0)
    images = [Map(np.full((3, 3), value), y, y) for value in (1.0, 5.0, np.nan)]
    assert limits_of(images) == (1.0, 5.0)
    low, high = limits_of(images[:1])
    assert low < 1.0 < high
    assert limits_of(images[2:]) == (0.0, 1.0)


@pytest.mark.parametrize("save", [as_svg, as_pdf, as_png])
def test_pictures_are_the_same_every_time_and_carry_no_date(save: object) -> None:
    def once() -> bytes:
        with drawing():
            figure = Figure()
            axes = figure.subplots()
            axes.bar([0, 1], [1, 2], hatch="//", label="a")
            axes.legend()
            return save(figure)  # type: ignore[operator, no-any-return]

    first = once()
    assert once() == first
    assert b"<dc:date>" not in first
    assert b"tIME" not in first
    assert b"CreationDate" not in first


def test_drawing_leaves_the_settings_of_others_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with drawing():
        assert matplotlib.rcParams["svg.hashsalt"] == "stxmdist"
    assert dict(matplotlib.rcParams) == before
