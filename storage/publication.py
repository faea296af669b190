"""What of a stage is visible: which output of each scan counts, what it was made from, and its files.

``published/STAGE.json`` is small and is what one atomic write replaces. It names records by the sha256 of their bytes,
each of some scans: what counts of them in one, the digests of their files in another, which few readers want. So a
publication costs what has changed, and reading costs no more than what is asked for. Of as few scans as one record
has, what counts stands in the file itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast

from storage.atomic import Json, json_bytes, json_object, remove, replace_file, unreadable
from storage.bucket import BucketError, Tag
from storage.errors import Overtaken, StoreError
from storage.place import Place, kind_of

FORM = 2
"""Of the file: the first held all scans and their files itself, and is still read"""
RECORDS = "records"
"""Folder beside the publications: a folder for each stage"""
SCANS = 64
"""Of a record: what a change of one scan writes again, and what is read at a time of files"""
FILES_KEPT = 4
"""Records of files that are kept after they were read: whoever asks goes from scan to scan"""


@dataclass(frozen=True)
class PublishedScan:
    """One scan's output of one stage."""

    digest: str
    """Names the folder ``stages/<stage>/<scan_id>/<digest>``."""
    state: str
    """``done``, or ``failed`` where a unit is missing."""
    quality: Mapping[str, Json] = field(default_factory=dict)
    units_done: int = 0
    units_failed: int = 0
    seconds: float = 0.0
    """By the clock, summed over the units."""
    core_seconds: float = 0.0
    """Of processors, summed over the units."""
    bytes: int = 0
    """Of what the units write, before compression."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """``stage/scan_id`` of each output that was read -> its digest."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path relative to the digest folder -> sha256; of what was read from a store, read when it is asked for."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """All options of the stage for this scan, where they are not those of the publication; empty where they are."""


@dataclass(frozen=True)
class Record:
    """Where some scans of a publication stand."""

    names: tuple[str, ...]
    scans: str | None
    """sha256 of the record with what counts of them; None where that stands in the publication itself"""
    files: str
    """sha256 of the record with the digests of their files"""

    @property
    def named(self) -> dict[str, str]:
        """How a publication names it."""
        return {"files": self.files} if self.scans is None else {"scans": self.scans, "files": self.files}

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all that it consists of."""
        return tuple(self.named.values())


@dataclass(frozen=True)
class Publication:
    """All that is visible of one stage; replaced as a whole."""

    stage: str
    version: int | str
    """Of the stage's code: a change of it changes the digests."""
    options: Mapping[str, Json]
    seed: int | None
    time: str
    """ISO 8601 with time zone."""
    software: dict[str, str]
    scans: dict[str, PublishedScan]
    tag: Tag | None = field(default=None, compare=False, repr=False)
    """By which a bucket knows whether this is still what is published"""
    records: tuple[Record, ...] = field(default=(), compare=False, repr=False)
    """Where its scans stand in the store that it was read from"""


_HEAD = ("stage", "version", "options", "seed", "time", "software")


class RecordedFiles(Mapping[str, str]):
    """Path to sha256 of the files of one scan, in a record of the store that is read when it is asked for."""

    def __init__(self, publication: Place, record: Place, scan_id: str) -> None:
        self._publication, self._record, self._scan_id = publication, record, scan_id

    @property
    def _files(self) -> Mapping[str, str]:
        try:
            return _files_in(self._record)[self._scan_id]
        except FileNotFoundError as error:
            raise _gone(self._publication, self._record) from error

    def __getitem__(self, path: str) -> str:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"RecordedFiles({self._record}, {self._scan_id!r})"


@lru_cache(maxsize=FILES_KEPT)
def _files_in(record: Place) -> Mapping[str, Mapping[str, str]]:
    return cast("Mapping[str, Mapping[str, str]]", _read_record(record))


def records_of(path: Place) -> Place:
    """The folder of the records to which the publication at a path belongs."""
    return path.parent / RECORDS / path.stem


