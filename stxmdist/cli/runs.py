"""Commands that compute, or say what computing would take: plan, run, retry."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import Screen

if TYPE_CHECKING:
    from stxmdist.planning.changed_options import ChangedOptions
    from stxmdist.planning.execute import RunRequest, RunSummary

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
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option above the campaign file's, such as fit.classes.most_od=2; may be given several times.",
    ),
]
MOST_NOTES = 8
"""Lines of notes at the end of a run; `status --notes` shows all of them."""

NoPrefect = Annotated[bool, typer.Option("--no-prefect", help="Run without a Prefect server.")]


@app.command()
def plan(
    campaign: CampaignFile,
    stage: Stages = None,
    scan: Scans = None,
    assigned: Set = None,
    as_json: Json = False,
) -> None:
    """Forecast the number of units, bytes, memory and time of each stage; computes nothing."""
    from stxmdist.commands.runs import plan as plan_campaign
    from stxmdist.planning.validation import in_words

    screen = Screen(as_json=as_json)
    forecast = plan_campaign(campaign, stage or (), scan or (), _options(assigned))
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
    assigned: Set = None,
    cluster: ClusterOption = None,
    no_prefect: NoPrefect = False,
    as_json: Json = False,
) -> None:
    """Process a campaign through Prefect on Dask; a second run computes only what is missing."""
    from stxmdist.planning.execute import RunRequest

    request = RunRequest(campaign, tuple(stage or ()), tuple(scan or ()), cluster, options=_options(assigned))
    _run(Screen(as_json=as_json), request, no_prefect)


@app.command()
def retry(
    campaign: CampaignFile,
    stage: Stages = None,
    scan: Scans = None,
    assigned: Set = None,
    cluster: ClusterOption = None,
    no_prefect: NoPrefect = False,
    as_json: Json = False,
) -> None:
    """Run the units again that failed in earlier runs, and what else is missing."""
    from stxmdist.planning.execute import RunRequest

    request = RunRequest(campaign, tuple(stage or ()), tuple(scan or ()), cluster, True, _options(assigned))
    _run(Screen(as_json=as_json), request, no_prefect)


def _options(assigned: list[str] | None) -> "ChangedOptions":
    from stxmdist.planning.assigned_options import assigned_options, split_assignment

    return assigned_options(map(split_assignment, assigned or ()))


def _run(screen: Screen, request: "RunRequest", no_prefect: bool) -> None:
    from stxmdist.planning.notes import alike

    outcome = run_request(screen, request, no_prefect)
    screen.table(outcome["stages"])
    # What readers assumed is said when they read, and counted afterwards.
    fresh = any(row["stage"] == "ingest" and row["run"] for row in outcome["stages"])
    screen.notes(alike(outcome["notes"]), len(outcome["notes"]), request.path, most=MOST_NOTES if fresh else 0)
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


def run_campaign(screen: Screen, campaign: str) -> "RunSummary":
    """Run a campaign through Prefect; how it ended."""
    from stxmdist.planning.execute import RunRequest

    return run_request(screen, RunRequest(campaign))


def run_request(screen: Screen, request: "RunRequest", no_prefect: bool = False) -> "RunSummary":
    """Run what is asked for, with its progress on standard error; how it ended."""
    from stxmdist.cli.progress import ProgressBars
    from stxmdist.commands.runs import run

    bars = ProgressBars()
    try:
        return run(request, prefect=not no_prefect, watch=bars, note=screen.note)
    finally:
        bars.close()
