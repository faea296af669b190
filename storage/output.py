"""One output: the arrays, files and unit records under one digest, written by the units that own them."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

import numpy as np
import zarr
from zarr.errors import NodeNotFoundError, NodeTypeValidationError
from zarr.storage import StorePath
from zarr.types import AnyArray

from storage.atomic import (
    PARTIAL,
    Json,
    json_object,
    read_json_object,
    refusal,
    replace_file,
    replace_json,
    replacing,
    unreadable,
)
from storage.bucket import BucketError
from storage.digests import sha256_of_file
from storage.errors import StoreError
from storage.layout import LABELS, ArrayPlan, Coordinates, Layout, create_group, plan_record
from storage.ownership import check_owned
from storage.place import Place, kind_of
from storage.reading import Region, read_region
from storage.schema import COORDINATES
from storage.shards import reading, writing

if TYPE_CHECKING:
    import xarray
    from zarr.core.metadata.v3 import ArrayV3Metadata

__all__ = ["GROUP", "ArrayPlan", "Layout", "Output"]

GROUP = "data.zarr"
_DONE, _QUARANTINE = "units", "quarantine"
_COORDINATE_NAMES = {spec.name: dim for dim, spec in COORDINATES.items()}


@dataclass(frozen=True)
class Output:
    """The folder ``stages/<stage>/<scan_id>/<digest>``: ``data.zarr``, other files, and a record per finished unit."""

    path: Place
    written: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Relative path -> sha256 of what this object wrote; belongs into the unit's receipt."""

    @property
    def digest(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def group_path(self) -> Place:
        """The Zarr group."""
        return self.path / GROUP

    # --- arrays -----------------------------------------------------------------------------------------------

    def declare(
        self, arrays: Sequence[ArrayPlan], attrs: Mapping[str, object] | None = None, image: str | None = None
    ) -> None:
        """Make the group with all arrays of the output, once; several processes may ask, one makes it.

        ``attrs`` belong to the group. ``image`` is the array that viewers show, the first that can be where None.

        Raises
        ------
        StoreError
            when the group exists with another plan, or the plan contradicts the schema.
        """
        record = plan_record(arrays, attrs or {})
        if not self._is_declared():
            try:
                with replacing(self.group_path) as place:
                    create_group(place, arrays, attrs or {}, image)
                return
            except OSError as error:
                # Another process was quicker: its group is compared below.
                if not self._is_declared():
                    raise refusal(self.group_path, error, 0) from error
        before = self._group().attrs.get("stxmdist")
        if before != record:
            raise StoreError(
                where=self.group_path,
                problem="the output was declared before with another plan",
                got=_difference(record, before),
                wanted="the same arrays, shapes, chunks, shards, coordinates and attributes under one digest",
                mend="Raise the stage's version, or delete this folder if nothing refers to it (stxmdist gc)",
            )

    def _is_declared(self) -> bool:
        # The last that comes of a group, also where it does not come with one rename.
        return (self.group_path / "zarr.json").exists()

    def _group(self) -> zarr.Group:
        store, path = reading(self.group_path)
        try:
            return zarr.open_group(store, path=path, mode="r", zarr_format=3, use_consolidated=False)
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise StoreError(
                where=self.group_path,
                problem="the output has no arrays",
                got=f"{type(error).__name__}",
                wanted="a Zarr group that the stage declared",
                mend="Run the stage for this scan first",
            ) from error

    def _declared(self) -> Mapping[str, Mapping[str, Json]]:
        """What :func:`plan_record` said of the arrays, the attributes and the coordinates."""
        return cast("Mapping[str, Mapping[str, Json]]", self._group().attrs["stxmdist"])

    def layout(self, name: str) -> Layout:
        """How a declared array lies on disk."""
        return _layout_of(name, self.array(name))

    def layouts(self) -> dict[str, Layout]:
        """How all declared arrays lie on disk, from one file."""
        declared = cast("Mapping[str, Mapping[str, Any]]", self._declared()["arrays"])
        return {name: Layout.from_json(name, said) for name, said in declared.items()}

    def arrays(self) -> tuple[str, ...]:
        """Names of the declared arrays, coordinates not among them."""
        return tuple(self._declared()["arrays"])

    def write(
        self,
        unit: str,
        owns: Mapping[str, Sequence[tuple[int, ...]]],
        name: str,
        shard_index: Sequence[int],
        data: np.ndarray,
    ) -> str:
        """Write one whole shard; return its path relative to the output's folder (its sha256 is in ``written``).

        Raises
        ------
        StoreError
            for a shard that the unit does not own, data that is not exactly the shard, a unit that has finished, or a
            file system that refuses.
        """
        index = tuple(int(i) for i in shard_index)
        check_owned(unit, owns, name, index)
        declared = self.array(name)
        layout = _layout_of(name, declared)
        region = layout.region(index)
        shape = tuple(s.stop - s.start for s in region)
        if data.shape != shape or data.dtype != layout.dtype:
            raise StoreError(
                where=f"unit {unit}",
                problem=f"the data is not exactly shard {index} of {name}",
                got=f"{data.dtype} {data.shape}",
                wanted=f"{layout.dtype} {shape}",
                mend="Write whole shards only, in the declared type",
            )
        if self._record(_DONE, unit).exists():
            raise StoreError(
                where=f"unit {unit}",
                problem="the unit has finished, its shards are not written again",
                got=f"a write of {name} {index}",
                wanted="no write after the unit was marked",
                mend="Forget the unit first if it is to run again",
            )
        store, group = writing(self.group_path)
        metadata = cast("ArrayV3Metadata", declared.metadata)
        array = zarr.Array(zarr.AsyncArray(metadata, StorePath(store, f"{group}/{name}".lstrip("/"))))
        # Blocks that hold only the fill value are written too: a missing file always means a missing unit.
        array.with_config({"write_empty_chunks": True})[region] = data
        hashes = {f"{GROUP}/{key}": sha256 for key, sha256 in store.sha256.items()}
        if len(hashes) != 1:
            raise AssertionError(f"one shard is one file, but zarr wrote {sorted(hashes)}")
        self.written.update(hashes)
        return next(iter(hashes))

    def absent(self, name: str) -> list[tuple[int, ...]]:
        """Indices of the shards that no unit has written; a reader gets the fill value there."""
        folder = self.group_path / name / "c"
        there = {file for file, _ in kind_of(folder).files(folder)}
        return [index for index in self.layout(name).indices() if "/".join(map(str, index)) not in there]

    def array(self, name: str) -> AnyArray:
        """A declared array or coordinate, read-only. ``energy_ev`` and the like are found under their axis.

        Raises
        ------
        StoreError
            when there is none of this name, or what is said of it is damaged.
        """
        # Asked for at once: in a bucket, the group before it would be a second request.
        for key in dict.fromkeys((name, _COORDINATE_NAMES.get(name, name))):
            store, path = reading(self.group_path / key)
            try:
                with suppress(FileNotFoundError, NodeNotFoundError, NodeTypeValidationError):
                    return zarr.open_array(store, path=path, mode="r", zarr_format=3)
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(key, "what is said of an array cannot be read", error) from error
        group = self._group()
        raise StoreError(
            where=self.group_path,
            problem="the output holds no array of this name",
            got=repr(name),
            wanted="one of " + ", ".join(sorted(group.array_keys())),
            mend="Declare it in the stage's plan, or read another",
        )

    def read(self, name: str, region: Region | None = None) -> np.ndarray:
        """The elements of a region (all where None), the fill value (NaN, or a code) where nothing was written.

        Raises
        ------
        StoreError
            when a shard is damaged.
        """
        return self.opened(name)(region)

    def opened(self, name: str) -> Callable[[Region | None], np.ndarray]:
        """As :meth:`read`, for whoever reads an array of an output in many parts, one after the other.

        Raises
        ------
        StoreError
            as :meth:`array`, and each part as :meth:`read`.
        """
        return partial(self._part, name, self.array(name))

    def _part(self, name: str, array: AnyArray, region: Region | None) -> np.ndarray:
        try:
            return read_region(array, region)
        except BucketError:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            raise self._damaged(name, "a shard cannot be read", error) from error

    def _damaged(self, name: str, problem: str, error: Exception) -> StoreError:
        return StoreError(
            where=self.group_path / name,
            problem=problem,
            got=f"{type(error).__name__}: {error}",
            wanted="what was written",
            mend="Run stxmdist verify: it names the file; delete this output's folder and run again",
        )

    def attrs(self, name: str | None = None) -> dict[str, Any]:
        """Attributes of an array, or of the group."""
        return dict((self._group() if name is None else self.array(name)).attrs)

    def written_attrs(self, name: str) -> dict[str, Any]:
        """The same of an array, from its metadata file alone: quick where thousands are asked; empty without a file."""
        try:
            written = self.path.joinpath(GROUP, name, "zarr.json").read_bytes()
            return dict(json.loads(written).get("attributes", {}))
        except (OSError, ValueError):
            return {}

    def coordinates(self) -> Coordinates:
        """Axis -> (values, unit), in the form in which ``declare`` takes them."""
        found: Coordinates = {}
        for dim in self._declared()["coords"]:
            about = self.attrs(dim)
            values = np.asarray(about[LABELS]) if LABELS in about else self.read(dim)
            found[dim] = (values, str(about["units"]))
        return found

    def dataset(self) -> "xarray.Dataset":
        """The group for xarray on Dask: values are read when they are used, chunk by chunk as they lie in the store."""
        import xarray

        # xarray looks for consolidated metadata at the root of what it is given.
        root = StorePath(*reading(self.group_path))
        dataset: xarray.Dataset = xarray.open_zarr(root, chunks={}, consolidated=True)
        return dataset

    # --- units ------------------------------------------------------------------------------------------------

    def _record(self, kind: str, unit: str) -> Place:
        return self.path / kind / f"{quote(unit, safe='')}.json"

    def _records(self, kind: str) -> dict[str, dict[str, Json]]:
        return {unit: read_json_object(self._record(kind, unit)) for unit in self._names(kind)}

    def _names(self, kind: str) -> list[str]:
        names = [name for name, _ in kind_of(self.path).files(self.path / kind)]
        return sorted(unquote(name[: -len(".json")]) for name in names if name.endswith(".json") and name[0] != ".")

    def mark(self, unit: str, receipt: Mapping[str, object]) -> None:
        """Record that a unit finished; its shards were on disk before."""
        replace_json(self._record(_DONE, unit), receipt)
        self.release(unit)

    def done(self) -> frozenset[str]:
        """Names of the finished units, without reading their receipts."""
        return frozenset(self._names(_DONE))

    def receipt(self, unit: str) -> dict[str, Json] | None:
        """What one unit left, or None where it has not finished."""
        path = self._record(_DONE, unit)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except BucketError:
            raise
        except OSError as error:
            raise unreadable(path, f"{type(error).__name__}: {error}") from error
        return json_object(path, content)

    def receipts(self) -> dict[str, dict[str, Json]]:
        """What each finished unit left."""
        return self._records(_DONE)

    def forget(self, unit: str) -> None:
        """Let a finished unit run again."""
        self._record(_DONE, unit).unlink(missing_ok=True)

    def quarantine(self, unit: str, reason: Mapping[str, object]) -> None:
        """Record that a unit keeps failing, and why: it is not tried again until it is released."""
        replace_json(self._record(_QUARANTINE, unit), reason)

    def set_aside(self) -> frozenset[str]:
        """Names of the quarantined units, without reading why."""
        return frozenset(self._names(_QUARANTINE))

    def quarantined(self) -> dict[str, dict[str, Json]]:
        """The units that are not tried again, with their reasons."""
        return self._records(_QUARANTINE)

    def release(self, unit: str | None = None) -> None:
        """Let a quarantined unit (all where None) be tried again."""
        for name in self._names(_QUARANTINE) if unit is None else [unit]:
            self._record(_QUARANTINE, name).unlink(missing_ok=True)

    # --- other files ------------------------------------------------------------------------------------------

    def put(self, name: str, content: bytes) -> str:
        """Write another file of the output (a report, a figure) whole; return its relative path."""
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or relative.parts[0] in (GROUP, _DONE, _QUARANTINE):
            raise StoreError(
                where=self.path,
                problem="this is not a place for a file of the output",
                got=repr(name),
                wanted=f"a relative path outside {GROUP}, {_DONE} and {_QUARANTINE}",
                mend="Name the file otherwise",
            )
        self.written[relative.as_posix()] = replace_file(self.path / relative, [content])
        return relative.as_posix()

    def scratch(self, name: str) -> Path:
        """A path of this machine, in a folder that need not be there, for what a unit keeps on its way.

        It is never published; a bucket keeps none of it.
        """
        return kind_of(self.path).local(self.path) / f"scratch{PARTIAL}" / name

    def inventory(self, known: Mapping[str, str] | None = None) -> dict[str, str]:
        """Relative path -> sha256 of every file to be published; hashes in ``known`` (from receipts) are believed."""
        believed = {**self.written, **(known or {})}
        files = {}
        for name, _ in kind_of(self.path).files(self.path):
            relative = PurePosixPath(name)
            if relative.parts[0] not in (_DONE, _QUARANTINE) and not _is_partial(relative):
                files[name] = believed.get(name) or sha256_of_file(self.path / name)
        return files


def _layout_of(name: str, array: AnyArray) -> Layout:
    dims = tuple(str(dim) for dim in array.metadata.dimension_names or ())  # type: ignore[union-attr]
    return Layout(name, dims, array.shape, array.dtype, array.chunks, array.shards or array.chunks, array.fill_value)


def _is_partial(relative: PurePosixPath) -> bool:
    return any(part.endswith(PARTIAL) for part in relative.parts)


def _difference(new: Mapping[str, Mapping[str, object]], old: object) -> str:
    """Which parts of two plan records differ, in words."""
    if not isinstance(old, Mapping):
        return "a group without a plan"
    parts = []
    for section in ("arrays", "attrs", "coords"):
        ours, theirs = new[section], old.get(section, {})
        parts += [f"{section}: {key}" for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    return "a difference in " + (", ".join(parts) or "the group's attributes")
