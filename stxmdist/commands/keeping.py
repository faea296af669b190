"""What looks after a store: whether it is whole, and what of it nothing refers to."""

from dataclasses import dataclass
from pathlib import Path

from storage.contents import Contents
from storage.gc import collect
from storage.place import Place
from storage.store import Store
from storage.verify import Finding
from storage.verify import verify as verify_store
from stxmdist.campaign.manifest import load
from stxmdist.markup import list_html, paragraph_html


@dataclass(frozen=True)
class Verified:
    """Whether what is published is what was written."""

    findings: tuple[Finding, ...]
    """Published files that are missing, changed or unreadable"""
    inputs: int | None = None
    """How many files from outside were read whole; None where they were not looked at"""
    changed_inputs: tuple[Path, ...] = ()
    """Those that hold something else than when they were read"""

    @property
    def whole(self) -> bool:
        """Whether every published file is as it was written."""
        return not self.findings

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        count = f"{len(self.findings)} file{'' if len(self.findings) == 1 else 's'} not as published."
        return count if self.findings else "Every published file is as it was written."

    def _repr_html_(self) -> str:
        changed = [f"{path}: holds something else than when it was read" for path in self.changed_inputs]
        return paragraph_html(self.sentence) + list_html([*map(str, self.findings), *changed])


@dataclass(frozen=True)
class Collected:
    """What nothing refers to."""

    paths: tuple[Place, ...]
    bytes: int
    dry_run: bool
    """Whether it was only named, and is still there"""

    @property
    def sentence(self) -> str:
        """How much it is."""
        return f"{len(self.paths)} folders and files, {self.bytes / 1e6:.1f} MB"

    def _repr_html_(self) -> str:
        what = "would be removed" if self.dry_run else "removed"
        return paragraph_html(f"{self.sentence} {what}") + list_html(map(str, self.paths))


def verify(path: str | Path, *, inputs: bool = False) -> Verified:
    """Compute the digests of all published files again; with ``inputs``, read the beamline files whole as well.

    Raises
    ------
    CampaignError
        for a campaign that cannot be read.
    StoreError
        where there is no store yet.
    """
    store = Store(load(path, lenient=True).store).open()
    findings = tuple(verify_store(store))
    if not inputs:
        return Verified(findings)
    looked_at, changed = Contents(store.root).recheck()
    return Verified(findings, looked_at, tuple(changed))


def gc(path: str | Path, *, dry_run: bool = False) -> Collected:
    """Remove what nothing refers to: outputs of earlier options, and leftovers of crashes.

    Raises
    ------
    CampaignError
        for a campaign that cannot be read.
    StoreError
        where there is no store yet.
    """
    store = Store(load(path, lenient=True).store).open()
    paths, n_bytes = collect(store, dry_run=dry_run)
    return Collected(tuple(paths), n_bytes, dry_run)
