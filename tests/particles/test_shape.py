"""Sizes and shapes against closed forms."""

import numpy as np
import pytest

from stxmdist.particles.shape import SHAPE_COLUMNS, shape_table


def axes(shape: tuple[int, int], pitch: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    return 3.0 + pitch * np.arange(shape[0]), -7.0 + pitch * np.arange(shape[1])


def test_a_rectangle_is_exact() -> None:
    labels = np.zeros((31, 41), np.int32)
    labels[4:11, 5:26] = 1
    y, x = axes(labels.shape)
    (row,) = shape_table(labels, y, x).to_dict("records")
    assert tuple(row) == SHAPE_COLUMNS
    assert (row["y_um"], row["x_um"]) == pytest.approx((y[7], x[15]))
    assert row["area_um2"] == pytest.approx(7 * 21 * 0.05**2)
    assert row["d_eq_um"] == pytest.approx(2 * np.sqrt(row["area_um2"] / np.pi))
    assert row["aspect"] == pytest.approx(3.0)
    assert row["solidity"] == pytest.approx(1.0)
    assert not row["touches_border"]


def test_a_tilted_ellipse_has_its_aspect_and_a_cross_its_solidity() -> None:
    y, x = np.indices((101, 103))
    u, v = (y - 50) * 0.8 + (x - 51) * 0.6, (x - 51) * 0.8 - (y - 50) * 0.6
    labels = ((u / 30) ** 2 + (v / 12) ** 2 < 1).astype(np.int32)
    (row,) = shape_table(labels, *axes(labels.shape)).to_dict("records")
    assert row["aspect"] == pytest.approx(2.5, rel=0.01)
    assert row["solidity"] > 0.95
    cross = np.zeros((50, 50), np.int32)
    cross[10:40, 20:30] = cross[20:30, 10:40] = 1
    (row,) = shape_table(cross, *axes(cross.shape)).to_dict("records")
    assert row["solidity"] == pytest.approx(500 / 700)


def test_single_pixels_rows_and_the_border() -> None:
    labels = np.zeros((7, 11), np.int32)
    labels[3, 3] = 1
    labels[0, 5:9] = 2
    labels[5, 5:8] = 3
    known = np.ones(labels.shape, bool)
    known[6, 6] = False
    table = shape_table(labels, *axes(labels.shape), known)
    assert table["n_pixels"].tolist() == [1, 4, 3]
    assert table["aspect"].tolist() == pytest.approx([1.0, 4.0, 3.0])
    assert table["touches_border"].tolist() == [False, True, True]


def test_labels_may_have_gaps_and_nothing_is_an_empty_table() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[2:4, 2:4] = 5
    labels[6:8, 6:8] = 2
    labels[0, 0] = -1
    table = shape_table(labels, *axes(labels.shape))
    assert table["particle_id"].tolist() == [2, 5]
    assert not table["touches_border"].any()
    empty = shape_table(np.zeros((5, 5), np.int32), *axes((5, 5)))
    assert list(empty.columns) == list(SHAPE_COLUMNS)
    assert len(empty) == 0
