"""Everything that can be said of a campaign before it runs: mistakes, warnings, and what readers had to assume."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stxmdist.campaign.manifest import Problem, examine
from stxmdist.markup import list_html, paragraph_html
from stxmdist.planning.changed_options import ChangedOptions, with_changed
from stxmdist.planning.headers import survey_of
from stxmdist.planning.notes import alike
from stxmdist.planning.options import mistakes_in_options, parse_options
from stxmdist.planning.survey import Survey


@dataclass(frozen=True)
class ScanNotes:
    """What a reader assumed of a scan's file, and what the file does not say."""

    scan_id: str
    line: int
    """Of the sample sheet"""
    notes: tuple[str, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class Validation:
    """What is wrong with a campaign, and what is assumed of it."""

    scans: int
    problems: tuple[Problem, ...]
    """Mistakes and warnings in the order of the files"""
    notes: tuple[ScanNotes, ...]

    @property
    def mistakes(self) -> int:
        """How many of the problems must be mended."""
        return sum(not problem.warning for problem in self.problems)

    def table(self) -> pd.DataFrame:
        """A row for each mistake and warning: file, line, what was got, what was wanted, what to do."""
        columns = ["file", "line", "where", "problem", "got", "wanted", "mend", "warning"]
        return pd.DataFrame([problem.as_dict() for problem in self.problems], columns=columns)

    def _repr_html_(self) -> str:
        said = [("warning: " if problem.warning else "") + problem.sentence for problem in self.problems]
        said += [f"note: {note}" for note in in_words(self.notes)]
        count = f"{self.scans} scans, {self.mistakes or 'no'} mistake{'' if self.mistakes == 1 else 's'}"
        return paragraph_html(count) + list_html(said)


def validate(path: str | Path, changed: ChangedOptions | None = None) -> Validation:
    """Read a campaign file, its sheet and the headers of its scans, and name everything at once.

    ``changed`` options stand above those of the campaign file.

    Examples
    --------
    >>> validate(path).scans
    4
    """
    campaign, problems = examine(path)
    if campaign is None:
        return Validation(0, tuple(dict.fromkeys((*problems, *mistakes_in_options(path)))), ())
    campaign = with_changed(campaign, changed or {})
    options, wrong = parse_options(campaign)
    survey = survey_of(campaign, options)
    found = sorted((finding.problem for finding in survey.findings), key=lambda problem: problem.line or 0)
    every = dict.fromkeys((*problems, *wrong, *found))
    return Validation(len(campaign.scans), tuple(every), notes_of(survey))


def notes_of(survey: Survey) -> tuple[ScanNotes, ...]:
    """What readers noted of the scans that are processed, in the order of the sheet."""
    return tuple(
        ScanNotes(scan_id, scan.line, survey.recordings[scan_id].notes, survey.recordings[scan_id].lacks)
        for scan_id, scan in survey.scans.items()
        if survey.recordings[scan_id].notes or survey.recordings[scan_id].lacks
    )


def in_words(notes: tuple[ScanNotes, ...]) -> list[str]:
    """One line for each thing that was noted, with the scans of which it was."""
    return alike(
        {
            f"{scan.scan_id} (line {scan.line})": [
                *scan.notes,
                *(f"the file does not say: {lack}" for lack in scan.lacks),
            ]
            for scan in notes
        }
    )
