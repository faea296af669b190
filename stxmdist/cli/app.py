"""The application: its commands, and how errors leave it."""

import os
import sys
from typing import Annotated

import typer

from stxmdist.errors import Explained

DONE, IN_PART, WRONG_INPUT = 0, 1, 2
"""Exit statuses: all done; what failed is named and the rest is published; the input is wrong."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
CampaignFile = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="A campaign.yaml.")]

app = typer.Typer(
    name="stxmdist",
    help="From a beamtime of soft X-ray microscopy on battery cathodes to publishable statistics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def main() -> None:
    """Run the command line; an explained error is one message and status 2, a traceback is for bugs only."""
    # The commands register themselves on `app`.
    from stxmdist.cli import inputs, results, runs, service  # noqa: F401

    # BLAS threads would compete with the worker processes.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        app()
    except Explained as error:
        from stxmdist.cli.screen import Screen

        if "--json" in sys.argv:
            Screen(as_json=True).document({"error": error.as_dict() | {"sentence": error.sentence}})
        sys.stderr.write(f"stxmdist: {error.sentence}\n")
        raise SystemExit(WRONG_INPUT) from None
    except KeyboardInterrupt:
        sys.stderr.write("stxmdist: interrupted; what was finished is kept, the same command goes on from there\n")
        raise SystemExit(130) from None
