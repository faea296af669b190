"""Export what is published of a campaign to one format."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.export import EXPORTERS
from stxmdist.export.pieces import Lack, Offer, put_in_place, size_of
from stxmdist.export.source import Source


@dataclass(frozen=True)
class Written:
    """One exported file or folder."""

    scan_id: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Exported:
    """What an export has left."""

    format: str
    folder: str
    written: tuple[Written, ...]
    lacks: tuple[Lack, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is there."""
        return not self.lacks


def export(
    path: str | Path,
    to: str,
    *,
    out: str | Path | None = None,
    scans: Sequence[str] = (),
    force: bool = False,
) -> Exported:
    """Write the published results of a campaign, or of some of its scans, for other programs.

    Parameters
    ----------
    path
        the campaign file
    to
        one of ``EXPORTERS``
    out
        folder, made if absent; ``export/<to>`` beside the campaign file if not given
    scans
        only these; all if empty
    force
        replace what an earlier export left

    Raises
    ------
    InputError
        for an unknown format or scan, a folder inside the store, files that are there already, a full disk.
    """
    exporter = EXPORTERS[to].load()
    campaign = load(path, lenient=True)
    store = Store(campaign.store).open()
    chosen = tuple(campaign.scan(scan_id) for scan_id in dict.fromkeys(scans)) or campaign.scans
    folder = Path(out).absolute() if out is not None else campaign.path.parent / "export" / to
    if folder.resolve().is_relative_to(campaign.store.resolve()):
        raise InputError(
            where=folder,
            problem="the export would lie in the store, which holds only what stages write",
            got=str(folder),
            wanted=f"a folder outside {campaign.store}",
            mend="Name another folder with --out",
        )
    time = datetime.now(UTC).isoformat(timespec="seconds")
    offer: Offer = exporter(Source(campaign, store, chosen, bool(scans), time))
    if not force:
        _refuse_to_overwrite(folder, offer)
    written = []
    for piece in offer.pieces:
        target = put_in_place(piece, folder)
        written.append(Written(piece.scan_id, str(target), size_of(target)))
    return Exported(to, str(folder), tuple(written), offer.lacks, offer.notes)


def _refuse_to_overwrite(folder: Path, offer: Offer) -> None:
    there = [piece.name for piece in offer.pieces if (folder / piece.name).exists()]
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise InputError(
            where=folder,
            problem="the export would overwrite files",
            got=", ".join(there[:3]) + more,
            wanted="a folder without them",
            mend="Add --force to replace them, or name another folder with --out",
        )


def as_document(exported: Exported) -> dict[str, Any]:
    """An export in lists and mappings, for JSON."""
    return {
        "format": exported.format,
        "folder": exported.folder,
        "written": [vars(item) for item in exported.written],
        "not_exported": [vars(lack) for lack in exported.lacks],
        "notes": list(exported.notes),
        "complete": exported.complete,
    }
