"""What an output will hold: shape, chunks and shards of each array, coordinates, and the group on disk made from it."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from storage.atomic import plain_json
from storage.chunking import Shape, chunks_within, codecs_of, shard_indices, shard_plan, shard_region
from storage.digests import digest_of
from storage.errors import StoreError
from storage.folder import write_files
from storage.ome import is_image, ome_zarr_metadata
from storage.schema import ARRAYS, COORDINATES, ArraySpec, array_spec

Coordinates = dict[str, tuple[np.ndarray, str]]
"""Axis -> (values, unit)."""

LABELS = "labels"
"""Attribute of a coordinate whose values are words."""


@dataclass(frozen=True, eq=False)
class ArrayPlan:
    """One array of an output, before it exists. What is left out is taken from the schema."""

    name: str
    """Of storage.schema.ARRAYS, or of ``spec``."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None = None
    """What one read decodes; must divide the shard."""
    shards: tuple[int, ...] | None = None
    """What one unit writes, in one file."""
    coords: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    """Axis -> (values, unit)."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Kept with the array; JSON-able. ``units`` overrides the schema's unit."""
    dtype: str | None = None
    """Needed only where the schema admits several."""
    spec: ArraySpec | None = None
    """What the array is, where the schema does not declare it: who brings the array brings its declaration"""

    def declaration(self) -> ArraySpec:
        """What the array is: its axes, type, unit and meaning.

        Raises
        ------
        StoreError
            when the schema does not know the array and the plan does not declare it, or both declare it.
        """
        if self.spec is None:
            return array_spec(self.name)
        if self.spec.name != self.name or self.name in ARRAYS:
            raise StoreError(
                where=self.name,
                problem="the array is declared twice" if self.name in ARRAYS else "the declaration is of another array",
                got=f"a declaration of {self.spec.name} in its plan",
                wanted="the schema's alone" if self.name in ARRAYS else f"a declaration of {self.name}",
                mend="Give the array a name of its own",
            )
        return self.spec

    def layout(self) -> "Layout":
        """The plan with everything decided.

        Raises
        ------
        StoreError
            when the schema does not know the array, or the shape, type, chunks or shards do not fit.
        """
        spec = self.declaration()
        shape = tuple(int(n) for n in self.shape)
        dims, dtype = spec.dims_for(len(shape)), spec.dtype_for(self.dtype)
        if min(shape) < 1:
            raise StoreError(
                where=self.name,
                problem="the array would have no elements",
                got=f"shape {shape}",
                wanted="at least one element along each axis",
                mend="Leave the array out of the plan",
            )
        whole = tuple(axis for axis, dim in enumerate(dims) if dim in spec.whole)
        if self.shards is not None:
            shards = tuple(int(n) for n in self.shards)
            chunks = self.chunks or chunks_within(shape, dtype, shards, whole=whole)
        elif self.chunks is not None:
            chunks = shards = tuple(int(n) for n in self.chunks)
        else:
            chunks, shards = shard_plan(shape, dtype, whole=whole)
        chunks = tuple(int(n) for n in chunks)
        fits = len(chunks) == len(shards) == len(shape) and min(chunks) > 0
        if not fits or any(s % c for c, s in zip(chunks, shards, strict=True)):
            raise StoreError(
                where=self.name,
                problem="chunks do not divide shards",
                got=f"chunks {chunks}, shards {shards}, shape {shape}",
                wanted="one positive number per axis, shards whole multiples of chunks",
                mend="Leave chunks out: they are then chosen to divide the shard",
            )
        return Layout(self.name, dims, shape, dtype, chunks, shards, spec.fill_for(dtype))


@dataclass(frozen=True)
class Layout:
    """Where the elements of an array lie: the same arithmetic for the plan, the writer and the reader."""

    name: str
    dims: tuple[str, ...]
    shape: Shape
    dtype: np.dtype[Any]
    chunks: Shape
    shards: Shape
    fill: object = field(default=None, compare=False)
    """What a reader gets where nothing was written, of the array's own type"""

    def unknown(self, shape: Sequence[int]) -> np.ndarray:
        """An array of which nothing is known: the fill value everywhere."""
        return np.full(shape, self.fill, self.dtype)

    @property
    def nbytes(self) -> int:
        """Uncompressed size."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def shard_bytes(self) -> int:
        """Uncompressed size of one whole shard."""
        return math.prod(self.shards) * self.dtype.itemsize

    def indices(self) -> list[Shape]:
        """Every shard index, in C order."""
        return list(shard_indices(self.shape, self.shards))

    def region(self, index: Sequence[int]) -> tuple[slice, ...]:
        """The elements of a shard, clipped at the array's end."""
        return shard_region(self.shape, self.shards, index)

    @classmethod
    def from_json(cls, name: str, said: Mapping[str, Any]) -> "Layout":
        """What :meth:`as_json` said, without the fill value."""
        shape, chunks, shards = (tuple(said[key]) for key in ("shape", "chunks", "shards"))
        return cls(name, tuple(said["dims"]), shape, np.dtype(said["dtype"]), chunks, shards)

    def as_json(self) -> dict[str, Any]:
        """For comparison with what was declared before."""
        return {
            "dims": list(self.dims),
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "chunks": list(self.chunks),
            "shards": list(self.shards),
        }


