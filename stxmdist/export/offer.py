"""What an exporter offers to write, what it cannot, and how a piece gets into its place: whole, or not at all."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.atomic import partial_name, remove, replacing
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
    aside = partial_name(target)
    try:
        with replacing(target) as partial:
            piece.write(partial)
            if partial.is_dir() and target.exists():
                # No file system replaces a folder that holds something in one step: the old one is moved aside.
                os.rename(target, aside)
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
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        remove(aside)
    return target


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(part.stat().st_size for part in ([path] if path.is_file() else path.rglob("*")) if part.is_file())
