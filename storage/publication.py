"""What of a stage is visible: which output of each scan counts, what it was made from, and its files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.atomic import Json, read_json_object, replace_json
from storage.errors import StoreError


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

    def as_json(self) -> dict[str, object]:
        """The publication in lists and mappings."""
        return asdict(self)

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


def write_publication(path: Path, publication: Publication) -> str:
    """Make a stage visible: one atomic replacement of its JSON file. Returns the sha256 of the file."""
    return replace_json(path, publication.as_json())


def read_publication(path: Path) -> Publication | None:
    """What is published, or None where nothing is.

    Raises
    ------
    StoreError
        when the file is there and cannot be understood.
    """
    if not path.exists():
        return None
    return Publication.from_json(path, read_json_object(path))


def published_files(publication: Publication) -> Mapping[tuple[str, str, str], str]:
    """(scan_id, digest, relative path) -> sha256, over all scans of a publication."""
    return {
        (scan_id, scan.digest, path): sha256
        for scan_id, scan in publication.scans.items()
        for path, sha256 in scan.files.items()
    }
