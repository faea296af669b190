"""A cluster on one machine whose workers are many and thin: for what a scheduler does, not for what units compute."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import Client

from stxmdist.errors import BrokenOffError

PROCESSES = 2
"""Which share the workers"""
START_LIMIT_S = 120.0


@contextmanager
def simulated_cluster(n_workers: int) -> Iterator[tuple[Client, int]]:
    """A scheduler in a process of its own, with so many workers of one thread in others; its client and its process.

    Raises
    ------
    BrokenOffError
        where not all workers come.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with TemporaryDirectory(prefix="stxmdist-bench-") as folder:
        said = Path(folder) / "scheduler.json"
        try:
            scheduler = _started("distributed.cli.dask_scheduler", "--no-dashboard", "--scheduler-file", str(said))
            processes.append(scheduler)
            client = _client_of(said)
            address = str(client.scheduler_info()["address"])
            shares = [n_workers // PROCESSES + (n < n_workers % PROCESSES) for n in range(PROCESSES)]
            processes += [_started("stxmdist.cluster.thin_workers", address, str(share)) for share in shares]
            try:
                client.wait_for_workers(n_workers, timeout=START_LIMIT_S)
                yield client, scheduler.pid
            except TimeoutError as error:
                raise _not_all(n_workers) from error
            finally:
                client.close()
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait()


def _started(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    host = ["--host", "127.0.0.1", "--port", "0"] if module.startswith("distributed") else []
    command = [sys.executable, "-m", module, *host, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _client_of(said: Path) -> Client:
    deadline = time.monotonic() + START_LIMIT_S
    while not said.exists() or not said.read_text():
        if time.monotonic() > deadline:
            raise _not_all(0)
        time.sleep(0.1)
    return Client(scheduler_file=str(said))


def _not_all(n_workers: int) -> BrokenOffError:
    return BrokenOffError(
        where="stxmdist bench scheduler",
        problem="the simulated cluster did not start",
        got=f"not all of {n_workers} workers within {START_LIMIT_S:.0f} s",
        wanted="a scheduler and its workers on this machine",
        mend="Try it on a machine that has less to do",
    )
