"""Files that appear whole or not at all: temporary name, fsync, rename; and what a full disk says."""

import errno
import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, part: memoryview) -> None:
    while part:
        part = part[os.write(descriptor, part) :]


def replace_file(path: Path, parts: Sequence[bytes | memoryview]) -> str:
    """Put a file in place with one rename, after its bytes reached the disk; return their sha256 (hex).

    A reader sees the old file or the new one, never a part. When the write fails the temporary file is removed.

    Raises
    ------
    StoreError
        when the file system refuses, with the number of bytes wanted.
    """
    digest = hashlib.sha256()
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    partial = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                for view in views:
                    digest.update(view)
                    _write_all(descriptor, view)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(path, error, sum(map(len, views))) from error
    return digest.hexdigest()


def plain_json(value: Any) -> Any:
    """numpy scalars, arrays and paths as JSON says them; a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_json(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def replace_json(path: Path, content: Any) -> str:
    """Write JSON (sorted keys, indented) as :func:`replace_file` does; see :func:`plain_json` for what it takes."""
    text = json.dumps(plain_json(content), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return replace_file(path, [(text + "\n").encode()])


def read_json(path: Path) -> Any:
    """Read JSON that the store wrote.

    Raises
    ------
    StoreError
        when the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(
            where=path,
            problem="the store's own record cannot be read",
            got=f"{type(error).__name__}: {error}",
            wanted="a JSON document that stxmdist wrote",
            mend="Restore the file from a copy, or delete it: what it recorded is then computed again",
        ) from error


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
    partial = partial_name(path)
    try:
        os.symlink(os.path.relpath(target, path.parent), partial)
        try:
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(path, error, 0) from error
