"""What the unit of the report carries: how much to draw, and what the page needs beside the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stxmdist.campaign.scan import Scan
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.planning.exclusions import Exclusion
from stxmdist.planning.verdict import Verdict


@dataclass(frozen=True)
class Options:
    """How much is drawn; the tables beside always hold everything."""

    most_regions: int = 12
    """Regions in the gallery"""
    most_previews: int = 24
    """Scans that were read and not fitted"""
    picture_px: int = 320
    """Longest side of a map on the page"""
    pdf: bool = False
    """Each figure as PDF as well, besides SVG and PNG; it takes as long as both"""


@dataclass(frozen=True)
class ReportPart:
    """All that the page needs of the campaign beside the store."""

    name: str
    seed: int | None = None
    scans: tuple[Scan, ...] = ()
    """Rows of the sample sheet that are not excluded, readable or not"""
    excluded: tuple[Scan, ...] = ()
    """Rows that the sheet itself leaves out"""
    exclusions: tuple[Exclusion, ...] = ()
    """What was left out or failed before any particle was seen"""
    verdict: Verdict = field(default_factory=Verdict)
    """What the scans gave, and for those that gave few, why"""
    published: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(stage, scan) to the digest of what is published and shown"""
    outdated: tuple[str, ...] = ()
    """Which of it is not what the campaign asks for now, in sentences"""
    references: Mapping[str, EndMemberSource] = field(default_factory=dict)
    """Scan to where its end-members come from"""
    simulated: frozenset[str] = frozenset()
    """Scans whose files were simulated, not measured"""
    software: Mapping[str, str] = field(default_factory=dict)
    """Program to the version that draws the page"""
