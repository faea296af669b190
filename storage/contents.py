"""What files from outside hold: the sha256 of their content, computed once and remembered beside the store.

The content decides whether a file is the same; its size, its time of change and a sample of its bytes are the shortcut
by which it need not be read again. A copy of the store knows what the original knew, as files are named from the store.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from storage.atomic import read_json_object, replace_file
from storage.digests import sha256_of_file
from storage.errors import StoreError
from storage.place import Place

RECORD = "contents.json"
"""Inside the store: file to its size, time, sample and sha256"""
SAMPLE_BYTES = 4096
"""Read at the head, at the tail and at two places between, on every look"""
SAMPLE_DIGITS = 16


@dataclass(frozen=True)
class FileContent:
    """A file as it was when it was last read whole."""

    bytes: int
    mtime_ns: int
    sample: str
    """Digest of its head, its tail and two places between"""
    sha256: str


def content_of(path: Path) -> FileContent:
    """Read a file whole.

    Raises
    ------
    StoreError
        when it cannot be read.
    """
    try:
        size, mtime_ns, sample = _look(path)
        return FileContent(size, mtime_ns, sample, sha256_of_file(path))
    except OSError as error:
        raise StoreError(
            where=path,
            problem="the file cannot be found",
            got=str(error),
            wanted="a readable file",
            mend="Correct the path, or bring the file back",
        ) from error


def still_holds(path: Path, known: FileContent) -> bool:
    """Whether a file holds what it held: size, time and sample say so, or else all of its bytes; False without it."""
    with suppress(OSError, StoreError):
        return _look(path) == astuple(known)[:3] or content_of(path).sha256 == known.sha256
    return False


def _look(path: Path) -> tuple[int, int, str]:
    """Size, time of change and sample: what a look costs does not grow with the file."""
    with open(path, "rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        size = stat.st_size
        digest = hashlib.sha256()
        for start in sorted({0, size // 3, 2 * size // 3, max(0, size - SAMPLE_BYTES)}):
            digest.update(os.pread(file.fileno(), SAMPLE_BYTES, start))
    return size, stat.st_mtime_ns, digest.hexdigest()[:SAMPLE_DIGITS]


class Contents:
    """The contents of files from outside, as a store remembers them."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self._known = _remembered(root / RECORD)
        self._seen: dict[str, FileContent] = {}

    def learn(self, paths: Iterable[Path]) -> None:
        """Look at files, read those whole that are new or look otherwise, and remember; passes over the unreadable."""
        keys = {self._key(path): path for path in paths}
        try:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for key, found in zip(keys, pool.map(self._found, keys, keys.values()), strict=True):
                    if found is not None:
                        self._seen[key] = found
        finally:
            self._remember(self._seen)

    def of(self, path: Path) -> FileContent:
        """The content of a file, looked at once in the life of this object.

        Raises
        ------
        StoreError
            when it cannot be read.
        """
        key = self._key(path)
        if key not in self._seen:
            self.learn((path,))
        return self._seen[key] if key in self._seen else content_of(path)

    def recheck(self) -> tuple[int, list[Path]]:
        """Read every remembered file that is there whole: how many, and those that hold something else by now.

        What they hold is remembered, so that the next run takes them as new.
        """
        found = {key: content_of(path) for key in self._known if (path := self._path(key)).is_file()}
        changed = [self._path(key) for key, now in found.items() if now.sha256 != self._known[key].sha256]
        self._remember(found)
        return len(found), changed

    def _found(self, key: str, path: Path) -> FileContent | None:
        known = self._known.get(key)
        with suppress(OSError, StoreError):
            return known if known is not None and _look(path) == astuple(known)[:3] else content_of(path)
        return None

    def _key(self, path: Path) -> str:
        # A bucket has no place from which files of this machine could be named.
        return os.path.relpath(path, self._root) if isinstance(self._root, Path) else os.path.abspath(path)

    def _path(self, key: str) -> Path:
        return Path(os.path.normpath(self._root / key if isinstance(self._root, Path) else key))

    def _remember(self, found: Mapping[str, FileContent]) -> None:
        known = self._known | dict(found)
        # Before there is a store, nothing is written; where it cannot be, files are read again.
        if known == self._known or not (self._root / "store.json").exists():
            return
        self._known = known
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(astuple(content))}" for key, content in known.items())
        with suppress(StoreError):
            replace_file(self._root / RECORD, [f"{{\n{lines}\n}}\n".encode()])


def _remembered(record: Place) -> dict[str, FileContent]:
    """What a record says; nothing where there is none, or where it is damaged: then files are read again."""
    if not record.exists():
        return {}
    try:
        return {key: FileContent(*_fields(value)) for key, value in read_json_object(record).items()}
    except (StoreError, TypeError, ValueError):
        return {}


def _fields(value: object) -> tuple[int, int, str, str]:
    match value:
        case [int(size), int(mtime_ns), str(sample), str(sha256)]:
            return size, mtime_ns, sample, sha256
    raise ValueError(f"{value!r} does not say what a file holds")