def gather_coordinates(plans: Sequence[ArrayPlan], layouts: Sequence[Layout]) -> Coordinates:
    """Axis -> (values, unit) over all arrays of a group, after checking that they agree on every axis.

    Raises
    ------
    StoreError
        when two arrays give one axis different lengths or coordinates.
    """
    lengths: dict[str, tuple[int, str]] = {}
    for layout in layouts:
        for dim, n in zip(layout.dims, layout.shape, strict=True):
            known, by = lengths.setdefault(dim, (n, layout.name))
            if known != n:
                raise _disagreement(dim, f"{n} in {layout.name}", f"{known} as in {by}")
    coords: Coordinates = {}
    names = {spec.name: dim for dim, spec in COORDINATES.items()}
    for plan in plans:
        for key, (raw, unit) in plan.coords.items():
            dim, values = names.get(key, key), np.asarray(raw)
            if dim not in lengths or values.shape != (lengths[dim][0],):
                wanted = f"{lengths[dim][0]} values" if dim in lengths else f"one of {sorted(lengths)}"
                raise _disagreement(dim, f"coordinates of shape {values.shape}", wanted)
            if dim in coords and not (np.array_equal(coords[dim][0], values) and coords[dim][1] == unit):
                raise _disagreement(dim, f"other values or unit with {plan.name}", "one set of coordinates per group")
            coords[dim] = (values, unit)
    return coords


def _disagreement(dim: str, got: str, wanted: str) -> StoreError:
    return StoreError(
        where=f"axis {dim}",
        problem="the arrays of one output do not agree on an axis",
        got=got,
        wanted=wanted,
        mend="Correct the stage's plan",
    )


def plan_record(plans: Sequence[ArrayPlan], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """All that a declaration says, small enough for the group's attributes: two plans are one if these are equal."""
    layouts = [plan.layout() for plan in plans]
    coords = gather_coordinates(plans, layouts)
    return {
        "arrays": {layout.name: layout.as_json() for layout in layouts},
        "attrs": {plan.name: digest_of(plain_json(plan.attrs)) for plan in plans},
        "coords": {dim: digest_of([plain_json(values), unit]) for dim, (values, unit) in coords.items()},
        "group": digest_of(plain_json(attrs)),
    }


def create_group(folder: Path, plans: Sequence[ArrayPlan], attrs: Mapping[str, Any], image: str | None) -> None:
    """Make the Zarr v3 group with its arrays (nothing written in them) and its coordinates (written), in a new folder.

    Raises
    ------
    OSError
        when the file system refuses.
    """
    layouts = [plan.layout() for plan in plans]
    coords = gather_coordinates(plans, layouts)
    # In memory first: on a disk, zarr would ask for each of these small files several times, and wait each time.
    made: dict[str, Buffer] = {}
    store = MemoryStore(made)
    images = [layout for layout in layouts if is_image(layout.dims, layout.dtype) and image in (None, layout.name)]
    ome = {"ome": ome_zarr_metadata(images[0].name, images[0].dims, coords)} if images else {}
    group_attrs = {**plain_json(attrs), **ome, "stxmdist": plan_record(plans, attrs)}
    group = zarr.create_group(store=store, zarr_format=3, attributes=group_attrs)
    for plan, layout in zip(plans, layouts, strict=True):
        spec = plan.declaration()
        group.create_array(
            plan.name,
            shape=layout.shape,
            dtype=layout.dtype,
            chunks=layout.chunks,
            shards=None if layout.shards == layout.chunks else layout.shards,
            # The checksum lets a reader notice a flipped bit that lz4 would decode into wrong numbers.
            compressors=[codecs_of(spec, layout.dtype), Crc32cCodec()],
            fill_value=layout.fill,
            dimension_names=layout.dims,
            attributes={"units": spec.unit, "long_name": spec.meaning, **plain_json(plan.attrs)},
        )
    for dim, (values, unit) in coords.items():
        meaning = COORDINATES[dim].meaning if dim in COORDINATES else dim
        about: dict[str, Any] = {"units": unit, "long_name": meaning}
        if values.dtype.kind == "U":
            # Zarr v3 has no settled type for text: the axis is numbered and its labels stand in the attributes.
            about[LABELS], values = values.tolist(), np.arange(len(values))
        array = group.create_array(
            dim,
            shape=values.shape,
            dtype=values.dtype,
            chunks=values.shape,
            dimension_names=(dim,),
            attributes=about,
            config={"write_empty_chunks": True},
        )
        array[:] = values
    with warnings.catch_warnings():
        # Without it xarray.open_zarr warns on every open; with it zarr warns here, once, that others may not read it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(store)
    write_files(folder, {key: value.to_bytes() for key, value in made.items()})
