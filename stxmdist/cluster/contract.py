"""What a kind of cluster is told, what it gives back, and what it may say of its workers."""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from storage.place import Place
from stxmdist.campaign.clusters import AnyCluster
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from distributed import Security
    from distributed.deploy.cluster import Cluster as DaskCluster

CONNECT_TIMEOUT = "60s"

WORKER_ENVIRONMENT: Mapping[str, str] = {
    # One thread for each worker process: units hold the interpreter's lock in between, and memory limits are per
    # process. The libraries' own threads would compete with the workers. Fresh pages cost an eighth of the demo's time
    # where every array asks the kernel for its own: workers keep what arrays free until a unit ends. All of it lies in
    # one arena, because only of that one `perform` can give everything back.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024**2),
}
"""What libraries of a worker read before they are loaded."""

WORKER_SETTINGS: Mapping[str, object] = {
    "distributed.comm.timeouts.connect": CONNECT_TIMEOUT,
    # Dask lets a worker wait at 0.8 of its limit until results lie on disk. Ours have none to move: what they
    # hold are libraries, so they would wait for ever. At 0.95 one is ended, and its unit is named.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # Of a scheduler in this process: a unit that waits on a worker behind one that kills it would be blamed as well.
    "distributed.scheduler.worker-saturation": 1.0,
}
"""Dask's settings on a worker, and where it is started from."""


def as_variables(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings of Dask as the environment names them, for workers that somebody else starts."""
    return {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in settings.items()}


def silence_dask(level: int = logging.ERROR) -> None:
    """Prefect turns every logger on, but messages of Dask about itself do not concern the user."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(level)


_ROUTINE = re.compile(
    r" - distributed\.\S+ - INFO - (?!Worker process \d+ was killed by signal (?!15\b))|resource_tracker", re.ASCII
)
"""Lines of each worker that comes or is ended, which may stand after those that say why one died."""


@dataclass(frozen=True)
class Purpose:
    """What a cluster is started for."""

    name: str = "stxmdist"
    """The campaign's; jobs are called by it"""
    folder: Path = field(default_factory=Path.cwd)
    """The campaign's; logs of workers go there"""
    store: Place | None = None
    """What every worker must see, read and write"""
    files: tuple[Path, ...] = ()
    """Beamline files that every worker must see"""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages, and ``python``, of which workers should have the same versions"""
    peak_bytes: Callable[[], int | None] = lambda: None
    """Largest memory that a unit of the plan takes; asked where the campaign names none"""


@dataclass(frozen=True)
class Started:
    """A cluster that was started or joined."""

    target: "str | DaskCluster"
    """What a client joins"""
    close: Callable[[], object] = lambda: None
    """Ends what was started; a scheduler that was there before stays"""
    security: "Security | None" = None
    coming: int = 0
    """Threads that it grows to while there are units, although there may be none yet"""
    waiting: Callable[[], str] = lambda: "no worker has come to the scheduler"
    """Why no worker has come yet; raises an InputError where none will"""
    logs: Path | None = None
    """Folder with what its workers print"""

    def last_words(self, address: str, lines: int = 3) -> str:
        """The last that the worker at an address printed beside the routine; empty where nobody kept it."""
        for path in sorted(self.logs.glob("*"), key=os.path.getmtime, reverse=True) if self.logs else ():
            text = path.read_text(errors="replace")
            if address in text:
                since = text[text.index(address) :].splitlines()[1:]
                telling = "\n".join(line for line in since if not _ROUTINE.search(line))
                return f"{path.name} ends with {tail(telling or text, lines)!r}"
        return ""


class Start(Protocol):
    """Starts a cluster, or joins one: what a line of the table of clusters names."""

    def __call__(self, spec: AnyCluster, purpose: Purpose, /) -> Started: ...


def no_scheduler(address: object, error: OSError) -> InputError:
    """What is said where nobody listens at the address of a scheduler."""
    return InputError(
        where="cluster",
        problem="no Dask scheduler answers",
        got=f"{address}: {error}",
        wanted="the address of a running scheduler, such as tcp://127.0.0.1:8786",
        mend="Start it, correct the address, or leave it out: workers then run on this machine",
    )


def not_installed(asked: str, package: str, extra: str, error: ImportError) -> InputError:
    """What is said where the package by which a kind of cluster is asked is not there; ``extra`` brings it."""
    return InputError(
        where="cluster",
        problem=f"{asked} is asked through a package that is not installed",
        got=str(error),
        wanted=package,
        mend=f"Install it: `pip install 'stxmdist[{extra}]'`",
    )


def tail(text: str, lines: int = 3) -> str:
    """The last lines that are not empty, on one."""
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])[-500:]
