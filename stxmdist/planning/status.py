"""State of a campaign: one row for each scan, one word for each stage."""

from dataclasses import dataclass
from pathlib import Path

from storage.store import Store
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.outdated import outdated, sentences
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Refusal, receipts_of


@dataclass(frozen=True)
class Status:
    """State of every scan and stage."""

    rows: list[dict[str, str]]
    refusals: tuple[Refusal, ...]
    outdated: tuple[str, ...] = ()
    """What is published and not as the campaign asks for it now, in sentences"""

    @property
    def complete(self) -> bool:
        """Whether everything is done."""
        words = {word for row in self.rows for name, word in row.items() if name != "scan"}
        return not self.refusals and words <= {"done", ""}

    @property
    def sentence(self) -> str:
        """The state in one line."""
        if self.complete:
            return "Everything is done."
        failed = f"{len(self.refusals)} could not be done; " if self.refusals else ""
        return f"{failed}`stxmdist run` computes what is missing, `stxmdist retry` runs the failed units again."


def status_of(path: str | Path) -> Status:
    """Compare what is published with what the campaign asks for now; reads headers and records only."""
    campaign, options = campaign_and_options(path)
    survey = survey_of(campaign, options)
    if not (campaign.store / "store.json").exists():
        rows = [
            {"scan": scan.scan_id} | dict.fromkeys(_stages_of(survey, scan.scan_id), "missing")
            for scan in campaign.scans
        ]
        return Status(_filled(rows), survey.refusals)
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
            elif any(not survey.published(*source) for source in survey.stage(name).upstream(survey, scan_id)):
                row[name] = "waits"
            else:
                row[name] = f"{done} units" if (done := len(receipts_of(output))) else "missing"
        rows.append(row)
    return Status(_filled(rows), tuple(dict.fromkeys(refusals)), sentences(outdated(survey)))


def _filled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"scan": row["scan"]} | {name: row.get(name, "") for name in STAGES} for row in rows]


def _stages_of(survey: Survey, scan_id: str) -> list[str]:
    stages = {name: survey.stage(name) for name in STAGES}
    if scan_id == CAMPAIGN:
        return [name for name, stage in stages.items() if stage.whole_campaign]
    if scan_id not in survey.scans:
        return list(STAGES)
    return [name for name, stage in stages.items() if stage.concerns(survey, scan_id)]
