"""A region read in pieces is what numpy gives for it."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.reading import bounds_of, read_region

SHAPE = (11, 13, 7)
TRUTH = np.random.default_rng(0).random(SHAPE, np.float32)


def indices(n: int) -> st.SearchStrategy:
    """An index, or a slice that may lie partly or wholly outside, or be empty."""
    border = st.none() | st.integers(-n - 2, n + 2)
    return st.integers(-n, n - 1) | st.builds(slice, border, border)


@pytest.fixture(scope="module")
def array() -> zarr.Array:
    found = zarr.create_array(store={}, shape=SHAPE, dtype="float32", chunks=(11, 2, 3), shards=(11, 4, 6))
    found[:] = TRUTH
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3).flatmap(lambda n: st.tuples(*(indices(size) for size in SHAPE[:n]))),
    st.sampled_from([1, 99, 1e9]),
)
def test_pieces_of_any_size_give_what_numpy_gives(array: zarr.Array, region: tuple, piece_bytes: float) -> None:
    found = read_region(array, region, piece_bytes)
    np.testing.assert_array_equal(found, TRUTH[region])
    assert found.shape == TRUTH[region].shape


@pytest.mark.parametrize(
    "region", [None, 3, slice(2, 5), np.int64(-1), (slice(None, None, 2), 1), (slice(0, 4), np.int64(2))]
)
def test_other_ways_to_say_a_region(array: zarr.Array, region: object) -> None:
    expected = TRUTH if region is None else TRUTH[region]
    np.testing.assert_array_equal(read_region(array, region, 99), expected)


def test_what_lies_outside_is_left_to_zarr_to_refuse(array: zarr.Array) -> None:
    assert bounds_of(11, SHAPE) is None
    with pytest.raises(IndexError):
        read_region(array, (11, 0, 0))
