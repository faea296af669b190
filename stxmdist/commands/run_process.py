"""Runs that are left to themselves: each a process of the command line, one at a time, its words kept in a folder.

Pages start them, and `run --detach`. The process inherits a lock from whoever starts it. The lock is free when the
process has ended, however it ended, and whether or not its starter still lives.
"""

import fcntl
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from storage.atomic import read_json_object, replace_json
from storage.errors import StoreError
from storage.store import Store
from stxmdist.campaign.manifest import Campaign
from stxmdist.errors import InputError
from stxmdist.records import read_from_json

LOG_LINES = 14
LOG_TAIL_BYTES = 20_000
START_LIMIT_SECONDS = 1.0
"""Another may hold the lock for the moment in which it looks whether it is free"""
ALONE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
runpy.run_module("stxmdist", run_name="__main__", alter_sys=True)
"""
"""`python -m stxmdist` that can be cancelled where its starter was started with nohup (what ignores SIGINT passes that
on to what it starts), and that goes on when the terminal is closed from which it was started."""

Ending = Literal["going", "done", "in part", "cancelled", "failed"]


@dataclass(frozen=True)
class Wanted:
    """What a run is asked to do."""

    stages: tuple[str, ...] = ()
    """Only these; all where none is named"""
    scans: tuple[str, ...] = ()
    """Likewise"""
    options: Mapping[str, str] = field(default_factory=dict)
    """Key (``fit.classes.most_od``) to text; what is not named is as in the campaign file"""
    cluster: str = ""
    """Workers, an address or ``inline``; empty: as in the campaign file"""
    prefect: bool = True
    retry: bool = False
    """Also the units that failed before and were set aside"""

    def arguments(self, campaign: Path) -> list[str]:
        """The command line that asks for the same; each option is one word, so that no value passes for an option."""
        cluster = [f"--cluster={self.cluster}"] if self.cluster else []
        alone = [] if self.prefect else ["--no-prefect"]
        chosen = [f"--stage={name}" for name in self.stages] + [f"--scan={name}" for name in self.scans]
        changed = [f"--set={key}={text}" for key, text in self.options.items()]
        return ["retry" if self.retry else "run", str(campaign), *chosen, *changed, *cluster, *alone]

    def command(self, campaign: Path) -> str:
        """The same for a terminal."""
        return shlex.join(["stxmdist", *self.arguments(campaign)])


@dataclass(frozen=True)
class Request:
    """What a run's folder says of how it was started."""

    command: str
    began: str
    """ISO 8601"""
    process: int
    host: str


@dataclass(frozen=True)
class LeftRun:
    """The run that was left to itself last."""

    folder: Path
    request: Request
    ending: Ending
    sentence: str
    """How it ended; empty while it goes on"""
    cancelled: str
    """When somebody asked it to end, ISO 8601; empty if nobody did"""
    log: tuple[str, ...]
    """Last lines"""

    @property
    def going(self) -> bool:
        """Whether it goes on."""
        return self.ending == "going"


def start(campaign: Campaign, wanted: Wanted) -> Path:
    """Start a run; the folder in which it keeps its words.

    Raises
    ------
    InputError
        while another run that was left to itself goes on.
    StoreError
        where the store cannot be made.
    """
    folder = _folder_of_runs(Store(campaign.store).create())
    with _taken(folder) as lock:
        began = datetime.now(UTC)
        own = folder / began.strftime("%Y-%m-%dT%H-%M-%S-%f")
        own.mkdir()
        arguments = [*wanted.arguments(campaign.path.resolve()), "--json"]
        with (own / "log.txt").open("wb") as log, (own / "result.json").open("wb") as result:
            process = subprocess.Popen(
                [sys.executable, "-c", ALONE, *arguments],
                cwd=campaign.path.parent,
                stdin=subprocess.DEVNULL,
                stdout=result,
                stderr=log,
                # Ctrl-C on the terminal of its starter is not for the run, nor is that this terminal is closed.
                start_new_session=True,
                pass_fds=[lock],
            )
        request = Request(
            wanted.command(campaign.path), began.isoformat(timespec="seconds"), process.pid, socket.gethostname()
        )
        replace_json(own / "request.json", request)
        # Somebody has to take note of its end, or it stays in the table of processes as long as its starter lives.
        threading.Thread(target=process.wait, name=f"run {process.pid}", daemon=True).start()
    return own


def last_run(campaign: Campaign) -> LeftRun | None:
    """The run of this campaign that was left to itself last; None where there was none."""
    folder = _folder_of_runs(Store(campaign.store))
    # Whether it goes on is asked first: what it wrote at its end is then there.
    taken = _is_taken(folder)
    for own in sorted(folder.glob("*/request.json"), reverse=True)[:1]:
        with suppress(StoreError):
            request = read_from_json(Request, read_json_object(own))
            return _read(own.parent, request, going=taken)
    return None


def _read(folder: Path, request: Request, *, going: bool) -> LeftRun:
    log, cancelled = _last_lines(folder / "log.txt"), ""
    with suppress(OSError):
        cancelled = (folder / "cancelled").read_text()
    if going:
        return LeftRun(folder, request, "going", "", cancelled, log)
    ending, sentence = _ending(folder, log, cancelled=bool(cancelled))
    return LeftRun(folder, request, ending, sentence, cancelled, log)


def _ending(folder: Path, log: tuple[str, ...], *, cancelled: bool) -> tuple[Ending, str]:
    """How a run ended, by the document that it printed last."""
    early: Ending = "cancelled" if cancelled else "failed"
    try:
        document = json.loads((folder / "result.json").read_bytes())
    except (OSError, ValueError):
        said = f"; its last line: {log[-1]}" if log else ""
        return early, f"It ended without a result: it was killed, or met a fault of the program{said}"
    if "error" in document:
        return early, str(document["error"].get("sentence", "")).strip()
    verdict = document["verdict"]
    whole = document["complete"] and verdict["usable"]
    return ("done" if whole else "in part"), f"{document['sentence']}. {verdict['sentence']}"


def _last_lines(file: Path) -> tuple[str, ...]:
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-LOG_LINES:]


def _folder_of_runs(store: Store) -> Path:
    return store.local / "runs"


@contextmanager
def _taken(folder: Path) -> Iterator[int]:
    """The descriptor that holds the lock of a campaign's runs; processes to which it is passed on hold it as well."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        ends = time.monotonic() + START_LIMIT_SECONDS
        while not _lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > ends:
                raise InputError(
                    where="run",
                    problem="a run of this campaign goes on",
                    got="a second start",
                    wanted="one run at a time",
                    mend="Wait until it has ended, or cancel it",
                )
            time.sleep(0.02)
        yield lock
    finally:
        os.close(lock)


def _is_taken(folder: Path) -> bool:
    try:
        lock = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
