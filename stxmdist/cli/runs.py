"""Commands that compute, or say what computing would take: plan, run, retry."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import ProgressBars, Screen

if TYPE_CHECKING:
    from stxmdist.planning.execute import RunSummary

Stages = Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be given several times.")]
Scans = Annotated[
    list[str] | None, typer.Option("--scan", metavar="ID", help="Only this scan; may be given several times.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="SPEC",
        help="Address of a Dask scheduler (tcp://HOST:PORT), a number of workers, or `inline`.",
    ),
]
MOST_NOTES = 8
"""Lines of notes at the end of a run; `status --notes` shows all of them."""

NoPrefect = Annotated[bool, typer.Option("--no-prefect", help="Run without a Prefect server.")]


@app.command()
def plan(campaign: CampaignFile, stage: Stages = None, scan: Scans = None, as_json: Json = False) -> None:
    """Forecast the number of units, bytes, memory and time of each stage; computes nothing."""
    from stxmdist.commands.runs import plan as plan_campaign
    from stxmdist.planning.validation import in_words

    screen = Screen(as_json=as_json)
    forecast = plan_campaign(campaign, stage or (), scan or ())
    screen.table(forecast.rows(), title=f"Plan of {forecast.name}")
    screen.say(forecast.sentence)
    for refusal in forecast.refusals:
        screen.say(f"left out: {refusal.sentence}")
    for problem in forecast.warnings:
        screen.say(f"warning: {problem.sentence}")
    for note in in_words(forecast.notes):
        screen.say(f"note: {note}")
    screen.document(forecast.as_dict())
    raise typer.Exit(IN_PART if forecast.refusals else DONE)


@app.command()
def run(
    campaign: CampaignFile,
    stage: Stages = None,
    scan: Scans = None,
    cluster: ClusterOption = None,
    no_prefect: NoPrefect = False,
    as_json: Json = False,
) -> None:
    """Process a campaign through Prefect on Dask; a second run computes only what is missing."""
    _run(Screen(as_json=as_json), campaign, stage, scan, cluster, no_prefect, retry=False)


@app.command()
def retry(
    campaign: CampaignFile,
    cluster: ClusterOption = None,
    no_prefect: NoPrefect = False,
    as_json: Json = False,
) -> None:
    """Run the units again that failed in earlier runs."""
    _run(Screen(as_json=as_json), campaign, None, None, cluster, no_prefect, retry=True)


def _run(
    screen: Screen,
    campaign: str,
    stages: list[str] | None,
    scans: list[str] | None,
    cluster: str | None,
    no_prefect: bool,
    *,
    retry: bool,
) -> None:
    from stxmdist.planning.notes import alike

    outcome = run_campaign(screen, campaign, stages, scans, cluster, no_prefect, retry=retry)
    screen.table(outcome["stages"])
    # What readers assumed is said when they read, and counted afterwards.
    fresh = any(row["stage"] == "ingest" and row["run"] for row in outcome["stages"])
    screen.notes(alike(outcome["notes"]), len(outcome["notes"]), campaign, most=MOST_NOTES if fresh else 0)
    # Units of one scan that fail for the same reason are printed as one line.
    said = Counter(f"not done: {refusal['scan_id']}: {refusal['sentence']}" for refusal in outcome["refusals"])
    for line, times in said.items():
        screen.say(line if times == 1 else f"{line} ({times} units)")
    screen.say(outcome["sentence"] + f"; store {outcome['store']}")
    screen.verdict(outcome["verdict"])
    if outcome["report"]:
        screen.say(f"Report: {outcome['report']}")
    screen.document(outcome)
    raise typer.Exit(DONE if outcome["complete"] and outcome["verdict"]["usable"] else IN_PART)


def run_campaign(
    screen: Screen,
    campaign: str,
    stages: list[str] | None = None,
    scans: list[str] | None = None,
    cluster: str | None = None,
    no_prefect: bool = False,
    *,
    retry: bool = False,
) -> "RunSummary":
    """Run a campaign, through Prefect unless ``no_prefect``; returns how it ended."""
    from stxmdist.commands.runs import run as run_request
    from stxmdist.planning.execute import RunRequest

    request = RunRequest(campaign, tuple(stages or ()), tuple(scans or ()), cluster, retry)
    bars = ProgressBars()
    try:
        return run_request(request, prefect=not no_prefect, watch=bars, note=screen.note)
    finally:
        bars.close()
