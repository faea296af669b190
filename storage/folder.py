"""A place in a folder: what appears there does so whole, by one rename after its bytes are on the disk."""

import errno
import fcntl
import hashlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

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


def _create(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for part in filter(len, parts):
            left = memoryview(part).cast("B")
            while left:
                left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


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
            _create(partial, _hashed(parts, digest))
    except OSError as error:
        raise refusal(path, error, sum(sizes)) from error
    return digest.hexdigest()


def _hashed(parts: Iterable[bytes | memoryview], digest: "hashlib._Hash") -> Iterator[bytes | memoryview]:
    for part in filter(len, parts):
        digest.update(memoryview(part).cast("B"))
        yield part


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder that nobody looks into yet, with files (relative path -> bytes): all of it reaches the disk.

    Raises
    ------
    OSError
        when the file system refuses.
    """
    paths = {folder / name: content for name, content in files.items()}
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, [content])
    # Only now: the first finds most of the others on their way to the disk already.
    folders = {parent for path in paths for parent in path.parents if parent.is_relative_to(folder)}
    for written in (*paths, *folders):
        sync(written)


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


def files(place: Path) -> Iterator[tuple[str, int]]:
    """(name from here, bytes) of every file below, by name; of a link, its own size."""
    yield from sorted(_files(str(place), ""))


def _files(folder: str, above: str) -> Iterator[tuple[str, int]]:
    # Thousands of outputs are listed: a path object for each file takes ten times as long.
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{above}{entry.name}/")
        else:
            with suppress(FileNotFoundError):
                yield above + entry.name, entry.stat(follow_symlinks=False).st_size


# --- locks ----------------------------------------------------------------------------------------------------


@contextmanager
def hold(place: Path, purpose: str) -> Iterator[None]:
    """Hold a file of a store's folder against a second holder; the lock ends with its process.

    Raises
    ------
    StoreError
        when another holds it, saying who.
    """
    descriptor = _opened(place)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise taken(place.parent, _said_by_holder(descriptor), "the lock goes with the process") from error
        # The lock holds without its holder's name, which a full disk does not take.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{purpose}, process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def taken(place: object, holder: str, ends: str) -> StoreError:
    """What is said to whoever comes second."""
    return StoreError(
        where=place,
        problem="another process is using this store",
        got=holder or "a holder that has not yet said its name",
        wanted="one run at a time",
        mend=f"Wait for it to end, or stop it; {ends}",
    )


def holder(place: Path) -> str | None:
    """Who holds a lock now, in the words of ``hold``; None where nobody does."""
    if not place.exists():
        return None
    descriptor = _opened(place)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said_by_holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _said_by_holder(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace").strip()


@contextmanager
def publishing(identity: Path) -> Iterator[None]:
    """Wait until no other process reads publications to write them: those of two runs then keep both."""
    # A file that is there already: on a full disk none could be made for this.
    descriptor = os.open(identity, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
