"""The application that commands register on, and what they share."""

import os
from enum import StrEnum
from typing import Annotated

import typer

DONE, IN_PART, WRONG_INPUT = 0, 1, 2
"""Exit statuses: everything is done; something failed, is named, and the rest is published; the input is wrong."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
CampaignFile = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Path of a campaign.yaml.")]

app = typer.Typer(
    name="stxmdist",
    help="From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


class LogForm(StrEnum):
    """What `--log` takes."""

    words = "words"
    json = "json"


def _version(wanted: bool) -> None:
    if wanted:
        from stxmdist import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def stxmdist(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    log: Annotated[
        LogForm | None,
        typer.Option("--log", help="Say on standard error what is done, a line each; else warnings alone."),
    ] = None,
) -> None:
    """From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics."""
    if log is not None:
        from stxmdist.logs import FORM_VARIABLE

        # Workers and flows inherit it.
        os.environ[FORM_VARIABLE] = log.value
