"""The lowest writer: zarr encodes, this puts the bytes on disk whole and synced, and takes their sha256 on the way."""

from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from storage.atomic import replace_file


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
