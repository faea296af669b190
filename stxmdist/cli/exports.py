"""The command that writes results for other programs: export."""

from pathlib import Path
from typing import Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import Screen
from stxmdist.export import EXPORTERS


@app.command()
def export(
    campaign: CampaignFile,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"One of {', '.join(EXPORTERS)}.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder to write to; export/FORMAT beside the campaign if not given."
        ),
    ] = None,
    scan: Annotated[
        list[str] | None,
        typer.Option("--scan", metavar="ID", help="Export only this scan; may be given several times."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier export.")] = False,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Of recordings that name none: Europe/Berlin, say; else UTC."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="SPDX", help="Of the data in an RO-Crate, such as CC-BY-4.0."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export the published results for other programs, in standard formats, with units and provenance."""
    from stxmdist.export.write import as_document
    from stxmdist.export.write import export as export_campaign

    screen = Screen(as_json=as_json)
    done = export_campaign(campaign, to, out=out, scans=scan or (), force=force, timezone=timezone, licence=licence)
    for item in done.written:
        screen.say(f"{item.path}  {item.bytes / 1e6:.1f} MB")
    for note in done.notes:
        screen.say(f"note: {note}")
    for lack in done.lacks:
        screen.say(f"not exported: {lack.sentence}")
    count = len(done.written)
    screen.say(f"{count} {'piece' if count == 1 else 'pieces'} written to {done.folder}")
    screen.document(as_document(done))
    raise typer.Exit(DONE if done.complete else IN_PART)
