"""Reading a region piece by piece into one array: half the memory, and no large buffers that come and go."""

import math

import numpy as np
from zarr.types import AnyArray

Region = tuple[slice | int, ...] | slice | int

PIECE_BYTES = 16e6
"""Uncompressed size of one piece. A stack of 105 MB takes 0.15 s of one core in pieces and up to 0.5 s as a whole."""


def bounds_of(region: Region | None, shape: tuple[int, ...]) -> list[slice] | None:
    """(start, stop) along every axis, or None for what is not plain slices and indices within the array."""
    given = () if region is None else region if isinstance(region, tuple) else (region,)
    if len(given) > len(shape):
        return None
    bounds = []
    for axis, n in enumerate(shape):
        part = given[axis] if axis < len(given) else slice(None)
        if isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(n)
            bounds.append(slice(start, max(start, stop)))
        elif isinstance(part, int | np.integer) and -n <= part < n:
            bounds.append(slice(int(part) % n, int(part) % n + 1))
        else:
            return None
    return bounds


def read_region(array: AnyArray, region: Region | None, piece_bytes: float = PIECE_BYTES) -> np.ndarray:
    """The elements of a region; pieces are cut along the axis with most chunks, at their borders."""
    bounds = bounds_of(region, array.shape)
    if bounds is None:
        return np.asarray(array[region])  # type: ignore[index]
    extents = [part.stop - part.start for part in bounds]
    n_bytes = math.prod(extents) * array.dtype.itemsize
    given = region if isinstance(region, tuple) else (region,)
    # Axes given by one index vanish, as they do in numpy.
    keep = tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in given)
    if n_bytes <= piece_bytes:
        return np.asarray(array[tuple(bounds)])[keep]
    axis = max(range(len(extents)), key=lambda axis: extents[axis] / array.chunks[axis])
    chunk, start, stop = array.chunks[axis], bounds[axis].start, bounds[axis].stop
    step = chunk * max(1, int(piece_bytes * extents[axis] / n_bytes / chunk))
    out = np.empty(extents, array.dtype)
    while start < stop:
        end = min(stop, (start // step + 1) * step)
        source, target = list(bounds), [slice(None)] * len(bounds)
        source[axis] = slice(start, end)
        target[axis] = slice(start - bounds[axis].start, end - bounds[axis].start)
        out[tuple(target)] = array[tuple(source)]
        start = end
    return out[keep]
