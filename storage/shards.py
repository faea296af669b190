"""How zarr reads and writes a place: whole files on the way down, with their sha256, and no data read back."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

from zarr.abc.store import ByteRequest
from zarr.abc.store import Store as ZarrStore
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype
from zarr.storage import LocalStore, ObjectStore

from storage.atomic import refusal, replace_file
from storage.bucket import BucketPath, answered
from storage.bucket_access import client_of
from storage.place import Place


class Shards(Protocol):
    """A zarr store that remembers what it wrote."""

    sha256: dict[str, str]
    """Key (path relative to the group) -> sha256 of what this object wrote there"""


def reading(place: Place) -> tuple[ZarrStore, str]:
    """(zarr store, path in it) of a group that is only read."""
    if isinstance(place, Path):
        return LocalStore(place, read_only=True), ""
    # One client for the whole bucket keeps its connections from group to group.
    return BucketReader(client_of(place.bucket), read_only=True), place.key


def writing(place: Place) -> "tuple[ShardStore | BucketShards, str]":
    """(zarr store, path in it) of a group into which whole shards are written."""
    if isinstance(place, Path):
        return ShardStore(place), ""
    return BucketShards(place), place.key


class ShardStore(LocalStore):
    """A zarr store that writes whole files and never reads data back.

    zarr merges a write into the shard that lies on disk when it takes it for a partial one (at the array's uneven
    end it does); since every write here is a whole shard, there is nothing to merge with, and nothing is read.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.sha256: dict[str, str] = {}
        """Key (path relative to the root) -> sha256 of what this object wrote there."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Metadata as usual; data never."""
        if not key.endswith("zarr.json"):
            return None
        return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        """One file, in place with one rename."""
        self._put(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """As :meth:`set`, unless the file is there."""
        if not (self.root / key).exists():
            self._put(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """As :meth:`set`."""
        self._put(key, value)

    def _put(self, key: str, value: Buffer) -> None:
        self._check_writable()
        self.sha256[key] = replace_file(self.root / key, [memoryview(value.as_numpy_array())])  # type: ignore[arg-type]


class BucketReader(ObjectStore[Any]):
    """Objects of a bucket for zarr; a bucket that does not answer is an error of a file system."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As zarr has it."""
        with answered(key):
            return await super().get(key, prototype or default_buffer_prototype(), byte_range)


class BucketShards(BucketReader):
    """The same for writing: whole objects, and data is never read back (see :class:`ShardStore`)."""

    def __init__(self, group: BucketPath) -> None:
        super().__init__(client_of(group.bucket))
        self._group = group
        self.sha256: dict[str, str] = {}

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Metadata as usual; data never."""
        return await super().get(key, prototype, byte_range) if key.endswith("zarr.json") else None

    async def set(self, key: str, value: Buffer) -> None:
        """One object, in place whole."""
        import obstore

        content = memoryview(value.as_numpy_array()).cast("B")  # type: ignore[arg-type]
        place = BucketPath(self._group.bucket, key)
        try:
            with answered(place):
                await obstore.put_async(self.store, key, content)
        except OSError as error:
            raise refusal(place, error, len(content)) from error
        self.sha256[str(place.relative_to(self._group))] = hashlib.sha256(content).hexdigest()
