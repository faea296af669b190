"""Commands about the hosts that compute: cluster check, certificates."""

from pathlib import Path
from typing import Annotated

import typer

from stxmdist.cli.app import DONE, CampaignFile, Json, app
from stxmdist.cli.runs import ClusterOption
from stxmdist.cli.screen import Screen

clusters = typer.Typer(help="Look at the cluster that a campaign names.", no_args_is_help=True)
app.add_typer(clusters, name="cluster")


@clusters.command()
def check(
    campaign: CampaignFile,
    cluster: ClusterOption = None,
    wait: Annotated[float, typer.Option(help="Seconds until a worker must have come.", min=1.0)] = 120.0,
    as_json: Json = False,
) -> None:
    """Start one worker, see whether it has the same versions and sees the store and the files, and end it again."""
    from stxmdist.commands.clusters import check as check_cluster

    screen = Screen(as_json=as_json)
    checked = check_cluster(campaign, cluster, most_seconds=wait, note=screen.note)
    screen.say(checked.sentence)
    for difference in checked.differences:
        screen.say(f"note: {difference}; numbers may differ in their last digits")
    screen.document(checked.as_dict())
    raise typer.Exit(DONE)


@app.command()
def certificates(
    folder: Annotated[
        Path | None, typer.Option(help="Where to write them; without it where every run of yours looks for them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make certificates with which hosts encrypt what they say and refuse everybody else."""
    from stxmdist.commands.clusters import make_certificates

    screen = Screen(as_json=as_json)
    made = make_certificates(folder)
    screen.say(f"{made}: ca.pem, cert.pem and key.pem; whoever has the key can run programs as you")
    screen.document({"folder": str(made)})
    raise typer.Exit(DONE)
