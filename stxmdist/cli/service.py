"""Commands that run for long or measure: serve, watch, demo, bench."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import Screen


@app.command()
def serve(
    campaigns: Annotated[list[Path] | None, typer.Argument(metavar="CAMPAIGN", help="Campaign files.")] = None,
    port: Annotated[int, typer.Option(help="Port of the Prefect server.")] = 4200,
    watch_minutes: Annotated[float, typer.Option(help="Minutes between two searches for new scans.")] = 5.0,
    nightly: Annotated[str, typer.Option(help="When statistics and report are renewed, as a cron line.")] = "0 2 * * *",
    timezone: Annotated[str, typer.Option(help="Time zone of the schedules.")] = "UTC",
    pages: Annotated[int, typer.Option(help="Port of the dashboard; 0 takes any that is free.")] = 4242,
) -> None:
    """Start a Prefect server, a Dask cluster, the dashboard and the scheduled runs of campaigns; stop with Ctrl-C."""
    from flows.schedules import Schedules
    from flows.serve import serve as serve_forever
    from stxmdist.dashboard.serve import Place, serving

    paths = campaigns or [Path("campaign.yaml")]
    schedules = Schedules(watch_minutes=watch_minutes, nightly_cron=nightly, timezone=timezone)
    screen = Screen(as_json=False)
    with serving(paths, Place(port=pages)) as address:
        screen.say(f"Dashboard        {address}")
        serve_forever(paths, port=port, schedules=schedules, say=screen.say, pages=address)


@app.command()
def dashboard(
    campaigns: Annotated[list[Path] | None, typer.Argument(metavar="CAMPAIGN", help="Campaign files.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any that is free.")] = 4242,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that everybody must know, readable by you alone.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Name under which others ask for the pages, such as a reverse proxy's.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Path under which a reverse proxy shows the pages, such as /beam.")] = "",
) -> None:
    """Show the pages that a group follows at the beamtime; stop with Ctrl-C."""
    from stxmdist.dashboard.access import Access
    from stxmdist.dashboard.serve import Place, read_token, serve_pages

    access = Access(read_token(token_file), frozenset(each.casefold() for each in name or ()))
    serve_pages(campaigns or [Path("campaign.yaml")], Place(host, port, prefix, access), Screen(as_json=False).say)


@app.command()
def watch(
    campaign: CampaignFile,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Only analyse scans while they are measured; begin no run of the campaign.")
    ] = False,
    no_prefect: Annotated[bool, typer.Option("--no-prefect", help="Begin runs without a Prefect server.")] = False,
) -> None:
    """Follow scans while they are measured: maps grow with each energy, statistics with each scan; stop with Ctrl-C.

    `serve` does the same for its campaigns.
    """
    from stxmdist.planning.live import STAGES, LiveService
    from stxmdist.planning.live_run import RunBeside
    from stxmdist.planning.live_warm import warm
    from stxmdist.planning.received import Beside, Received, said_once
    from stxmdist.planning.written_back import WritesBack, WritesBeside

    words = [sys.executable, "-m", "stxmdist", "run", campaign, *(["--no-prefect"] if no_prefect else [])]
    runs = RunBeside(words)
    say = Screen(as_json=False).say
    service = LiveService(
        Path(campaign),
        say,
        (lambda: False) if no_run else runs,
        sources=(Beside(Received(said_once(say))),),
        write_back=WritesBeside(WritesBack(say)),
    )
    try:
        service.run(stop=lambda: False, prepare=lambda: warm(STAGES))
    finally:
        runs.close()


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A finished wide-field scan: an SDF header, or HDF5.")],
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    row_s: Annotated[float, typer.Option("--row-s", help="Seconds from one row to the next.")] = 0.2,
    energy_s: Annotated[float, typer.Option("--energy-s", help="Seconds between two energies.")] = 2.0,
    stop_after: Annotated[
        int | None, typer.Option("--stop-after", help="Rows after which the scan is aborted; without it, never.")
    ] = None,
) -> None:
    """Write a finished scan once more at the pace of a beamline, to try out `watch` without one."""
    from stxmdist.simulation.replay import Pace, at_pace
    from stxmdist.simulation.replay import replay as steps_of

    screen = Screen(as_json=False)
    for written in at_pace(steps_of(file, target, stop_after=stop_after), Pace(row_s, energy_s)):
        if written.whole:
            screen.say(f"energy {written.energy} written")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
    as_json: Json = False,
) -> None:
    """Simulate a small campaign, run it, and compare the recovered values with the true ones."""
    from stxmdist.campaign.manifest import load
    from stxmdist.cli.results import print_score
    from stxmdist.cli.runs import run_campaign
    from stxmdist.commands.inputs import simulate as simulate_campaign
    from stxmdist.planning.stages import STAGES
    from stxmdist.scoring.score import score as score_against_truth

    screen = Screen(as_json=as_json)
    began = time.perf_counter()
    campaign = folder / "campaign.yaml"
    if not campaign.exists():
        screen.note(f"1/3 simulate a small campaign in {folder}")
        made = simulate_campaign(folder, "small", seed, workers=2, note=screen.note)
        screen.note(f"    {made.n_scans} scans, {made.bytes / 1e6:.0f} MB, {made.seconds:.1f} s")
    screen.note(f"2/3 run it: {len(STAGES)} stages through Prefect on Dask")
    outcome = run_campaign(screen, str(campaign))
    screen.note("3/3 compare with the truth of the simulation")
    score = score_against_truth(load(campaign, lenient=True).store, folder / "truth")
    screen.table(outcome["stages"], title="What ran")
    screen.say()
    print_score(screen, score)
    screen.say()
    screen.verdict(outcome["verdict"])
    report = folder / "store" / "report" / "index.html"
    seconds = time.perf_counter() - began
    screen.say(f"Simulated data, recovered in {seconds:.0f} s. Report: {report}")
    screen.document({"outcome": outcome, "score": score, "report": str(report), "seconds": seconds})
    raise typer.Exit(DONE if outcome["complete"] and outcome["verdict"]["usable"] else IN_PART)


@app.command()
def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="all, ptychography, fit, stage, segment; scheduler (hundreds of simulated workers), scale (hours), "
            "store (a bucket) and large (needs 8 GB of disk) by name alone."
        ),
    ] = "all",
    store: Annotated[str | None, typer.Option(help="The bucket that `store` measures: s3://bucket/prefix.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast this machine runs the most expensive computations, compared with their limits."""
    from stxmdist.bench.stages import run_bench

    screen = Screen(as_json=as_json)
    rows = run_bench(what, store=store, note=screen.note)
    screen.table(rows)
    screen.document({"python": sys.version.split()[0], "rows": rows})
