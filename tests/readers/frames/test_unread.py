"""Pixels of single frames that hold no number or are saturated are told from those that count, and kept so."""

import numpy as np
import pytest

from stxmdist.readers.frames.unread import found_ceiling, known_readings, mark, marked, unread

ALL = np.ones((20, 20), bool)


def test_numbers_that_are_none_are_unread() -> None:
    real = np.array([[1.0, np.nan, np.inf]], np.float32)
    assert unread(real).tolist() == [[False, True, True]]
    for dtype in (np.uint32, np.int32, np.uint64):
        assert unread(np.array([0, np.iinfo(dtype).max], dtype)).tolist() == [False, True]
    # Sixteen bits are few enough for light to fill them.
    assert not unread(np.array([65535], np.uint16)).any()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("ceiling", [300, 4095])
def test_a_ceiling_is_where_readings_pile_up(ceiling: int, dtype: type) -> None:
    counts = np.random.default_rng(0).poisson(ceiling * np.linspace(0.2, 1.5, 400).reshape(20, 20), (12, 20, 20))
    assert found_ceiling(np.minimum(counts, ceiling).astype(dtype), ALL) == ceiling
    assert found_ceiling(counts.astype(dtype), ALL) is None
    good = counts.max(axis=0) < 0.9 * ceiling
    assert found_ceiling(np.minimum(counts, ceiling).astype(dtype), good) is None


@pytest.mark.parametrize("mean", [0.01, 1.0, 20.0, 300.0])
def test_chance_is_no_ceiling(mean: float) -> None:
    counts = np.random.default_rng(1).poisson(mean, (32, 20, 20)).astype(np.uint16)
    counts[:, 3, 3] = counts.max() + 500
    assert found_ceiling(counts, ALL) is None


def test_the_largest_number_of_few_bits_is_a_ceiling() -> None:
    counts = np.full((2, 20, 20), 7, np.uint16)
    counts[1, 4, 4] = 65535
    assert found_ceiling(counts, ALL) == 65535
    assert found_ceiling(counts[:0], ALL) is None


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float32])
def test_what_was_lost_is_known_again(dtype: type) -> None:
    frames = np.arange(400, dtype=dtype).reshape(1, 20, 20)
    lost = np.zeros((1, 20, 20), bool)
    lost[0, 3, 4] = True
    kept = marked(frames.copy(), lost)
    assert kept.dtype == dtype
    values, limits = known_readings(kept, np.nan)
    np.testing.assert_array_equal(limits, lost)
    np.testing.assert_array_equal(values, np.where(lost, 0, frames))
    values, limits = known_readings(kept, 390.0)
    np.testing.assert_array_equal(limits, lost | (frames >= 390))
    assert values.max() == 399


def test_a_detector_that_fills_its_type_is_saturated_there() -> None:
    full = np.array([[[65535, 4]]], np.uint16)
    values, limits = known_readings(full, mark(full.dtype))
    assert (values.tolist(), limits.tolist()) == ([[[65535, 4]]], [[[True, False]]])
