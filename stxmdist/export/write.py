"""Export what is published of a campaign to one format."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.export import EXPORTERS, Exporter, ExporterEntry
from stxmdist.export.offer import Lack, Offer, put_in_place, size_of
from stxmdist.export.source import ExportSource
from stxmdist.planning.published import PublishedCampaign
from stxmdist.runner import CAMPAIGN

MODALITIES = {"stxm": "wide-field", "ptychography": "ptychography"}
"""In words"""


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
    timezone: str | None = None,
    licence: str | None = None,
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
    timezone
        of recordings that do not name theirs, such as ``Europe/Berlin``; UTC if None, and the files say so
    licence
        of the data in an RO-Crate, by its identifier in the list of SPDX, such as ``CC-BY-4.0``

    Raises
    ------
    InputError
        for an unknown format, scan or time zone, a folder inside the store, files that are there already, a full disk.
    """
    entry = EXPORTERS[to]
    exporter = entry.load()
    campaign = load(path, lenient=True)
    store = Store(campaign.store).open()
    chosen = tuple(campaign.scan(scan_id) for scan_id in dict.fromkeys(scans)) or campaign.scans
    folder = Path(out).absolute() if out is not None else campaign.path.parent / "export" / to
    inside = isinstance(campaign.store, Path) and folder.resolve().is_relative_to(campaign.store.resolve())
    if inside:
        raise InputError(
            where=folder,
            problem="the export would lie in the store, which holds only what stages write",
            got=str(folder),
            wanted=f"a folder outside {campaign.store}",
            mend="Name another folder with --out",
        )
    time = datetime.now(UTC).isoformat(timespec="seconds")
    source = ExportSource(campaign, PublishedCampaign(store), chosen, bool(scans), time, zone_of(timezone), licence)
    offer = offer_of(entry, exporter, source)
    if not force:
        _refuse_to_overwrite(folder, offer)
    written = []
    for piece in offer.pieces:
        target = put_in_place(piece, folder)
        written.append(Written(piece.scan_id, str(target), size_of(target)))
    return Exported(to, str(folder), tuple(written), offer.lacks, tuple(dict.fromkeys(offer.notes)))


def offer_of(entry: ExporterEntry, exporter: Exporter, source: ExportSource) -> Offer:
    """All that a format can write of the scans, and what it lacks.

    A scan of another modality is left out without a word unless it was named, or no other scan is there.
    """
    if entry.whole_campaign:
        return _usable(entry, exporter, source, CAMPAIGN)
    fitting = [scan.scan_id for scan in source.scans if scan.modality in entry.modalities]
    offers = [_usable(entry, exporter, source, scan_id) for scan_id in fitting]
    others = [scan for scan in source.scans if scan.modality not in entry.modalities]
    if source.named:
        for scan in others:
            why = f"it is a {MODALITIES[scan.modality]} scan; take {_format_for(scan.modality)}"
            offers.append(Offer(lacks=(Lack(scan.scan_id, entry.what, why),)))
    elif others and not fitting:
        missing = " or ".join(MODALITIES[modality] for modality in entry.modalities)
        why = f"it holds no {missing} scan; take {_format_for(others[0].modality)}"
        offers.append(Offer(lacks=(Lack(CAMPAIGN, entry.what, why),)))
    return sum(offers, Offer())


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone of a name of the IANA data base.

    Raises
    ------
    InputError
        for a name that is not in it.
    """
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            where="--timezone",
            problem="there is no such time zone",
            got=name,
            wanted="a name such as Europe/Berlin or America/Los_Angeles",
            mend="Take the name from the list of time zones of the IANA",
        ) from error


def _usable(entry: ExporterEntry, exporter: Exporter, source: ExportSource, scan_id: str) -> Offer:
    for stage in entry.needs:
        why = source.published.why_unusable(stage, scan_id)
        if why:
            return Offer(lacks=(Lack(scan_id, entry.what, why),))
    return exporter(source, scan_id)


def _format_for(modality: str) -> str:
    """The formats that hold results of a modality, most special first."""
    fitting = {
        name: len(entry.modalities)
        for name, entry in EXPORTERS.items()
        if modality in entry.modalities and not entry.whole_campaign and not entry.writes_counts
    }
    return " or ".join(sorted(fitting, key=fitting.__getitem__))


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


def as_document(exported: Exported) -> dict[str, object]:
    """An export in lists and mappings, for JSON."""
    return {
        "format": exported.format,
        "folder": exported.folder,
        "written": [vars(item) for item in exported.written],
        "not_exported": [vars(lack) for lack in exported.lacks],
        "notes": list(exported.notes),
        "complete": exported.complete,
    }
