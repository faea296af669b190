"""State of a campaign: one row for each scan, one word for each stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from storage.store import Store
from stxmdist.markup import list_html, paragraph_html, table_html
from stxmdist.planning.changed_options import ChangedOptions
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.notes import notes_of
from stxmdist.planning.outdated import outdated, sentences
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.planning.verdict import ScanVerdict, Verdict, verdict_of
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Refusal, receipts_of


@dataclass(frozen=True)
class Status:
    """State of every scan and stage."""

    rows: list[dict[str, str]]
    refusals: tuple[Refusal, ...]
    verdict: Verdict = field(default_factory=Verdict)
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    """Scan to what its reader assumed"""
    outdated: tuple[str, ...] = ()
    """What is published and not as the campaign asks for it now, in sentences"""

    @property
    def complete(self) -> bool:
        """Whether everything is done."""
        words = {word for row in self.rows for name, word in row.items() if name != "scan"}
        return not self.refusals and words <= {"done", ""}

    def summary(self) -> list[dict[str, str | int | None]]:
        """The same in few columns: stages done of those that concern a scan, what is not done, particles."""
        found = {scan.scan_id: scan for scan in self.verdict.scans}
        words = {
            row["scan"]: {name: word for name, word in row.items() if name != "scan" and word} for row in self.rows
        }
        names = [*words, *(scan_id for scan_id in found if scan_id not in words)]
        return [_summary(name, words.get(name, {}), found.get(name)) for name in names]

    def table(self) -> pd.DataFrame:
        """A row for each scan, and one for the campaign; a column for each stage, with a word."""
        return pd.DataFrame(self.rows)

    def _repr_html_(self) -> str:
        failed = [f"failed: {refusal.scan_id}: {refusal.sentence}" for refusal in self.refusals]
        said = paragraph_html(f"{self.sentence} {self.verdict.document()['sentence']}")
        return said + table_html(self.summary()) + list_html([*failed, *self.outdated])

    @property
    def sentence(self) -> str:
        """The state in one line."""
        if self.complete:
            return "Everything is done." if self.verdict.usable else "Every stage is done, not every scan is usable."
        failed = f"{len(self.refusals)} could not be done; " if self.refusals else ""
        return f"{failed}`stxmdist run` computes what is missing, `stxmdist retry` runs the failed units again."


def status_of(path: str | Path, changed: ChangedOptions | None = None) -> Status:
    """Compare what is published with what the campaign asks for now; reads headers and records only.

    ``changed`` options stand above those of the campaign file.
    """
    campaign, options = campaign_and_options(path, changed)
    survey = survey_of(campaign, options)
    if not (campaign.store / "store.json").exists():
        rows = [
            {"scan": scan.scan_id} | dict.fromkeys(_stages_of(survey, scan.scan_id), "missing")
            for scan in campaign.scans
        ]
        return Status(_filled(rows), survey.refusals, verdict_of(survey))
    Store(campaign.store).open()
    refusals = list(survey.refusals)
    rows = []
    for scan_id in [*survey.scans, CAMPAIGN]:
        row: dict[str, str] = {"scan": scan_id}
        for name in _stages_of(survey, scan_id):
            output = survey.output(name, scan_id)
            set_aside = output.quarantined()
            refusals += [Refusal.from_dict(reason) for reason in set_aside.values()]
            if survey.published(name, scan_id):
                row[name] = "done"
            elif set_aside:
                row[name] = "failed"
            elif survey.stopped(name, scan_id):
                row[name] = "refused"
            elif any(not survey.published(*source) for source in survey.stage(name).upstream(survey, scan_id)):
                row[name] = "waits"
            else:
                row[name] = f"{done} units" if (done := len(receipts_of(output))) else "missing"
        rows.append(row)
    *of_scans, of_campaign = rows
    arriving = [{"scan": scan_id} | dict.fromkeys(STAGES, "waits") for scan_id in survey.arriving]
    rows = [*of_scans, *arriving, of_campaign]
    return Status(
        _filled(rows), tuple(dict.fromkeys(refusals)), verdict_of(survey), notes_of(survey), sentences(outdated(survey))
    )


def _summary(name: str, words: Mapping[str, str], scan: ScanVerdict | None) -> dict[str, str | int | None]:
    """The row of a scan, or of the campaign; ``words`` are those of the stages that concern it."""
    judged = scan if scan is not None and scan.state == "done" else None
    done = sum(word == "done" for word in words.values())
    return {
        "scan": name,
        "stages": f"{done}/{len(words)}" if words else "",
        "state": _state_of(words),
        "particles": None if judged is None else judged.particles,
        "with soc": None if judged is None else judged.particles_with_soc,
    }


def _state_of(words: Mapping[str, str]) -> str:
    """What is not done; stages that wait for another are named only where nothing else is."""
    if not words:
        return "refused"
    if set(words.values()) == {"missing"}:
        return "not begun"
    named = [f"{name} {word}" for name, word in words.items() if word not in ("done", "waits")]
    waiting = [f"{name} waits" for name, word in words.items() if word == "waits"]
    return ", ".join(named or waiting[:1]) or "done"


def _filled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"scan": row["scan"]} | {name: row.get(name, "") for name in STAGES} for row in rows]


def _stages_of(survey: Survey, scan_id: str) -> list[str]:
    stages = {name: survey.stage(name) for name in STAGES}
    if scan_id == CAMPAIGN:
        return [name for name, stage in stages.items() if stage.whole_campaign]
    if scan_id not in survey.scans:
        return list(STAGES)
    return [name for name, stage in stages.items() if stage.concerns(survey, scan_id)]
