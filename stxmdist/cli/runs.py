"""Commands that compute, or say what computing would take: plan, run, retry, cancel."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, NoReturn

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

Detach = Annotated[
    bool,
    typer.Option("--detach", help="Leave the run to itself: it goes on when the terminal is closed; see `cancel`."),
]
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
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Process a campaign through Prefect on Dask; a second run computes only what is missing."""
    from stxmdist.planning.execute import RunRequest

    if detach:
        _leave(campaign, stage, scan, assigned, cluster, no_prefect, as_json)
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
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Run the units again that failed in earlier runs, and what else is missing."""
    from stxmdist.planning.execute import RunRequest

    if detach:
        _leave(campaign, stage, scan, assigned, cluster, no_prefect, as_json, retry=True)
    request = RunRequest(campaign, tuple(stage or ()), tuple(scan or ()), cluster, True, _options(assigned))
    _run(Screen(as_json=as_json), request, no_prefect)


@app.command()
def cancel(
    campaign: CampaignFile,
    wait: Annotated[float, typer.Option(help="Seconds to wait until it has ended.", min=0.0)] = 60.0,
    as_json: Json = False,
) -> None:
    """End the run that goes on, as Ctrl-C does where it was started: finished units are kept."""
    from stxmdist.campaign.manifest import load
    from stxmdist.commands.going_run import cancel as end_run
    from stxmdist.commands.going_run import seen

    screen, loaded = Screen(as_json=as_json), load(campaign, lenient=True)
    ended = end_run(loaded, wait)
    found = seen(loaded)
    screen.say("" if found is None else found.sentence)
    screen.document({"ended": ended, "run": found})
    raise typer.Exit(DONE if ended else IN_PART)


def _leave(
    campaign: str,
    stage: list[str] | None,
    scan: list[str] | None,
    assigned: list[str] | None,
    cluster: str | None,
    no_prefect: bool,
    as_json: bool,
    *,
    retry: bool = False,
) -> NoReturn:
    """Start a run that outlives this command; say how to look at it and how to end it."""
    from stxmdist.commands.going_run import leave
    from stxmdist.commands.run_process import Wanted
    from stxmdist.planning.assigned_options import split_assignment

    options = dict(map(split_assignment, assigned or ()))
    wanted = Wanted(tuple(stage or ()), tuple(scan or ()), options, cluster or "", not no_prefect, retry)
    screen = Screen(as_json=as_json)
    left = leave(campaign, wanted)
    screen.say(left.sentence)
    screen.say(f"Log: {left.log}")
    screen.say(f"Look with `stxmdist status {campaign}`, end it with `stxmdist cancel {campaign}`.")
    screen.document({"run": left})
    raise typer.Exit(DONE if left.word in ("going", "done") else IN_PART)


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
    from stxmdist.logs import wanted_form
    from stxmdist.runner.run import nobody_watches

    if wanted_form() == "json":
        return run(request, prefect=not no_prefect, watch=nobody_watches, note=screen.note)
    bars = ProgressBars()
    try:
        return run(request, prefect=not no_prefect, watch=bars, note=screen.note)
    finally:
        bars.close()
