"""Where a store may lie: a folder or a bucket, as the two members of one table of what is done differently there.

A place is named, listed and read alike in both: :class:`~storage.bucket.BucketPath` has the part of pathlib's ``Path``
that a store asks for. Writing, removing, locks and the switches of readers differ, and stand in the table.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from os import environ
from pathlib import Path
from typing import Any, TypeAlias

from storage import bucket_kind, folder, lease
from storage.bucket import BucketPath, Tag, bucket_path, is_address
from storage.errors import StoreError

Place: TypeAlias = Path | BucketPath
"""A file or folder of a store"""
STATE = "STXMDIST_STATE"
"""Variable of the environment: the folder of this machine for what a bucket does not keep"""


@dataclass(frozen=True)
class PlaceKind:
    """What is done otherwise in a folder than in a bucket; the arguments are places of the kind."""

    words: str
    refusal: Callable[[Any, OSError, int], StoreError]
    """What the refusal to write so many bytes means to a person"""
    replace_file: Callable[[Any, Iterable[bytes | memoryview]], str]
    """Put a file in place whole; its sha256"""
    replacing: Callable[[Any], AbstractContextManager[Path]]
    """Put what is made under a temporary path in place whole"""
    remove: Callable[[Any], None]
    """Remove a file or folder, if it is there"""
    files: Callable[[Any], Iterator[tuple[str, int]]]
    """Name and bytes of all files below"""
    point: Callable[[Any, Any], None]
    """Let a place show a folder, with one switch"""
    pointed: Callable[[Any], Any]
    """The folder that a place shows"""
    hold: Callable[[Any, str], AbstractContextManager[None]]
    """Hold a lock against a second holder, for a purpose in words"""
    holder: Callable[[Any], str | None]
    """Who holds a lock, in words; None where nobody does"""
    publishing: Callable[[Any], AbstractContextManager[None]]
    """Keep others from publishing, where what is published is not compared when it is put"""
    read_tagged: Callable[[Any], tuple[bytes, Tag | None]]
    """A file, and what says later whether it is still the same"""
    put_publication: Callable[[Any, bytes, Tag | None], None]
    """Put what is published in the place of what was read"""
    local: Callable[[Any], Path]
    """A folder of this machine for what belongs to a store and to no other machine: scratch, logs, how far a run is"""


def _state_folder(root: BucketPath) -> Path:
    given = environ.get(STATE) or environ.get("XDG_STATE_HOME")
    base = Path(given) if given else Path.home() / ".local" / "state"
    # The name comes last: it may be a page that a browser opens, or say the format of a file.
    return (base if environ.get(STATE) else base / "stxmdist") / sha256(str(root).encode()).hexdigest()[:16] / root.name


def _put(place: Path, content: bytes, _before: Tag | None) -> None:
    folder.replace_file(place, [content])


PLACES: dict[str, PlaceKind] = {
    "folder": PlaceKind(
        words="a folder",
        refusal=folder.refusal,
        replace_file=folder.replace_file,
        replacing=folder.replacing,
        remove=folder.remove,
        files=folder.files,
        point=folder.replace_link,
        pointed=lambda place: place,
        hold=folder.hold,
        holder=folder.holder,
        publishing=folder.publishing,
        read_tagged=lambda place: (place.read_bytes(), None),
        put_publication=_put,
        local=lambda root: root,
    ),
    "bucket": PlaceKind(
        words="a bucket",
        refusal=bucket_kind.refusal,
        replace_file=bucket_kind.replace_file,
        replacing=bucket_kind.replacing,
        remove=bucket_kind.remove,
        files=BucketPath.files,
        point=bucket_kind.point,
        pointed=bucket_kind.pointed,
        hold=lease.hold,
        holder=lease.holder,
        publishing=lambda identity: nullcontext(),
        read_tagged=BucketPath.read_tagged,
        put_publication=bucket_kind.put_publication,
        local=_state_folder,
    ),
}


def kind_of(place: Place) -> PlaceKind:
    """The member of the table to which a place belongs."""
    return PLACES["bucket" if isinstance(place, BucketPath) else "folder"]


def matching(place: Place, pattern: str) -> list[Place]:
    """What lies below a place under a pattern, such as ``*/*.json``, by name."""
    found: list[Place] = list(place.glob(pattern))
    return sorted(found, key=str)


def fetched(place: Place) -> Path:
    """A file or folder of an output on this machine: itself, or a copy of what a bucket has; nothing where it has none.

    What lies below a digest is never written again, so a copy is made once.
    """
    if isinstance(place, Path):
        return place
    copy = kind_of(place).local(place)
    if not copy.exists():
        names = [name for name, _ in place.files()]
        if names or place.is_file():
            with folder.replacing(copy) as partial:
                for name in names or [""]:
                    file = partial / name if name else partial
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes((place / name).read_bytes())
    return copy


def place_of(text: str | Path | BucketPath, beside: Path | None = None) -> Place:
    """The place that a text names: an address, or a folder (relative to the folder ``beside``).

    Raises
    ------
    StoreError
        for an address that is none, or holds credentials.
    """
    if isinstance(text, BucketPath):
        return text
    if isinstance(text, str) and is_address(text):
        return bucket_path(text)
    return Path(text) if beside is None else (beside / text).absolute()
