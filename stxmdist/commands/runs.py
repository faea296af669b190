"""What computes, or says what computing would take: plan, run, report."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stxmdist.commands.notes import Note, unsaid
from stxmdist.markup import list_html, paragraph_html, table_html
from stxmdist.planning.changed_options import ChangedOptions
from stxmdist.planning.execute import CampaignRun, RunRequest, RunSummary, campaign_and_options
from stxmdist.planning.forecast import Forecast, forecast_of
from stxmdist.planning.outdated import outdated, sentences
from stxmdist.planning.verdict import VerdictDocument
from stxmdist.runner.run import Watcher, nobody_watches


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    document: RunSummary
    """What ``stxmdist run --json`` prints"""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is done."""
        return self.document["complete"]

    @property
    def usable(self) -> bool:
        """Whether each scan has a particle with a state of charge."""
        return self.document["verdict"]["usable"]

    @property
    def stages(self) -> pd.DataFrame:
        """A row for each stage: units that ran, were there before, and failed; seconds."""
        return pd.DataFrame(self.document["stages"])

    @property
    def refusals(self) -> pd.DataFrame:
        """What could not be done, and why; ``sentence`` has it all."""
        return pd.DataFrame(self.document["refusals"])

    @property
    def scans(self) -> pd.DataFrame:
        """What each scan gave, and why it gave few."""
        return pd.DataFrame(self.document["verdict"]["by_scan"])

    @property
    def report(self) -> Path | None:
        """The report's page; None where there is none yet."""
        return None if self.document["report"] is None else Path(self.document["report"])

    def __str__(self) -> str:
        return f"{self.document['sentence']}. {self.document['verdict']['sentence']}"

    def _repr_html_(self) -> str:
        rows = [dict(row) for row in self.document["stages"]]
        poor = [
            f"{scan['scan_id']}: {scan['sentence']}" for scan in self.document["verdict"]["by_scan"] if scan["sentence"]
        ]
        failed = dict.fromkeys(f"{each['scan_id']}: {each['sentence']}" for each in self.document["refusals"])
        return paragraph_html(str(self)) + table_html(rows) + list_html([*failed, *poor])


@dataclass(frozen=True)
class DrawnReport:
    """A report that was drawn again."""

    page: Path
    complete: bool
    """Whether it was drawn whole, of results that are as the campaign asks for now"""
    outdated: tuple[str, ...]
    """What it shows and is not as the campaign asks for now, in sentences"""
    refusals: tuple[str, ...]
    verdict: VerdictDocument

    def _repr_html_(self) -> str:
        return paragraph_html(f"{self.page}: {self.verdict['sentence']}") + list_html([*self.refusals, *self.outdated])


def plan(
    path: str | Path,
    stages: Collection[str] = (),
    scans: Collection[str] = (),
    options: ChangedOptions | None = None,
) -> Forecast:
    """Forecast units, bytes, memory and time of a run; computes nothing.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file, and of options that are changed.
    InputError
        for a stage or a scan that there is none of.
    """
    campaign, read = campaign_and_options(path, options)
    for scan_id in scans:
        campaign.scan(scan_id)
    return forecast_of(campaign, read, tuple(stages), tuple(scans))


def run(
    request: RunRequest,
    *,
    prefect: bool = True,
    watch: Watcher = nobody_watches,
    note: Note = unsaid,
) -> RunSummary:
    """Bring a campaign up to date: every stage in order, only what is missing; how it ended.

    Parameters
    ----------
    prefect
        whether a Prefect server records the run; it takes seconds to start, so none is where nothing is missing
    watch
        sees the progress after every unit
    note
        takes a line for people at a time

    Raises
    ------
    InputError
        for mistakes of the campaign or of the request, and a cluster or server that does not answer.
    """
    running = CampaignRun(request)
    idle = not request.retry and not running.pending()
    if not idle and running.page.exists():
        note(f"Until this run is over, the report of before: {running.page}")
    if not prefect or (idle and not os.environ.get("PREFECT_API_URL")):
        with running:
            for name in running.stages:
                running.stage(name, watch)
            return running.summary()
    # Prefect takes seconds to import.
    from flows.embedded import run_embedded

    return run_embedded(running, watch, note, idle=idle)


def draw_report(path: str | Path, options: ChangedOptions | None = None) -> DrawnReport:
    """Draw the HTML report again from the published results.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file.
    """
    with CampaignRun(RunRequest(str(path), ("report",), cluster="inline", options=options or {})) as running:
        running.stage("report")
        outcome = running.summary()
        old = sentences(outdated(running.survey))
        page = running.page
    refusals = tuple(f"{refusal['scan_id']}: {refusal['sentence']}" for refusal in outcome["refusals"])
    return DrawnReport(page, outcome["complete"] and not old, old, refusals, outcome["verdict"])
