"""The campaign as it stands at one moment: read once, and again when something of it has been published or written."""

import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

import pandas as pd

from storage.errors import StoreError
from storage.output import Output
from storage.place import Place, matching
from storage.store import Store
from stxmdist.campaign.manifest import Campaign, load
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.refused import NotHere
from stxmdist.planning.published import PublishedCampaign, simulated_scans

FiguresT = TypeVar("FiguresT")
KeptT = TypeVar("KeptT")


@dataclass(frozen=True)
class Snapshot:
    """What the campaign file, the sample sheet and the publications say at one moment. Tables are read on use."""

    version: str
    """Another one as soon as anything of it is written anew"""
    campaign: Campaign
    published: PublishedCampaign
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)
    _kept: dict[Hashable, object] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def scans(self) -> dict[str, Scan]:
        """Every row of the sample sheet that is processed, by its name."""
        return {scan.scan_id: scan for scan in self.campaign.scans}

    @cached_property
    def simulated(self) -> frozenset[str]:
        """Scans whose files were simulated, not measured."""
        return simulated_scans(self.campaign)

    def scan(self, scan_id: str) -> Scan:
        """A row of the sample sheet, one that is left out among them.

        Raises
        ------
        NotHere
            for a name that the sheet does not hold.
        """
        found = self.scans.get(scan_id)
        if found is None:
            found = next((scan for scan in self.campaign.excluded if scan.scan_id == scan_id), None)
        if found is None:
            raise NotHere(f"The sample sheet of this campaign has no scan {scan_id!r}.")
        return found

    def output(self, stage: str, scan_id: str) -> Output | None:
        """The published output of a stage for a scan, or None."""
        return self.published.output(stage, scan_id) if self.published.has(stage, scan_id) else None

    def figures(self, kind: type[FiguresT], stage: str, scan_id: str) -> FiguresT | None:
        """Quality figures of a stage for a scan; None where it is not published, or another version wrote them."""
        try:
            return self.published.figures(kind, stage, scan_id)
        except StoreError:
            return None

    def table(self, name: str) -> pd.DataFrame | None:
        """A table of the campaign; None where inference has published none of this name."""
        if name not in self._tables:
            found = self.published.table(name)
            if found is None:
                return None
            self._tables[name] = found
        return self._tables[name]

    def once(self, key: Hashable, make: Callable[[], KeptT]) -> KeptT:
        """What ``make`` gives, made once for this moment: for pages that show the same again and again."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast(KeptT, self._kept[key])

    @property
    def has_report(self) -> bool:
        """Whether a report is published."""
        return "report" in self.published.publications

    @property
    def last_published(self) -> str:
        """When the youngest of the published stages was published, ISO 8601; empty if none is."""
        return max((publication.time for publication in self.published.publications.values()), default="")


class Campaigns:
    """A campaign file and what is published of it: gives the snapshot of now, and reads only what has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._now: Snapshot | None = None
        self._looked_at: tuple[Place, ...] = (path,)

    def version(self) -> str:
        """A few letters that change when the campaign file, the sheet or a publication does; reads no file."""
        return _version_of(self._looked_at)

    def snapshot(self) -> Snapshot:
        """The campaign as it is now.

        Raises
        ------
        CampaignError
            while the campaign file has a mistake.
        """
        with self._lock:
            if self._now is None or self._now.version != self.version():
                campaign = load(self.path, lenient=True)
                store = Store(campaign.store)
                self._looked_at = (campaign.path, campaign.sheet_path, store.published_path)
                # Looked at before it is read: what is written meanwhile makes the next snapshot.
                version = self.version()
                published = PublishedCampaign(store)
                _ = published.publications
                self._now = Snapshot(version, campaign, published)
            return self._now


def _version_of(paths: Iterable[Place]) -> str:
    """From names, sizes and times of files, and of all JSON files in folders."""
    found = []
    for path in paths:
        for file in matching(path, "*.json") if path.is_dir() else [path]:
            try:
                about = file.stat()
            except OSError:
                continue
            found.append((file.name, about.st_size, about.st_mtime_ns, getattr(about, "st_ino", 0)))
    return sha256(json.dumps(found).encode()).hexdigest()[:16]
