"""How big a shard (one file, one writer) and a chunk (what one read decodes) are, and how they are packed."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from zarr.codecs import BloscCodec

from storage.errors import StoreError
from storage.schema import ArraySpec

Shape = tuple[int, ...]

SHARD_BYTES = 128e6
"""Uncompressed. Large enough that a campaign has few files, small enough to stand in a worker's memory."""

CHUNK_BYTES = 2e6
"""Uncompressed. Reading a stack of 105 MB takes the same time from 0.8 to 6.5 MB; smaller ones waste less on a slab."""


def shard_plan(
    shape: Sequence[int],
    dtype: object,
    *,
    target_bytes: float = SHARD_BYTES,
    chunk_bytes: float = CHUNK_BYTES,
    whole: Sequence[int] = (),
) -> tuple[Shape, Shape]:
    """(chunks, shards) for an array: a chunk is cut along its leading axes, a shard is as many chunks as fit a target.

    ``whole`` are axes that a chunk always spans; they are cut only when a chunk would still exceed ``target_bytes``.
    Shards are multiples of chunks along every axis and reach over the array's end where they must.
    """
    item = np.dtype(dtype).itemsize  # type: ignore[call-overload]
    full = [max(1, int(n)) for n in shape]
    chunks = list(full)
    cuttable = [axis for axis in range(len(full)) if axis not in whole]
    for axes, limit in ((cuttable, chunk_bytes), (list(range(len(full))), target_bytes)):
        for axis in axes:
            excess = item * math.prod(chunks) / limit
            if excess > 1:
                chunks[axis] = _even_part(chunks[axis], max(1, int(chunks[axis] / excess)))
    shards = list(chunks)
    for axis in reversed(range(len(full))):
        room = target_bytes / (item * math.prod(shards))
        n_chunks = math.ceil(full[axis] / chunks[axis])
        n_shards = math.ceil(n_chunks / max(1, min(n_chunks, int(room))))
        shards[axis] = chunks[axis] * math.ceil(n_chunks / n_shards)
        if n_shards > 1:
            break
    return tuple(chunks), tuple(shards)


def _even_part(extent: int, most: int) -> int:
    """A part of at most ``most``: one that divides the extent if it need not be half as large, else even parts."""
    for part in range(most, most // 2, -1):
        if extent % part == 0:
            return part
    return math.ceil(extent / math.ceil(extent / most))


def chunks_within(shape: Sequence[int], dtype: object, shards: Sequence[int], *, whole: Sequence[int] = ()) -> Shape:
    """A chunk shape that divides a given shard shape: what one read decodes where a unit dictates what one write is."""
    wanted, _ = shard_plan([min(s, max(1, n)) for s, n in zip(shards, shape, strict=True)], dtype, whole=whole)
    return tuple(
        next(part for part in range(min(want, shard), 0, -1) if shard % part == 0)
        for want, shard in zip(wanted, shards, strict=True)
    )


def grid_of(shape: Sequence[int], shards: Sequence[int]) -> Shape:
    """Number of shards along each axis."""
    return tuple(math.ceil(n / s) for n, s in zip(shape, shards, strict=True))


def shard_indices(shape: Sequence[int], shards: Sequence[int]) -> Iterator[Shape]:
    """Every shard index, in C order."""
    return product(*(range(n) for n in grid_of(shape, shards)))


def shard_region(shape: Sequence[int], shards: Sequence[int], index: Sequence[int]) -> tuple[slice, ...]:
    """Which elements a shard holds, clipped at the array's end.

    Raises
    ------
    StoreError
        for an index outside the grid.
    """
    grid = grid_of(shape, shards)
    if len(index) != len(grid) or any(not 0 <= i < n for i, n in zip(index, grid, strict=True)):
        raise StoreError(
            where="shard index",
            problem="there is no such shard",
            got=tuple(index),
            wanted=f"one index along each axis, below {grid}",
            mend="Take the indices from storage.chunking.shard_indices",
        )
    return tuple(slice(i * s, min((i + 1) * s, n)) for i, s, n in zip(index, shards, shape, strict=True))


def codecs_of(spec: ArraySpec, dtype: np.dtype) -> BloscCodec:
    """How the bytes of a chunk are packed.

    Bit-shuffle gathers the bits that hardly change. On a noisy float32 stack of 105 MB lz4 packs 1.3 GB/s and unpacks
    2.6 GB/s on one core, zstd 0.4 and 1.2 GB/s for the same ratio (1.4); on Poisson frames 1.1 and 1.3 against 0.5 and
    0.8 GB/s, ratio 4.6 against 5.6. Labels and masks are small, and zstd makes them three times smaller than lz4.
    """
    if spec.codec == "small":
        return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=dtype.itemsize)
    return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=dtype.itemsize)
