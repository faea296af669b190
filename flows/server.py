"""A Prefect server for one run: the configured one, the one that `serve` started, or a new one."""

import fcntl
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from flows.environment import EMBEDDED, home
from flows.listening import listening_socket
from flows.password import GIVEN_BY_CLIENTS, of_server, password
from stxmdist.errors import InputError

START_LIMIT_SECONDS = 180.0
"""A first start creates the database and may take half a minute on a busy laptop."""

DATABASES = 16
"""SQLite serves one server well and two badly, so each server that runs at a time has one of its own."""


class PrefectServer(Protocol):
    """A server that records flow runs."""

    api_url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What Prefect's clients must read to speak to it."""

    def wait(self) -> str:
        """Wait until it answers; its address."""

    def stop(self) -> None:
        """End it, if it was started for this block."""


def is_healthy(api_url: str, timeout: float = 1.0) -> bool:
    """Whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=timeout) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        # A server behind a gate may keep its health to itself; it is there.
        return error.code < 500
    except (urllib.error.URLError, OSError, ValueError):
        return False


class RunningServer:
    """A server that somebody else started, and that stays."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    @property
    def environment(self) -> Mapping[str, str]:
        """Its address, and the password if it is one of ours: nobody else is told that."""
        ours = self.api_url == serving() and GIVEN_BY_CLIENTS not in os.environ
        return {"PREFECT_API_URL": self.api_url} | ({GIVEN_BY_CLIENTS: password()} if ours else {})

    def wait(self) -> str:
        """The address of the server, which answers.

        Raises
        ------
        InputError
            when it does not.
        """
        if not is_healthy(self.api_url, timeout=10.0):
            raise InputError(
                where="PREFECT_API_URL",
                problem="no Prefect server answers",
                got=self.api_url,
                wanted="the address of a running server, such as http://127.0.0.1:4200/api",
                mend="Start it, or unset PREFECT_API_URL: a run then starts its own server",
            )
        return self.api_url

    def stop(self) -> None:
        """Leave the server alone."""


class OwnServer:
    """A Prefect server in a process of its own, on loopback, with its log in a file.

    With ``lasting``, one with pages, schedules and every service of Prefect; without, one that only takes down what a
    single run does.
    """

    def __init__(self, port: int = 0, *, lasting: bool = False) -> None:
        listening = listening_socket("127.0.0.1", port, "the Prefect server cannot listen there")
        self.port = int(listening.getsockname()[1])
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        self.log = home() / f"server-{self.port}.log"
        database, self._slot = _free_database(home())
        environment = dict(os.environ, PREFECT_API_URL=self.api_url, PREFECT_UI_API_URL="/api", **of_server())
        environment.setdefault("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{database}")
        # The log is a file, which nobody is disturbed by.
        environment["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"
        if not lasting:
            environment |= EMBEDDED
        with self.log.open("w") as log, listening:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.server_process", str(listening.fileno())],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its other end closes when this process ends, however it ends, and then the server ends too.
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
                # Ctrl-C is for this process, which has yet to tell the server what became of the run.
                start_new_session=True,
            )

    @property
    def environment(self) -> Mapping[str, str]:
        """Its address, and the password that it asks for."""
        return {"PREFECT_API_URL": self.api_url, GIVEN_BY_CLIENTS: password()}

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
            time.sleep(0.05)
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
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self._slot is not None:
            os.close(self._slot)
            self._slot = None
        if self.log.exists() and not self.log.stat().st_size:
            self.log.unlink()

    def __enter__(self) -> "OwnServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_database(folder: Path) -> tuple[Path, int | None]:
    """The first database that no other server of this user has open, and the descriptor whose lock says so."""
    for number in range(DATABASES):
        path = folder / ("prefect.db" if number == 0 else f"prefect-{number}.db")
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return path, descriptor
    return folder / "prefect.db", None


def announce(server: OwnServer, dask_address: str | None) -> Path:
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


def prefect_server() -> PrefectServer:
    """The server that `PREFECT_API_URL` names, else the one that `serve` runs, else a new one, which is starting.

    Raises
    ------
    InputError
        when `PREFECT_API_URL` names a server that does not answer.
    """
    configured = os.environ.get("PREFECT_API_URL") or serving()
    if configured is None:
        return OwnServer()
    running = RunningServer(configured)
    running.wait()
    return running
