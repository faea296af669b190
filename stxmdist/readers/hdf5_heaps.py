"""Where HDF5 keeps strings of varying length: damage on which its library would read for ever, and strings larger than
any that a beamline writes, found beforehand.

A collection begins with GCOL, a version and its size; objects follow, each with its index and size. The library goes
from object to object by their sizes: with a size of 0, or one that leads backwards, it never arrives.
"""

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from stxmdist.errors import InputError

_HEADER = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
SIGNATURE, VERSION, FREE = b"GCOL", 1, 0
# Strings stand where a file begins, or close to it; what lies behind is images.
MOST_LOOKED_AT = 256 << 20
# The longest real ones are the settings of a whole beamline, below a megabyte.
MOST_TEXT_BYTES = 16 << 20


def refuse_endless(filename: str) -> None:
    """Refuse a file whose strings cannot be read to an end, or would fill the memory.

    Raises
    ------
    InputError
        with the file's name.
    """
    path = Path(filename)
    try:
        state = path.stat()
    except OSError:
        return
    if not _ends(path, state.st_size, state.st_mtime_ns):
        raise InputError(
            where=path,
            problem="the HDF5 file is damaged",
            got=f"a collection of strings whose parts have no possible size, or more than {MOST_TEXT_BYTES >> 20} MiB",
            wanted="a whole HDF5 file",
            mend="Copy it again from the beamline",
        )


@lru_cache(maxsize=64)
def _ends(path: Path, n_bytes: int, modified_ns: int) -> bool:
    """Whether all collections of a file, which is known by its size and time, can be read to their ends."""
    if not n_bytes:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(_is_whole(content, start, size) for start, size in _collections(content))


def _collections(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Start and size of every collection."""
    at = content.find(SIGNATURE, 0, MOST_LOOKED_AT)
    while at >= 0:
        if at + _HEADER.size <= len(content):
            _, version, size = _HEADER.unpack_from(content, at)
            if version == VERSION and _HEADER.size <= size <= len(content) - at:
                yield at, size
        at = content.find(SIGNATURE, at + 1, MOST_LOOKED_AT)


def _is_whole(content: mmap.mmap, start: int, size: int) -> bool:
    at, end = start + _HEADER.size, start + size
    while at + _OBJECT.size <= end:
        index, _, length = _OBJECT.unpack_from(content, at)
        # What is free counts its own header, an object does not, and is filled up to eight bytes.
        step = length if index == FREE else _OBJECT.size + -(-length // 8) * 8
        if not 0 < step <= end - at or (index != FREE and length > MOST_TEXT_BYTES):
            return False
        at += step
    return True
