"""The store: a folder or bucket whose outputs are keyed by digest, and the one switch that makes them visible."""

import json
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from storage.atomic import read_json, replace_json
from storage.bucket import BucketPath
from storage.errors import StoreError
from storage.output import Output
from storage.place import Place, kind_of, place_of
from storage.publication import Publication, read_publication, write_publication

FORMAT = "stxmdist-store"
VERSION = 1
LIVE = "live"
"""Folder for what is known of scans that are still being measured"""
LIVE_PASS = f"{LIVE}/.pass"
"""Lock of whoever computes those beside a run of all the others"""
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=,@ -]{0,199}")


def safe_name(kind: str, name: str) -> str:
    """A name that is one folder and no way out of it.

    Raises
    ------
    StoreError
        for names with separators, leading dots or characters that file systems dislike.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise StoreError(
            where=kind,
            problem=f"the {kind} cannot name a folder of the store",
            got=repr(name),
            wanted="1 to 200 letters, digits, or any of _ . + = , @ - and blank, not starting with a dot",
            mend="Rename it",
        )
    return name


@dataclass(frozen=True)
class Store:
    """A campaign's folder, or its part of a bucket.

    ``stages/<stage>/<scan_id>/<digest>/`` holds outputs, ``published/<stage>.json`` and the records that it names say
    which of them are visible.
    """

    root: Place

    def __init__(self, root: str | Path | BucketPath) -> None:
        object.__setattr__(self, "root", place_of(root))

    @property
    def local(self) -> Path:
        """A folder of this machine for what concerns no other: how far a run is, logs; the store if it is one."""
        return kind_of(self.root).local(self.root)

    @property
    def stages_path(self) -> Place:
        """Where outputs lie, visible or not."""
        return self.root / "stages"

    @property
    def published_path(self) -> Place:
        """Where the publications lie, one JSON file per stage, and their records."""
        return self.root / "published"

    @property
    def tables_path(self) -> Place:
        """The digest folder whose tables are current, or the link to it."""
        return self.shown("tables")

    @property
    def report_path(self) -> Place:
        """The digest folder whose report is current, or the link to it."""
        return self.shown("report")

    def shown(self, name: str) -> Place:
        """What a link of the store shows: the link itself in a folder, and what it says in a bucket."""
        shown: Place = kind_of(self.root).pointed(self.root / name)
        return shown

    @property
    def _identity_path(self) -> Place:
        return self.root / "store.json"

    def create(self) -> "Store":
        """Make the store where there is none; open it where there is one.

        Raises
        ------
        StoreError
            when the folder holds something else, or a store of another version.
        """
        if self._identity_path.exists():
            return self.open()
        found = sorted(entry.name for entry in self.root.iterdir()) if self.root.is_dir() else []
        if any(not name.startswith(".") for name in found):
            if self._identity_path.exists():
                # Another has made it since the first look.
                return self.open()
            raise StoreError(
                where=self.root,
                problem="the folder holds files and is not a store",
                got=", ".join(found[:5]),
                wanted="an empty folder, or none",
                mend="Name another folder as the campaign's store",
            )
        replace_json(self._identity_path, {"format": FORMAT, "version": VERSION})
        return self

    def open(self) -> "Store":
        """Check that this is a store of this version.

        Raises
        ------
        StoreError
            when it is not.
        """
        if not self._identity_path.exists():
            raise StoreError(
                where=self.root,
                problem="there is no store here",
                got="no store.json",
                wanted=f"a folder that {FORMAT} version {VERSION} made",
                mend="Run the campaign first, or correct the path of its store",
            )
        identity = read_json(self._identity_path)
        if identity != {"format": FORMAT, "version": VERSION}:
            raise StoreError(
                where=self._identity_path,
                problem="another version of stxmdist wrote this store",
                got=json.dumps(identity),
                wanted=json.dumps({"format": FORMAT, "version": VERSION}),
                mend="Name a new folder as the campaign's store and run again, or use the version that wrote it",
            )
        return self

    def output(self, stage: str, scan_id: str, digest: str) -> Output:
        """The output of one stage for one scan under one digest, whether it exists or not; makes nothing."""
        names = safe_name("stage", stage), safe_name("scan_id", scan_id), safe_name("digest", digest)
        return Output(self.stages_path.joinpath(*names))

    def publication(self, stage: str) -> Publication | None:
        """What is visible of a stage, or None."""
        return read_publication(self.publication_path(stage))

    def publication_path(self, stage: str) -> Place:
        """The file that says what is visible of a stage."""
        return self.published_path / f"{safe_name('stage', stage)}.json"

    def published_stages(self) -> tuple[str, ...]:
        """The stages of which something is visible, by name."""
        return tuple(sorted(path.stem for path in self.published_path.glob("*.json") if not path.name.startswith(".")))

    def publish(self, publication: Publication, before: Publication | None = None) -> None:
        """Make a stage's outputs visible, all at once, in the place of the publication that was read ``before``.

        Raises
        ------
        Overtaken
            in a bucket, where another has published since then.
        StoreError
            when the digest folder of a scan that is new or another, or one of its files, is not there, or the
            publication cannot be written: what was published stays.
        """
        there_before = {} if before is None else before.scans
        for scan_id, scan in publication.scans.items():
            if there_before.get(scan_id) == scan:
                continue
            output = self.output(publication.stage, scan_id, scan.digest)
            if not output.path.is_dir():
                raise _unpublishable(output.path, scan_id, "no such folder")
            there = {name for name, _ in kind_of(output.path).files(output.path)}
            for name in scan.files:
                if name not in there:
                    raise _unpublishable(output.path / name, scan_id, "no such file")
        write_publication(self.publication_path(publication.stage), publication, before)

    def published_output(self, stage: str, scan_id: str) -> Output | None:
        """The visible output of a stage for a scan, or None; one that failed is named there, and not visible."""
        publication = self.publication(stage)
        if publication is None or scan_id not in publication.scans or publication.scans[scan_id].state == "failed":
            return None
        return self.output(stage, scan_id, publication.scans[scan_id].digest)

    def lock(self, purpose: str = "run", name: str = ".lock") -> AbstractContextManager[None]:
        """Hold the store, or what ``name`` stands for in it, against a second holder; a lock ends with its process.

        In a bucket, that of a process that died on another machine ends after a while.

        Raises
        ------
        StoreError
            when another holds it, saying who.
        """
        return kind_of(self.root).hold(self.root / name, purpose)

    def held(self, name: str = ".lock") -> bool:
        """Whether some process holds a lock now."""
        return self.holder(name) is not None

    def holder(self, name: str = ".lock") -> str | None:
        """Who holds a lock now: ``run, process 12 on HOST``; None where nobody does."""
        return kind_of(self.root).holder(self.root / name)

    def publishing(self) -> AbstractContextManager[None]:
        """Wait until no other process reads publications to write them: those of two runs then keep both.

        In a bucket nobody waits: whoever puts a publication second has to read again (``Overtaken``).

        Raises
        ------
        StoreError
            when there is no store here.
        """
        return kind_of(self.root).publishing(self.open()._identity_path)


def _unpublishable(where: Place, scan_id: str, got: str) -> StoreError:
    return StoreError(
        where=where,
        problem=f"scan {scan_id} cannot be published, its output is not whole",
        got=got,
        wanted="every file that the publication names",
        mend="Run the stage for this scan again",
    )
