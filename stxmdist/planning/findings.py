"""What is found against a scan before anything runs, at its line of the sample sheet."""

from dataclasses import dataclass

from stxmdist.campaign.problems import Problem
from stxmdist.runner.unit import Refusal

FROM_THE_FIRST = "ingest"
"""The stage from which on a scan is not processed at all"""
HEADER = "header"
"""What refusals of files, and of scans by what their headers say, have for a unit"""
SHEET_ROW = "sample sheet"
"""The same of rows with a mistake"""


@dataclass(frozen=True)
class Finding:
    """One reason against processing a scan, or one warning."""

    scan_id: str
    problem: Problem
    """At the scan's line of the sample sheet, or at the line of the campaign file that is wrong for the scan"""
    stage: str | None = FROM_THE_FIRST
    """The scan is processed no further than to before this stage; None: it is processed all the same"""
    unit: str = HEADER

    @property
    def refusal(self) -> Refusal:
        """The same as what a run could not do."""
        found = self.problem
        where = f"{found.place} {found.where}".strip()
        return Refusal(self.scan_id, self.unit, where, found.problem, found.got, found.wanted, found.mend)
