"""The home of a campaign: its scans, and how far each is."""

from dataclasses import dataclass

from stxmdist.dashboard.screen import Page, Screen
from stxmdist.dashboard.visit import Visit


@dataclass(frozen=True)
class ScanRow:
    """One scan."""

    scan_id: str
    address: str
    electrode: str
    modality: str
    stages: str


@dataclass(frozen=True, kw_only=True)
class BeamtimePage(Page):
    """The scans of a campaign in the order of the sheet."""

    rows: tuple[ScanRow, ...]


def page(visit: Visit) -> BeamtimePage:
    """Every scan with the stages that have published it."""
    now = visit.now
    rows = tuple(
        ScanRow(
            scan.scan_id,
            visit.link("scan", scan=scan.scan_id),
            scan.electrode_id,
            scan.modality,
            ", ".join(now.published.stages_of(scan.scan_id)) or "none yet",
        )
        for scan in now.campaign.scans
    )
    return BeamtimePage(title=now.campaign.name, rows=rows)


SCREEN = Screen(page)
