"""What of a stage is visible: which output of each scan counts, what it was made from, and its files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from storage.atomic import Json, json_bytes, json_object, unreadable
from storage.bucket import BucketError, Tag
from storage.errors import StoreError
from storage.place import Place, kind_of


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
    files: dict[str, str] = field(default_factory=dict)
    """Path relative to the digest folder -> sha256."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """All options of the stage for this scan, where they are not those of the publication; empty where they are."""


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

    def as_json(self) -> dict[str, object]:
        """The publication in lists and mappings."""
        return {name: value for name, value in asdict(self).items() if name != "tag"}

    @classmethod
    def from_json(cls, where: object, content: Mapping[str, Any]) -> "Publication":
        """A publication from what :meth:`as_json` gave.

        Raises
        ------
        StoreError
            when fields are missing or unknown.
        """
        try:
            scans = {name: PublishedScan(**scan) for name, scan in content["scans"].items()}
            return cls(**{**content, "scans": scans})
        except (TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                where=where,
                problem="the publication does not have the form of this version",
                got=f"{type(error).__name__}: {error}",
                wanted="the fields of storage.publication.Publication",
                mend="Run the stage again, it publishes anew; its finished units are kept",
            ) from error


def write_publication(path: Place, publication: Publication, before: Publication | None) -> None:
    """Make a stage visible: one atomic replacement of its JSON file, of the publication that was read ``before``.

    Raises
    ------
    Overtaken
        in a bucket, where something else is published by now.
    StoreError
        when it cannot be written.
    """
    tag = None if before is None else before.tag
    kind_of(path).put_publication(path, json_bytes(publication.as_json()), tag)


def read_publication(path: Place) -> Publication | None:
    """What is published, or None where nothing is.

    Raises
    ------
    StoreError
        when the file is there and cannot be understood.
    """
    try:
        content, tag = kind_of(path).read_tagged(path)
    except FileNotFoundError:
        return None
    except BucketError:
        raise
    except OSError as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    return replace(Publication.from_json(path, json_object(path, content)), tag=tag)


def published_files(publication: Publication) -> Mapping[tuple[str, str, str], str]:
    """(scan_id, digest, relative path) -> sha256, over all scans of a publication."""
    return {
        (scan_id, scan.digest, path): sha256
        for scan_id, scan in publication.scans.items()
        for path, sha256 in scan.files.items()
    }
