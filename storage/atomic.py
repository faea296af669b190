"""Files that appear whole or not at all: temporary name, fsync, rename; and what a full disk says."""

import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from storage.errors import StoreError

PARTIAL = ".partial"
"""Ending of every file or folder that is still being written (zarr's own temporary files carry it as well)."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def partial_name(path: Path) -> Path:
    """A name beside ``path``, on the same file system, that no other writer uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")


def refusal(where: Path, error: OSError, n_bytes: int) -> StoreError:
    """What the operating system's refusal to write ``n_bytes`` bytes means to a person."""
    if error.errno in _FULL:
        return StoreError(
            where=where,
            problem="the disk is full, nothing was published",
            got=os.strerror(error.errno or errno.ENOSPC),
            wanted=f"room for {n_bytes} bytes",
            mend="Free space (stxmdist gc removes what nothing refers to), then stxmdist retry: finished units stay",
        )
    return StoreError(
        where=where,
        problem="the file cannot be written, nothing was published",
        got=str(error),
        wanted=f"a writable folder with room for {n_bytes} bytes",
        mend="Check permissions and mount of the store, then stxmdist retry; finished units are kept",
    )


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, part: memoryview) -> None:
    while part:
        part = part[os.write(descriptor, part) :]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: the file or folder that the block makes there takes its place with one rename.

    A reader sees the old file or the new one, never a part. When the block or the rename fails, nothing is left over.
    A folder can take the place of nothing or of an empty folder only.

    Raises
    ------
    OSError
        when the file system refuses.
    """
    partial = partial_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        if not partial.is_symlink():
            sync(partial)
        os.replace(partial, path)
    except BaseException:
        remove(partial)
        raise
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> str:
    """Put a file in place with one rename, after its bytes reached the disk; return their sha256 (hex).

    A reader sees the old file or the new one, never a part. When the write fails the temporary file is removed. Parts
    are taken one after the other, and none is kept.

    Raises
    ------
    StoreError
        when the file system refuses, with the number of bytes wanted.
    """
    digest = hashlib.sha256()
    # Of parts that are still to come, the size is not known.
    sizes = [memoryview(part).nbytes for part in parts] if isinstance(parts, Sequence) else []
    try:
        with replacing(path) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                for part in parts:
                    if len(part):
                        view = memoryview(part).cast("B")
                        digest.update(view)
                        _write_all(descriptor, view)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise refusal(path, error, sum(sizes)) from error
    return digest.hexdigest()


Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""What JSON can say."""


@overload
def plain_json(value: Mapping[str, object]) -> dict[str, Json]: ...
@overload
def plain_json(value: object) -> Json: ...


def plain_json(value: object) -> Json:
    """A record, array, number, path or container of them as JSON says it; a number that is not finite becomes null.

    Of a record (a dataclass), a field whose default is None, and which is None, does not apply and is left out.

    Raises
    ------
    TypeError
        for an object that JSON cannot say.
    """
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
        return {
            name: plain_json(item) for name, (item, default) in found.items() if not (item is None and default is None)
        }
    if isinstance(value, np.ndarray | np.generic):
        listed: object = value.tolist()
        return plain_json(listed)
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def replace_json(path: Path, content: object) -> str:
    """Write JSON (sorted keys, indented) as :func:`replace_file` does; see :func:`plain_json` for what it takes."""
    text = json.dumps(plain_json(content), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return replace_file(path, [(text + "\n").encode()])


def read_json(path: Path) -> Json:
    """Read JSON that the store wrote.

    Raises
    ------
    StoreError
        when the file cannot be read or is not JSON.
    """
    try:
        content: Json = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    return content


def read_json_object(path: Path) -> dict[str, Json]:
    """Read a JSON object (names and values) that the store wrote.

    Raises
    ------
    StoreError
        when the file cannot be read, is not JSON, or is a list, text or number.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise _unreadable(path, f"a {type(content).__name__}")
    return content


def _unreadable(path: Path, got: str) -> StoreError:
    return StoreError(
        where=path,
        problem="the store's own record cannot be read",
        got=got,
        wanted="a JSON document that stxmdist wrote",
        mend="Restore the file from a copy, or delete it: what it recorded is then computed again",
    )


def replace_link(path: Path, target: Path) -> None:
    """Point the symbolic link ``path`` to ``target`` (relative to its folder) with one rename.

    Raises
    ------
    StoreError
        when ``path`` exists and is not a link, or the file system refuses.
    """
    if path.exists() and not path.is_symlink():
        raise StoreError(
            where=path,
            problem="a file or folder stands where the store keeps a link",
            got="a real folder" if path.is_dir() else "a file",
            wanted="a symbolic link, or nothing",
            mend="Move it elsewhere and run again",
        )
    try:
        with replacing(path) as partial:
            os.symlink(os.path.relpath(target, path.parent), partial)
    except OSError as error:
        raise refusal(path, error, 0) from error
