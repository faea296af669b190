"""A run of the campaign in a process of its own, for a service that has no time to wait for it."""

import subprocess
from collections.abc import Sequence


class RunBeside:
    """Begins a run unless the last one that it began is still under way."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> bool:
        """Whether a run was begun; what it says is kept in the store, as of every run."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return True

    def close(self) -> None:
        """Stop the run that is under way; its finished units are kept."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
