"""Shards tile an array exactly, whatever its size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.chunking import chunks_within, grid_of, shard_indices, shard_plan, shard_region
from storage.errors import StoreError

SHAPES = st.lists(st.sampled_from([1, 2, 3, 7, 13, 31, 101, 256, 1009]), min_size=1, max_size=4).map(tuple)


@settings(deadline=None)
@given(SHAPES, st.sampled_from(["uint8", "float32", "complex64"]), st.integers(9, 20), st.integers(0, 6), st.data())
def test_plan_keeps_its_limits(
    shape: tuple[int, ...], dtype: str, log_chunk: int, more: int, data: st.DataObject
) -> None:
    whole = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    chunk_bytes, target_bytes = 2**log_chunk, 2 ** (log_chunk + more)
    chunks, shards = shard_plan(shape, dtype, target_bytes=target_bytes, chunk_bytes=chunk_bytes, whole=sorted(whole))
    item = np.dtype(dtype).itemsize
    assert all(shard % chunk == 0 for chunk, shard in zip(chunks, shards, strict=True))
    assert item * math.prod(chunks) <= target_bytes
    assert item * math.prod(shards) <= target_bytes
    if not whole:
        assert item * math.prod(chunks) <= chunk_bytes
    if item * math.prod(shape[axis] for axis in whole) <= target_bytes:
        assert all(chunks[axis] == shape[axis] for axis in whole)


@settings(deadline=None)
@given(SHAPES, st.data())
def test_shards_tile_the_array_once(shape: tuple[int, ...], data: st.DataObject) -> None:
    shape = tuple(min(n, 31) for n in shape)
    shards = tuple(data.draw(st.integers(max(1, n // 4), n + 2)) for n in shape)
    times = np.zeros(shape, int)
    for index in shard_indices(shape, shards):
        times[shard_region(shape, shards, index)] += 1
    assert (times == 1).all()
    assert math.prod(grid_of(shape, shards)) == len(list(shard_indices(shape, shards)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=3))
def test_chunks_chosen_within_a_shard_divide_it(pairs: list[tuple[int, int]]) -> None:
    shape, shards = zip(*pairs, strict=True)
    chunks = chunks_within(shape, "float32", shards)
    assert all(shard % chunk == 0 and chunk >= 1 for chunk, shard in zip(chunks, shards, strict=True))


def test_a_stack_of_a_hundred_energies_is_one_shard_read_in_slabs_of_rows() -> None:
    chunks, shards = shard_plan((100, 512, 512), "float32", whole=(0,))
    assert shards == (100, 512, 512)
    assert chunks == (100, 8, 512)


def test_frames_of_a_large_scan_are_few_files_of_limited_size() -> None:
    shape = (40, 2000, 256, 256)
    chunks, shards = shard_plan(shape, "uint16", whole=(2, 3))
    assert chunks[2:] == shards[2:] == (256, 256)
    assert math.prod(grid_of(shape, shards)) <= 40 * 3
    assert 2 * math.prod(shards) <= 128e6


@pytest.mark.parametrize("index", [(-1, 0), (0, 3), (4, 0), (0,), (0, 0, 0)])
def test_a_shard_outside_the_grid_is_refused(index: tuple[int, ...]) -> None:
    with pytest.raises(StoreError, match="no such shard"):
        shard_region((13, 7), (4, 3), index)
