"""What is left out, where and why: rows of the table of exclusions."""

from dataclasses import dataclass

from stxmdist.planning.refused import refused_before, set_aside
from stxmdist.planning.survey import Survey
from stxmdist.planning.verdict import ScanVerdict, verdict_of


@dataclass(frozen=True)
class Exclusion:
    """What was left out of the statistics, where and why: a row of the table ``exclusions``."""

    what: str
    """``scan``, ``unit``, ``particle`` or ``pixel``"""
    scan_id: str
    stage: str
    where: str
    """Row, unit or place"""
    why: str
    n: int = 1
    """How many"""


def exclusions(survey: Survey) -> tuple[Exclusion, ...]:
    """Scans that the sheet excludes, scans that cannot be read or understood, units that failed, particles without a
    state of charge, and the pixels of scans that gave few.
    """
    rows = [
        Exclusion("scan", scan.scan_id, "sample sheet", "row", scan.reason or "excluded")
        for scan in survey.campaign.excluded
    ]
    for refused in refused_before(survey):
        refusal = refused.refusal
        rows.append(Exclusion("scan", refusal.scan_id, refused.stage, refusal.where, refusal.sentence))
    for refused in set_aside(survey):
        refusal = refused.refusal
        rows.append(Exclusion("unit", refusal.scan_id, refused.stage, refusal.unit, refusal.reason))
    for scan in verdict_of(survey).scans:
        rows += _without_soc(scan)
    return tuple(rows)


def _without_soc(scan: ScanVerdict) -> list[Exclusion]:
    """Particles that have no state of charge, and where those are most of a scan, the pixels that took it."""
    particles = [
        Exclusion("particle", scan.scan_id, "segment", "state of charge", why, n)
        for why, n in (scan.without_soc or {}).items()
    ]
    if scan.state == "done" and not scan.particles:
        particles = [Exclusion("scan", scan.scan_id, "segment", "particles", scan.sentence)]
    return particles + [
        Exclusion("pixel", scan.scan_id, "fit", pixels.place, f"{pixels.mask_class}: {pixels.why}", pixels.n)
        for pixels in scan.lost
    ]
