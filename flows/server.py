"""A Prefect server for the length of a block: the configured one, the one that `serve` started, or a new one."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stxmdist.errors import InputError

START_LIMIT_SECONDS = 180.0
"""A first start creates the database and may take half a minute on a busy laptop."""


def prepare_environment() -> None:
    """Set what Prefect reads from the environment when it is imported; what the user has set stays."""
    defaults = {
        "PREFECT_HOME": str(_home()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_CLI_PROMPT": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "stxmdist" / "prefect"


def home() -> Path:
    """Where Prefect keeps its database: history only, it may be deleted at any time."""
    folder = Path(os.environ.get("PREFECT_HOME") or _home())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_healthy(api_url: str, timeout: float = 1.0) -> bool:
    """Whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=timeout) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A Prefect server in a process of its own, on loopback, with its log in a file."""

    def __init__(self, port: int, *, pages: bool) -> None:
        self.port = port
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.log = home() / f"server-{port}.log"
        environment = dict(os.environ, PREFECT_API_URL=self.api_url)
        environment["PREFECT_SERVER_UI_ENABLED"] = "true" if pages else "false"
        environment["PREFECT_UI_API_URL"] = self.api_url
        if not pages:
            # Nothing is scheduled on a server that lives as long as one run.
            environment["PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED"] = "false"
            environment["PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED"] = "false"
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def wait(self) -> str:
        """Wait until the server answers; its address.

        Raises
        ------
        InputError
            when it ended, or does not answer in time.
        """
        began = time.monotonic()
        while time.monotonic() - began < START_LIMIT_SECONDS:
            if is_healthy(self.api_url):
                return self.api_url
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing in its log"]
        self.stop()
        raise InputError(
            where="Prefect server",
            problem="the server did not start",
            got=last[0][:300],
            wanted=f"an answer from {self.api_url}/health within {START_LIMIT_SECONDS:.0f} s",
            mend=f"Read {self.log}; run with `--no-prefect` to go on without a server",
        )

    def stop(self) -> None:
        """End the process that this object started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def announce(server: Server, dask_address: str | None) -> Path:
    """Leave word of a server that stays, so that runs from other shells use it."""
    note = home() / "serving.json"
    note.write_text(json.dumps({"api_url": server.api_url, "pid": os.getpid(), "dask": dask_address}))
    return note


def serving() -> str | None:
    """Address of the server that `stxmdist serve` started, if it still answers."""
    note = home() / "serving.json"
    try:
        api_url = str(json.loads(note.read_text())["api_url"])
    except (OSError, ValueError, KeyError):
        return None
    return api_url if is_healthy(api_url) else None


@contextmanager
def prefect_server() -> Iterator[str]:
    """The address of a Prefect server: `PREFECT_API_URL`, else the one that `serve` runs, else one for this block.

    Starting one takes seconds; it starts at once and is waited for when the block begins.
    """
    prepare_environment()
    configured = os.environ.get("PREFECT_API_URL") or serving()
    if configured:
        os.environ["PREFECT_API_URL"] = configured
        yield configured
        return
    server = Server(free_port(), pages=False)
    os.environ["PREFECT_API_URL"] = server.api_url
    try:
        yield server.wait()
    finally:
        server.stop()
        os.environ.pop("PREFECT_API_URL", None)
