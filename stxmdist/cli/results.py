"""Commands about what has come out: status, verify, gc, report, score."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import Screen


@app.command()
def status(
    campaign: CampaignFile,
    notes: Annotated[bool, typer.Option("--notes", help="Show what was assumed when files were read.")] = False,
    as_json: Json = False,
) -> None:
    """Show how far every scan is, what failed and why, and what came out."""
    from stxmdist.campaign.manifest import load
    from stxmdist.commands.going_run import seen
    from stxmdist.planning.notes import alike
    from stxmdist.planning.status import status_of

    screen = Screen(as_json=as_json)
    run = seen(load(campaign, lenient=True))
    found = status_of(campaign)
    screen.table(found.summary())
    for refusal in found.refusals:
        screen.say(f"failed: {refusal.scan_id}: {refusal.sentence}")
    screen.notes(alike(found.notes), len(found.notes), campaign, most=None if notes else 0)
    for line in found.outdated:
        screen.say(line)
    if run is not None:
        screen.say(run.sentence)
    screen.say(found.sentence)
    screen.verdict(found.verdict.document())
    screen.document(
        {
            "verdict": found.verdict.document(),
            "run": run,
            "scans": found.rows,
            "outdated": found.outdated,
            "failed": [vars(refusal) | {"sentence": refusal.sentence} for refusal in found.refusals],
            "complete": found.complete,
            "notes": dict(found.notes),
        }
    )
    raise typer.Exit(DONE if found.complete and found.verdict.usable else IN_PART)


@app.command()
def verify(
    campaign: CampaignFile,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="Read the beamline files and references whole as well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute the checksums of all published files and compare them with the recorded ones."""
    from stxmdist.commands.keeping import verify as verify_store

    screen = Screen(as_json=as_json)
    found = verify_store(campaign, inputs=inputs)
    for finding in found.findings:
        screen.say(str(finding))
    screen.say(found.sentence)
    for path in found.changed_inputs:
        screen.say(f"{path}: holds something else than when it was read; `stxmdist run` takes it as new.")
    changed = [str(path) for path in found.changed_inputs]
    if found.inputs is not None:
        screen.say(f"{found.inputs} files from outside read whole, {len(changed)} of them not as they were.")
    document: dict[str, object] = {"whole": found.whole, "findings": [vars(finding) for finding in found.findings]}
    screen.document(document | ({"changed_inputs": changed} if inputs else {}))
    raise typer.Exit(IN_PART if found.findings or changed else DONE)


@app.command()
def gc(
    campaign: CampaignFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove files that nothing refers to: outputs of earlier options, and leftovers of crashes."""
    from stxmdist.commands.keeping import gc as collect

    screen = Screen(as_json=as_json)
    found = collect(campaign, dry_run=dry_run)
    for path in found.paths:
        screen.say(("would remove " if dry_run else "removed ") + str(path))
    screen.say(found.sentence)
    screen.document({"dry_run": dry_run, "paths": [str(path) for path in found.paths], "bytes": found.bytes})


@app.command()
def report(campaign: CampaignFile, as_json: Json = False) -> None:
    """Draw the HTML report again from the published results."""
    from stxmdist.commands.runs import draw_report

    screen = Screen(as_json=as_json)
    drawn = draw_report(campaign)
    for sentence in drawn.refusals:
        screen.say(f"not done: {sentence}")
    screen.verdict(drawn.verdict)
    for line in drawn.outdated:
        screen.say(line)
    screen.say(str(drawn.page))
    screen.document(
        {
            "report": str(drawn.page),
            "complete": drawn.complete,
            "outdated": drawn.outdated,
            "verdict": drawn.verdict,
        }
    )
    raise typer.Exit(DONE if drawn.complete and drawn.verdict["usable"] else IN_PART)


@app.command()
def score(campaign: CampaignFile, as_json: Json = False) -> None:
    """Compare the results of a simulated campaign with its truth."""
    from stxmdist.campaign.manifest import load
    from stxmdist.scoring.score import score as score_against_truth

    screen = Screen(as_json=as_json)
    loaded = load(campaign, lenient=True)
    found = score_against_truth(loaded.store, Path(campaign).parent / "truth")
    print_score(screen, found)
    screen.document(found)


def print_score(screen: Screen, found: dict[str, Any]) -> None:
    """Print tables of recovered and true values, and which targets are met."""
    for name, title in (
        ("particles", "Particles wider than eight PSF sigmas, recovered against true"),
        ("conditions", "The same of wide-field scans, by what makes particles hard"),
        ("variance", "Variance of state of charge: shares of the total without noise"),
        ("electrodes", "State of charge of the electrodes, recovered against true"),
        ("effects", "Slopes of state of charge, recovered against planted"),
        ("ptychography", "Ptychography: object against truth, resolution, second mode, registration"),
        ("metrics", "Metrics of particles, recovered against true"),
    ):
        if found[name]:
            screen.table(found[name], title=title)
            screen.say()
    if found["missing"]:
        screen.say("These scans have no published particles and enter no figure: " + ", ".join(found["missing"]))
    missed = [target for target, met in found["passed"].items() if not met]
    screen.say(f"{len(found['passed']) - len(missed)} of {len(found['passed'])} targets met"
               + (f"; missed: {', '.join(missed)}" if missed else ""))  # fmt: skip
