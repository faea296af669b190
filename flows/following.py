"""The processes that follow the scans of served campaigns; each ends when the process that started it has ended.

Not only a part to import: `python -m flows.following CAMPAIGN`.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_END = 10.0


@contextmanager
def following(paths: Sequence[Path]) -> Iterator[None]:
    """Follow the scans of campaigns, each in a process of its own, as long as the block lasts."""
    # The other end of standard input closes when this process ends, however it ends, and then they end too.
    command = [sys.executable, "-m", "flows.following"]
    processes = [
        subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE, start_new_session=True) for path in paths
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> None:
    """Follow one campaign until standard input ends or a signal comes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["stxmdist", "watch", sys.argv[1]]
    # The command line is a floor above, and is run as a module, as from a shell.
    runpy.run_module("stxmdist", run_name="__main__")


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
