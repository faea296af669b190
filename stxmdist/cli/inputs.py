"""Commands about what comes in: simulate, inspect, init, options, validate."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from stxmdist.cli.app import DONE, WRONG_INPUT, CampaignFile, Json, app
from stxmdist.cli.screen import Screen


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; created if it does not exist.")],
    size: Annotated[
        str,
        typer.Option(help="small (the demo), medium (one day of beamtime), large, or hard (what goes wrong)."),
    ] = "small",
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes; one per core of this machine if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a campaign: beamline files in their real formats, sample sheet, campaign file and the truth."""
    from stxmdist.commands.inputs import simulate as simulate_campaign

    screen = Screen(as_json=as_json)
    made = simulate_campaign(folder, size, seed, workers=workers, note=screen.note)
    screen.say(f"{made.n_scans} scans, {made.bytes / 1e6:.0f} MB, in {made.seconds:.1f} s: {folder}")
    screen.say(f"Next: stxmdist run {folder / 'campaign.yaml'}")
    screen.document(
        {"folder": str(folder), "n_scans": made.n_scans, "bytes": made.bytes, "seconds": made.seconds}
        | {"campaign": str(folder / "campaign.yaml")}
    )


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A beamline file.")],
    as_json: Json = False,
) -> None:
    """Describe what a beamline file contains."""
    from stxmdist.commands.inputs import inspect as inspect_file

    screen = Screen(as_json=as_json)
    found = inspect_file(file)
    screen.say(f"{found.source}")
    screen.say(f"  {found.kind}, format {found.format}")
    for name, value in found.facts.items():
        if name == "notes" and isinstance(value, list):
            for note in value:
                screen.say(f"  note: {note}")
        elif value not in (None, ""):
            screen.say(f"  {name:<28} {_short(value)}")
    for lack in found.lacks:
        screen.say(f"  the file does not say: {lack}")
    screen.say("  stxmdist can process it" if found.usable else f"  stxmdist cannot process it: {found.refusal}")
    screen.document(
        {
            "source": str(found.source),
            "format": found.format,
            "kind": found.kind,
            "usable": found.usable,
            "refusal": found.refusal,
            "facts": found.facts,
            "lacks": list(found.lacks),
        }
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and len(value) > 8:
        return f"{len(value)} values, {_short(value[0])} to {_short(value[-1])}"
    return str(value)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of beamline files.")],
    as_json: Json = False,
) -> None:
    """Write a commented campaign.yaml and a samples.csv to fill in, from a folder of files; later add what is new."""
    from stxmdist.commands.inputs import init as write_campaign

    screen = Screen(as_json=as_json)
    written = write_campaign(folder)
    screen.say(str(written))
    screen.document(written.as_dict())


@app.command()
def options(
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="A stage, or a part of one: fit, fit.classes, fit.fitter.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the options of the stages, as a campaign file has them under `stages`: default, unit, meaning."""
    from stxmdist.planning.described_options import described_stage, options_below
    from stxmdist.planning.stages import STAGES

    screen = Screen(as_json=as_json)
    found = options_below(key) if key else [each for stage in STAGES for each in described_stage(stage)]
    for option in found:
        default = f": {option.default_text}" if option.default_text else ":"
        screen.say(f"{option.key}{default}{f'  [{option.unit}]' if option.unit else ''}")
        screen.say(f"    {option.meaning}{'' if option.group else f' ({option.wanted})'}")
    screen.document([option.as_dict() for option in found])


@app.command()
def validate(campaign: CampaignFile, as_json: Json = False) -> None:
    """List every mistake in a campaign file and its sample sheet, with line numbers and how to correct each one."""
    from stxmdist.planning.validation import in_words
    from stxmdist.planning.validation import validate as validate_campaign

    screen = Screen(as_json=as_json)
    found = validate_campaign(campaign)
    for problem in found.problems:
        screen.say(("warning: " if problem.warning else "") + problem.sentence)
    for note in in_words(found.notes):
        screen.say(f"note: {note}")
    count = found.mistakes
    if not count:
        screen.say(f"{campaign} has no mistakes: {found.scans} scans.")
    else:
        screen.say(f"{count} mistake{'' if count == 1 else 's'}.")
    screen.document(
        {
            "valid": not count,
            "scans": found.scans,
            "problems": [problem.as_dict() for problem in found.problems],
            "notes": [asdict(scan) for scan in found.notes],
        }
    )
    raise typer.Exit(WRONG_INPUT if count else DONE)
