"""What could not be done, and at which stage: headers, rows of the sheet, and units that failed."""

from collections.abc import Iterator
from dataclasses import dataclass

from stxmdist.planning.findings import HEADER
from stxmdist.planning.survey import Survey
from stxmdist.runner.unit import Refusal


@dataclass(frozen=True)
class Refused:
    """A refusal and where in the chain it stands."""

    stage: str
    """``sample sheet``, the stage from which on its header speaks against the scan, or that of the unit set aside"""
    refusal: Refusal


def refused_before(survey: Survey) -> tuple[Refused, ...]:
    """What was refused before any unit ran: what headers say against scans, and rows that are not understood."""
    stopped = [(finding, finding.stage) for finding in survey.findings if finding.stage is not None]
    return tuple(
        Refused(stage if finding.unit == HEADER else finding.unit, finding.refusal) for finding, stage in stopped
    )


def set_aside(survey: Survey) -> Iterator[Refused]:
    """Units of single scans that failed, stage after stage."""
    for name in survey.stages:
        stage = survey.stage(name)
        if stage.whole_campaign:
            return
        for scan_id in survey.scans:
            if stage.concerns(survey, scan_id) and survey.ready(name, scan_id):
                for written in survey.output(name, scan_id).quarantined().values():
                    yield Refused(name, Refusal.from_dict(written))
