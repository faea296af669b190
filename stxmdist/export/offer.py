"""What an exporter offers to write, what it cannot, and how a piece gets into its place: whole, or not at all."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.atomic import partial_name, sync_folder
from stxmdist.errors import InputError


@dataclass(frozen=True)
class Piece:
    """One file, or one folder that is a unit to its readers, not yet written."""

    scan_id: str
    name: str
    """In the folder of the export."""
    write: Callable[[Path], None]
    """Writes it at a path where nothing is."""


@dataclass(frozen=True)
class Lack:
    """Something that was asked for and cannot be exported."""

    scan_id: str
    what: str
    why: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.scan_id}: {self.what}: {self.why}"


@dataclass(frozen=True)
class Offer:
    """Everything that can be exported in one format, and what cannot."""

    pieces: tuple[Piece, ...] = ()
    lacks: tuple[Lack, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader of the files should know."""

    def __add__(self, other: "Offer") -> "Offer":
        return Offer(self.pieces + other.pieces, self.lacks + other.lacks, self.notes + other.notes)


def put_in_place(piece: Piece, folder: Path) -> Path:
    """Write a piece under another name and move it to its own; what was there before goes only then.

    Raises
    ------
    InputError
        when the file system refuses; what was there before stays.
    """
    target = folder / piece.name
    partial = partial_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        piece.write(partial)
        if partial.is_dir():
            _replace_folder(partial, target)
        else:
            _sync(partial)
            os.replace(partial, target)
        sync_folder(target.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise InputError(
            where=target,
            problem="the disk is full" if full else "the export cannot be written",
            got=str(error),
            wanted="a writable folder with room for the export",
            mend="Free space, or name a folder elsewhere with --out; --force writes again what is there already",
        ) from error
    finally:
        _remove(partial)
    return target


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(part.stat().st_size for part in ([path] if path.is_file() else path.rglob("*")) if part.is_file())


def _replace_folder(partial: Path, target: Path) -> None:
    # No file system replaces a folder that holds something in one step: the old one stands aside for a moment.
    aside = partial_name(target)
    if target.exists():
        os.rename(target, aside)
    try:
        os.rename(partial, target)
    except OSError:
        if aside.exists():
            os.rename(aside, target)
        raise
    _remove(aside)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