def record_places(path: Place, publication: Publication) -> Iterator[Place]:
    """The records in which what is published at a path stands."""
    for record in publication.records:
        for name in record.digests:
            yield records_of(path) / f"{name}.json"


def write_publication(path: Place, publication: Publication, before: Publication | None) -> None:
    """Make a stage visible: one atomic replacement of its JSON file, of the publication that was read ``before``.

    Records come first, and those that only what was before has named go last. Scans that are as they were stay in
    their record as long as it is full.

    Raises
    ------
    Overtaken
        in a bucket, where something else is published by now.
    StoreError
        when it cannot be written.
    """
    earlier = () if before is None else before.records
    known = _named_in(path) if before is None else {name for record in earlier for name in record.digests}
    head: dict[str, Any] = {"format": FORM, **{name: getattr(publication, name) for name in _HEAD}}
    if len(publication.scans) <= SCANS:
        names = tuple(sorted(publication.scans))
        records = [Record(names, None, _put(path, _files_of(publication.scans, names), known))]
        head["scans"] = _about(publication.scans, names)
    else:
        records = _records(path, publication.scans, before, known)
    head["records"] = [record.named for record in records]
    kind_of(path).put_publication(path, json_bytes(head), None if before is None else before.tag)
    for name in known - {name for record in records for name in record.digests}:
        remove(records_of(path) / f"{name}.json")


def _records(
    path: Place, scans: Mapping[str, PublishedScan], before: Publication | None, known: set[str]
) -> list[Record]:
    """Those that are full and as they were, and new ones, written here, for all other scans."""
    there = {} if before is None else before.scans
    earlier = () if before is None else before.records
    whole = [
        record
        for record in earlier
        if record.scans is not None and len(record.names) == SCANS and _as_before(record, scans, there)
    ]
    settled = {name for record in whole for name in record.names}
    others = [name for name in sorted(scans) if name not in settled]
    written = []
    for start in range(0, len(others), SCANS):
        names = tuple(others[start : start + SCANS])
        parts = (_about(scans, names), _files_of(scans, names))
        written.append(Record(names, *(_put(path, part, known) for part in parts)))
    return [*whole, *written]


def _named_in(path: Place) -> set[str]:
    """The records that the file at a path names; none where there is none, or where it cannot be understood."""
    try:
        named = json_object(path, path.read_bytes()).get("records", ())
        return {name for record in cast("Sequence[Mapping[str, str]]", named) for name in record.values()}
    except BucketError:
        raise
    except (OSError, StoreError, AttributeError, TypeError):
        return set()


def _as_before(record: Record, now: Mapping[str, PublishedScan], before: Mapping[str, PublishedScan]) -> bool:
    return all(name in now and now[name] == before[name] for name in record.names)


def _about(scans: Mapping[str, PublishedScan], names: Sequence[str]) -> dict[str, Json]:
    return {name: {each: getattr(scans[name], each) for each in _ABOUT} for name in names}


def _files_of(scans: Mapping[str, PublishedScan], names: Sequence[str]) -> dict[str, Json]:
    return {name: dict(scans[name].files) for name in names}


def _put(path: Place, part: Mapping[str, Json], known: set[str]) -> str:
    """Write what is not there yet of a publication at a path; its digest."""
    content = json_bytes(part)
    digest = sha256(content).hexdigest()
    if digest not in known:
        replace_file(records_of(path) / f"{digest}.json", [content])
    return digest


_ABOUT = tuple(each.name for each in fields(PublishedScan) if each.name != "files")


