"""The command line as a process: its threads, its signals, and how errors leave it."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

# The commands register themselves on `app`.
from stxmdist.cli import clusters, design, energies, exports, inputs, results, runs, service  # noqa: F401
from stxmdist.cli.app import IN_PART, WRONG_INPUT, app
from stxmdist.cli.screen import Screen
from stxmdist.errors import BrokenOffError, Explained


def main() -> None:
    """Run the command line; an explained error is one message and status 2, a traceback is for bugs only."""
    # BLAS threads would compete with the worker processes.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    ended_by = signal.SIGINT

    def terminate(number: int, frame: FrameType | None) -> None:
        nonlocal ended_by
        ended_by = signal.SIGTERM
        raise KeyboardInterrupt

    # A batch system or `kill` ends a run as Ctrl-C does: workers and server end with it.
    signal.signal(signal.SIGTERM, terminate)
    try:
        app()
    except Explained as error:
        status = IN_PART if isinstance(error, BrokenOffError) else WRONG_INPUT
        _leave(status, error.sentence, error.as_dict() | {"sentence": error.sentence})
    except OSError as error:
        # A refusal of the file system is for the user to correct; an error that names no file is a bug.
        if error.filename is None:
            raise
        sentence = f"{error.filename}: the file system refuses; got {error.strerror}, wanted a place that can be used. "
        sentence += "Check the path, its permissions and the room on the disk."
        _leave(WRONG_INPUT, sentence, {"where": str(error.filename), "got": str(error.strerror), "sentence": sentence})
    except SystemExit as left:
        # Typer makes this status of a KeyboardInterrupt.
        if left.code == 128 + signal.SIGINT:
            sentence = "interrupted; finished units are kept, and the same command continues from there"
            _leave(128 + ended_by, sentence, {"sentence": sentence})
        raise


def _leave(status: int, sentence: str, document: dict[str, str]) -> NoReturn:
    Screen(as_json="--json" in sys.argv).document({"error": document})
    if os.environ.get("STXMDIST_LOG") == "json":
        from stxmdist.logs import log, set_up

        set_up()
        log.error(sentence)
    else:
        sys.stderr.write(f"stxmdist: {sentence}\n")
    raise SystemExit(status)
