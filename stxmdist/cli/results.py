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
    from stxmdist.planning.notes import alike
    from stxmdist.planning.status import status_of

    screen = Screen(as_json=as_json)
    found = status_of(campaign)
    screen.table(found.summary())
    for refusal in found.refusals:
        screen.say(f"failed: {refusal.scan_id}: {refusal.sentence}")
    screen.notes(alike(found.notes), len(found.notes), campaign, most=None if notes else 0)
    for line in found.outdated:
        screen.say(line)
    screen.say(found.sentence)
    screen.verdict(found.verdict.document())
    screen.document(
        {
            "verdict": found.verdict.document(),
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
    from storage.contents import Contents
    from storage.store import Store
    from storage.verify import verify as verify_store
    from stxmdist.campaign.manifest import load

    screen = Screen(as_json=as_json)
    store = Store(load(campaign, lenient=True).store).open()
    findings = verify_store(store)
    for finding in findings:
        screen.say(str(finding))
    count = f"{len(findings)} file{'' if len(findings) == 1 else 's'} not as published."
    screen.say(count if findings else "Every published file is as it was written.")
    changed: list[Path] = []
    if inputs:
        looked_at, changed = Contents(store.root).recheck()
        for path in changed:
            screen.say(f"{path}: holds something else than when it was read; `stxmdist run` takes it as new.")
        screen.say(f"{looked_at} files from outside read whole, {len(changed)} of them not as they were.")
    document: dict[str, object] = {"whole": not findings, "findings": [vars(finding) for finding in findings]}
    screen.document(document | ({"changed_inputs": [str(path) for path in changed]} if inputs else {}))
    raise typer.Exit(IN_PART if findings or changed else DONE)


@app.command()
def gc(
    campaign: CampaignFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove files that nothing refers to: outputs of earlier options, and leftovers of crashes."""
    from storage.gc import collect
    from storage.store import Store
    from stxmdist.campaign.manifest import load

    screen = Screen(as_json=as_json)
    store = Store(load(campaign, lenient=True).store).open()
    paths, n_bytes = collect(store, dry_run=dry_run)
    for path in paths:
        screen.say(("would remove " if dry_run else "removed ") + str(path))
    screen.say(f"{len(paths)} folders and files, {n_bytes / 1e6:.1f} MB")
    screen.document({"dry_run": dry_run, "paths": [str(path) for path in paths], "bytes": n_bytes})


@app.command()
def report(campaign: CampaignFile, as_json: Json = False) -> None:
    """Draw the HTML report again from the published results."""
    from stxmdist.planning.execute import CampaignRun, RunRequest
    from stxmdist.planning.outdated import outdated, sentences

    screen = Screen(as_json=as_json)
    with CampaignRun(RunRequest(campaign, ("report",), cluster="inline")) as running:
        running.stage("report")
        outcome = running.summary()
        page = running.page
        old = sentences(outdated(running.survey))
    for refusal in outcome["refusals"]:
        screen.say(f"not done: {refusal['scan_id']}: {refusal['sentence']}")
    screen.verdict(outcome["verdict"])
    for line in old:
        screen.say(line)
    screen.say(str(page))
    complete = outcome["complete"] and not old
    screen.document({"report": str(page), "complete": complete, "outdated": old, "verdict": outcome["verdict"]})
    raise typer.Exit(DONE if complete and outcome["verdict"]["usable"] else IN_PART)


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
