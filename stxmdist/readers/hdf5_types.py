"""What the readers use of h5py, which has no types of its own: files, groups, datasets and their attributes."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from stxmdist.arrays import Array

Selection = int | slice | tuple[int | slice, ...]
"""What a dataset can be indexed with."""


class Attributes(Protocol):
    """The attributes of a group or dataset."""

    def get(self, name: str, /) -> object:
        """An attribute's value, or None."""


class Node(Protocol):
    """What groups and datasets have in common."""

    @property
    def name(self) -> str:
        """Path in the file."""

    @property
    def id(self) -> object:
        """What the library itself knows it by."""

    @property
    def attrs(self) -> Attributes: ...

    @property
    def file(self) -> "File": ...

    @property
    def parent(self) -> "Group": ...


class Group(Node, Protocol):
    """A group of an open file."""

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, name: str, /) -> "Group | Dataset": ...

    def get(self, name: str, *, getlink: bool) -> object:
        """The link of this name itself, not followed, or None."""


class File(Group, Protocol):
    """An open file, which is its own root."""

    @property
    def filename(self) -> str: ...


class ChunkInfo(Protocol):
    """What HDF5 says of a chunk that was written."""

    @property
    def chunk_offset(self) -> tuple[int, ...]: ...


class Creation(Protocol):
    """How a dataset was made."""

    def get_nfilters(self) -> int: ...

    def get_filter(self, number: int, /) -> tuple[int, int, tuple[int, ...], bytes]:
        """Number, flags, parameters and name of a filter."""


class Storage(Protocol):
    """How a dataset lies in its file."""

    def get_storage_size(self) -> int: ...

    def get_num_chunks(self) -> int: ...

    def chunk_iter(self, note: Callable[[ChunkInfo], None], /) -> object: ...

    def get_create_plist(self) -> "Creation": ...


class Dataset(Node, Protocol):
    """A dataset of an open file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def chunks(self) -> tuple[int, ...] | None: ...

    @property
    def id(self) -> Storage: ...

    @property
    def is_virtual(self) -> bool: ...

    @property
    def external(self) -> list[tuple[str, int, int]] | None:
        """Name, offset and size of other files that hold the values."""

    def virtual_sources(self) -> list["VirtualSource"]: ...

    def __getitem__(self, where: Selection, /) -> Array: ...


class VirtualSource(Protocol):
    """Where a part of a virtual dataset comes from."""

    @property
    def file_name(self) -> str: ...

    @property
    def dset_name(self) -> str: ...
