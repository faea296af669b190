"""Smaller versions of large images, each half as wide as the one before: what a viewer reads to show a whole one.

They lie beside an output's arrays, in ``levels.zarr/<array>/<level>``: one OME-Zarr 0.5 image for each array, whose
first resolution is level 1 (the array itself is level 0). Images of at most `LEAST_PX` have none.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore
from zarr.types import AnyArray

from storage.atomic import Json, replacing
from storage.chunking import codecs_of
from storage.layout import Layout
from storage.ome import VERSION, transformations_of
from storage.output import Output
from storage.reading import read_region
from storage.schema import ARRAYS, ArraySpec
from storage.shards import reading

FOLDER = "levels.zarr"
ACROSS = ("y", "x", "fine_y", "fine_x")
"""Axes that are halved"""
LEAST_PX = 1024
"""Wider or higher images have levels: a page shows smaller ones from the pixels themselves in time"""
COARSEST_PX = 256
"""The last level is not wider or higher"""
CHUNK_PX = 256
MOST_SHARD_PX = 2048
BLOCK_BYTES = 128e6
"""Of the pixels that are in memory for one shard of the next level"""


def halved(values: np.ndarray) -> np.ndarray:
    """An image (..., Y, X) of half the size; rows and columns that are left over at the end stand alone.

    Of numbers the mean of two by two, NaN left out. Of unsigned codes, such as mask classes, the least, which is the
    one that says most; of signed ones, such as labels, the largest.
    """
    if values.dtype.kind not in "fc":
        unsigned = values.dtype.kind == "u"
        limits = np.iinfo(values.dtype)
        first, *others = _quarters(values, limits.max if unsigned else limits.min)
        for other in others:
            first = np.minimum(first, other) if unsigned else np.maximum(first, other)
        return first
    total = np.zeros((*values.shape[:-2], *((n + 1) // 2 for n in values.shape[-2:])), values.dtype)
    n = np.zeros(total.shape, np.uint8)
    for quarter in _quarters(values, np.nan):
        known = np.isfinite(quarter)
        n += known
        np.add(total, quarter, out=total, where=known)
    with np.errstate(invalid="ignore"):
        # None of four known: 0 / 0 is NaN.
        return np.asarray(total / n).astype(values.dtype, copy=False)


def _quarters(values: np.ndarray, pad: float) -> list[np.ndarray]:
    """The four images (..., Y / 2, X / 2) of every second row and column, of an image padded to whole blocks."""
    ny, nx = values.shape[-2:]
    width = [(0, 0)] * (values.ndim - 2) + [(0, ny % 2), (0, nx % 2)]
    padded = np.pad(values, width, constant_values=pad) if ny % 2 or nx % 2 else values
    return [padded[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def n_levels(shape: tuple[int, ...]) -> int:
    """How many times an image (..., Y, X) is halved until it is at most `COARSEST_PX` wide and high."""
    return max(0, math.ceil(math.log2(max(1, *shape[-2:]) / COARSEST_PX)))


def write_levels(output: Output) -> tuple[str, ...]:
    """Leave the levels of every large image of an output, all of them or none; names of the arrays that have some.

    One block after another is read, halved and written, so that memory does not grow with the image.
    """
    large = {name: layout for name, layout in output.layouts().items() if _is_large(layout)}
    names = tuple(large)
    if not names or (output.path / FOLDER / "zarr.json").exists():
        return names
    coords = output.coordinates()
    with replacing(output.path / FOLDER) as partial:
        partial.mkdir()
        root = zarr.create_group(store=LocalStore(partial), zarr_format=3)
        for name, layout in large.items():
            group = root.create_group(name)
            finer = output.array(name)
            for level in range(1, n_levels(layout.shape) + 1):
                finer = _next_level(group, str(level), finer, layout.dims, ARRAYS.get(name))
            across = [dim for dim in layout.dims if dim in ACROSS and dim in coords]
            near = {dim: (_coarse(coords[dim][0]), coords[dim][1]) for dim in across}
            group.update_attributes({"ome": _multiscales(name, layout.dims, near, n_levels(layout.shape))})
    return names


def level_of(output: Output, name: str, level: int) -> AnyArray | None:
    """A level of an array, from 1 on; None where it was not left."""
    folder = output.path / FOLDER
    if not (folder / "zarr.json").is_file():
        return None
    store, path = reading(folder)
    try:
        found = zarr.open_array(store, path=f"{path}/{name}/{level}".lstrip("/"), mode="r", zarr_format=3)
    except (FileNotFoundError, KeyError, ValueError):
        return None
    return found


def _is_large(layout: Layout) -> bool:
    image = set(layout.dims[-2:]) <= set(ACROSS) and len(layout.dims) <= 3
    return image and layout.dtype.kind in "fciu" and max(layout.shape[-2:]) > LEAST_PX


def _next_level(
    group: zarr.Group, path: str, finer: AnyArray, dims: tuple[str, ...], spec: ArraySpec | None
) -> AnyArray:
    *lead, ny, nx = finer.shape
    shape = (*lead, (ny + 1) // 2, (nx + 1) // 2)
    planes = finer.chunks[:-2]
    side = _side(math.prod(planes) * finer.dtype.itemsize)
    codec = codecs_of(ARRAYS["optical_density"] if spec is None else spec, finer.dtype)
    array = group.create_array(
        path,
        shape=shape,
        dtype=finer.dtype,
        chunks=(*planes, CHUNK_PX, CHUNK_PX),
        shards=(*planes, side, side),
        compressors=[codec, Crc32cCodec()],
        fill_value=finer.fill_value,
        dimension_names=dims,
        config={"write_empty_chunks": True},
    )
    for region in _regions(shape, (*planes, side, side)):
        below = (*region[:-2], *(slice(2 * part.start, min(2 * part.stop, n)) for part, n in
                                 zip(region[-2:], (ny, nx), strict=True)))  # fmt: skip
        array[region] = halved(read_region(finer, below))
    return array


def _side(bytes_per_pixel: int) -> int:
    """Side of a shard, a multiple of a chunk's, whose pixels of the finer level fit into memory."""
    wanted = math.sqrt(BLOCK_BYTES / bytes_per_pixel) / 2
    return CHUNK_PX * max(1, min(MOST_SHARD_PX, int(wanted)) // CHUNK_PX)


def _regions(shape: tuple[int, ...], shards: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    for index in np.ndindex(*(math.ceil(n / s) for n, s in zip(shape, shards, strict=True))):
        yield tuple(slice(i * s, min((i + 1) * s, n)) for i, s, n in zip(index, shards, shape, strict=True))


def _coarse(axis: np.ndarray) -> np.ndarray:
    """Centres of pairs of pixels of an axis."""
    n = len(axis)
    step = float(axis[-1] - axis[0]) / max(1, n - 1)
    return np.asarray(axis[0] + step * (0.5 + 2.0 * np.arange((n + 1) // 2)))


def _multiscales(
    name: str, dims: tuple[str, ...], coords: Mapping[str, tuple[object, str]], levels: int
) -> dict[str, Json]:
    """OME-Zarr 0.5 metadata of levels 1 and coarser: each is twice as coarse, and begins half a pixel further in."""
    first = transformations_of(dims, coords)
    datasets: list[Json] = []
    for level in range(levels):
        factor = [2.0**level if dim in ACROSS else 1.0 for dim in dims]
        scale: list[Json] = [s * f for s, f in zip(first.scale, factor, strict=True)]
        start: list[Json] = [
            t + 0.5 * s * (f - 1.0) for t, s, f in zip(first.translation, first.scale, factor, strict=True)
        ]
        transformations: list[Json] = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": start},
        ]
        datasets.append({"path": str(level + 1), "coordinateTransformations": transformations})
    return {"version": VERSION, "multiscales": [{"name": name, "axes": first.axes, "datasets": datasets}]}
