"""How far a run is, in a small file that others read while it goes on: pages, a second terminal, a script."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from storage.atomic import read_json_object, replace_json
from storage.errors import StoreError
from stxmdist.records import read_from_json
from stxmdist.runner.run import Progress, Watcher

FILE_NAME = "running.json"
SECONDS_BETWEEN_WRITES = 1.0
"""Units may take milliseconds; nobody looks more often, and each write waits for the disk"""


@dataclass(frozen=True)
class StageState:
    """How far one stage of a run is, or was when it ended."""

    done: int
    failed: int
    skipped: int
    """Done by an earlier run"""
    total: int
    seconds: float
    scan_id: str = ""
    """Of the unit that ended last"""
    ended: bool = False

    @property
    def through(self) -> int:
        """Units that nobody has to wait for."""
        return self.done + self.failed + self.skipped

    @property
    def units_per_second(self) -> float | None:
        """Of what this run has computed; None before the first unit."""
        fresh = self.done + self.failed
        return fresh / self.seconds if fresh and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before the first unit."""
        rate = self.units_per_second
        return None if rate is None else max(0, self.total - self.through) / rate


def state_of(progress: Progress) -> StageState:
    """What a message of the runner says of its stage."""
    return StageState(
        progress.done, progress.failed, progress.skipped, progress.total, progress.seconds, progress.scan_id
    )


@dataclass(frozen=True)
class RunState:
    """A run as its file tells of it."""

    process: int
    host: str
    began: str
    """ISO 8601"""
    written: str
    """When the file was written, ISO 8601"""
    asked: tuple[str, ...]
    """Stages, in their order"""
    scans: tuple[str, ...] = ()
    """Only these; all where none is named"""
    options: Mapping[str, object] = field(default_factory=dict)
    """Stage to options that stand above the campaign file's"""
    stages: Mapping[str, StageState] = field(default_factory=dict)
    """Of those that have begun"""
    dask: str | None = None
    """Address of the Dask dashboard, while there is one"""
    ended: str | None = None
    """When, ISO 8601; None while it runs, and of a run that was killed"""
    error: str | None = None
    """What ended it before its time"""


class RunStateFile:
    """Writes how far a run is: at once where a stage begins or ends, now and then in between.

    A disk that is full, or a folder that is gone, ends no run: the file is then old, and says since when.
    """

    def __init__(
        self,
        folder: Path,
        asked: tuple[str, ...],
        scans: tuple[str, ...] = (),
        options: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self._path = folder / FILE_NAME
        now = _now()
        self.state = RunState(os.getpid(), socket.gethostname(), now, now, asked, scans, options or {})
        self._written = 0.0
        self._write()

    def watching(self, watch: Watcher, dask: Callable[[], str | None]) -> Watcher:
        """A watcher that writes the file and passes on what it sees."""

        def seen(progress: Progress) -> None:
            first = progress.stage not in self.state.stages
            self._keep(progress.stage, state_of(progress), dask())
            if first or time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
                self._write()
            watch(progress)

        return seen

    def stage_ended(self, name: str) -> None:
        """A stage is over, whatever became of its units."""
        before = self.state.stages.get(name)
        if before is not None:
            self._keep(name, replace(before, ended=True), self.state.dask)
        self._write()

    def run_ended(self, error: BaseException | None) -> None:
        """The run is over; of its error, the kind and the words."""
        said = None if error is None else " ".join(f"{type(error).__name__}: {error}".split())[:500]
        self.state = replace(self.state, ended=_now(), error=said, dask=None)
        self._write()

    def _keep(self, name: str, found: StageState, dask: str | None) -> None:
        self.state = replace(self.state, stages={**self.state.stages, name: found}, dask=dask)

    def _write(self) -> None:
        self._written = time.monotonic()
        self.state = replace(self.state, written=_now())
        with suppress(StoreError):
            replace_json(self._path, self.state)


def run_state(folder: Path) -> RunState | None:
    """What the file of the run in a store's folder says; None where no run has written one that can be read."""
    with suppress(StoreError, TypeError, ValueError):
        return read_from_json(RunState, read_json_object(folder / FILE_NAME))
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
