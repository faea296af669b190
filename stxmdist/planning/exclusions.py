"""What is left out before any particle is seen, where and why: rows of the table of exclusions."""

from dataclasses import dataclass

from stxmdist.planning.findings import HEADER
from stxmdist.planning.survey import Survey
from stxmdist.runner.unit import Refusal


@dataclass(frozen=True)
class Exclusion:
    """What was left out of the statistics, where and why: a row of the table ``exclusions``."""

    what: str
    """``scan``, ``unit`` or ``particle``"""
    scan_id: str
    stage: str
    where: str
    """Row, unit or place"""
    why: str
    n: int = 1
    """How many"""


def exclusions(survey: Survey) -> tuple[Exclusion, ...]:
    """Scans that the sheet excludes, scans that cannot be read or understood, and units that failed."""
    rows = [
        Exclusion("scan", scan.scan_id, "sample sheet", "row", scan.reason or "excluded")
        for scan in survey.campaign.excluded
    ]
    for finding in survey.findings:
        if finding.stage is not None:
            stage = finding.stage if finding.unit == HEADER else finding.unit
            rows.append(Exclusion("scan", finding.scan_id, stage, finding.refusal.where, finding.refusal.sentence))
    for name in survey.stages:
        stage_record = survey.stage(name)
        if stage_record.whole_campaign:
            break
        for scan_id in survey.scans:
            if stage_record.concerns(survey, scan_id) and survey.ready(name, scan_id):
                rows += [
                    Exclusion("unit", scan_id, name, unit, Refusal.from_dict(reason).reason)
                    for unit, reason in survey.output(name, scan_id).quarantined().items()
                ]
    return tuple(rows)