def read_publication(path: Place) -> Publication | None:
    """What is published, or None where nothing is.

    Raises
    ------
    StoreError
        when the file or a record is there and cannot be understood, or a record is missing.
    """
    last = b""
    while True:
        try:
            content, tag = kind_of(path).read_tagged(path)
        except FileNotFoundError:
            return None
        except BucketError:
            raise
        except OSError as error:
            raise unreadable(path, f"{type(error).__name__}: {error}") from error
        try:
            return replace(_publication(path, json_object(path, content)), tag=tag)
        except FileNotFoundError as error:
            # Another has published since the file was read, and removed the records of before: once more.
            if content == last:
                raise _lacking(path, error) from error
            last = content


def _publication(path: Place, content: Mapping[str, Any]) -> Publication:
    try:
        if "records" not in content:
            scans = {name: PublishedScan(**scan) for name, scan in content["scans"].items()}
            return Publication(**{**content, "scans": scans})
        if content["format"] != FORM:
            raise _of_another_form(path, f"format {content['format']}")
        head = {name: value for name, value in content.items() if name not in ("format", "records", "scans")}
        scans, records = _scans(path, content["records"], content.get("scans"))
        return Publication(**head, scans=scans, records=records)
    except (TypeError, KeyError, AttributeError) as error:
        raise _of_another_form(path, f"{type(error).__name__}: {error}") from error


def _scans(
    path: Place, named: Sequence[Mapping[str, str]], inside: Mapping[str, Mapping[str, Any]] | None
) -> tuple[dict[str, PublishedScan], tuple[Record, ...]]:
    scans: dict[str, PublishedScan] = {}
    records = []
    for record in named:
        files = records_of(path) / f"{record['files']}.json"
        found = inside
        if found is None:
            about_them = _read_record(records_of(path) / f"{record['scans']}.json")
            found = cast("Mapping[str, Mapping[str, Any]]", about_them)
        for name, about in found.items():
            scans[name] = PublishedScan(**about, files=RecordedFiles(path, files, name))
        records.append(Record(tuple(found), record["scans"] if inside is None else None, record["files"]))
    return dict(sorted(scans.items())), tuple(records)


def _read_record(place: Place) -> Mapping[str, Json]:
    """A record, after its bytes were compared with its name; FileNotFoundError where there is none."""
    try:
        content = place.read_bytes()
    except (FileNotFoundError, BucketError):
        raise
    except OSError as error:
        raise unreadable(place, f"{type(error).__name__}: {error}") from error
    if sha256(content).hexdigest() != place.stem:
        raise unreadable(place, "other bytes than were published")
    return json_object(place, content)


def _of_another_form(where: object, got: str) -> StoreError:
    return StoreError(
        where=where,
        problem="the publication does not have the form of this version",
        got=got,
        wanted="the fields of storage.publication.Publication",
        mend="Run the stage again, it publishes anew; its finished units are kept",
    )


def _lacking(path: Place, error: FileNotFoundError) -> StoreError:
    return StoreError(
        where=path,
        problem="a record of what is published is missing",
        got=str(error.filename or error),
        wanted=f"the records that it names, in {records_of(path)}",
        mend="Restore it from a copy, or delete this file and run again: what was computed is published anew",
    )


def _gone(path: Place, record: Place) -> StoreError:
    """What is said where a record is not there any more: another publication by now, or a loss."""
    try:
        named = record.stem.encode() in path.read_bytes()
    except FileNotFoundError:
        named = False
    if named:
        return _lacking(path, FileNotFoundError(str(record)))
    return Overtaken(
        where=path,
        problem="another run has published this stage meanwhile",
        got="another publication than the one that was read",
        wanted="the one that was read",
        mend="Run again: nothing is lost, and finished units are kept",
    )


def published_files(publication: Publication) -> Iterator[tuple[tuple[str, str, str], str]]:
    """(scan_id, digest, relative path) with sha256 of every file of a publication, record after record."""
    placed = [name for record in publication.records for name in record.names]
    for scan_id in placed if set(placed) == publication.scans.keys() else publication.scans:
        scan = publication.scans[scan_id]
        for path, digest in scan.files.items():
            yield (scan_id, scan.digest, path), digest
