"""A Dask scheduler and a worker that somebody else started: each a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
from distributed import LocalCluster, Security

CHECKOUT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True)
class Outside:
    address: str
    scheduler: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]


@contextmanager
def beside(host: str = "127.0.0.1", security: Security | None = None, workers: int = 1) -> Iterator[str]:
    """The address of a scheduler whose workers are threads of this process: cheap, and the connections are real."""
    scheme = "tcp://" if security is None else "tls://"
    # What worker processes of this machine load first (stxmdist.cluster.local) wants a main thread.
    preload = dask.config.set({"distributed.worker.preload": []})
    with (
        preload,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            host=host,
            protocol=scheme,
            security=security,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
    ):
        yield str(cluster.scheduler_address)


@contextmanager
def outside(
    folder: Path, host: str = "127.0.0.1", certificates: Path | None = None, **environment: str
) -> Iterator[Outside]:
    """Both, for the length of a block; what else is given stands in the environment of the worker."""
    python = [sys.executable, "-m", "distributed.cli.dask_spec"]
    said = folder / "scheduler.json"
    options = {"host": host, "port": 0, "dashboard_address": "127.0.0.1:0", "scheduler_file": str(said)}
    tls = _encrypted(certificates) if certificates else {}
    spec = {"cls": "dask.distributed.Scheduler", "opts": options | ({"protocol": "tls"} if tls else {})}
    processes = [
        subprocess.Popen([*python, "--spec", json.dumps(spec)], env={**os.environ, **tls}, stderr=subprocess.DEVNULL)
    ]
    try:
        until = time.monotonic() + 60.0
        while not (said.exists() and said.stat().st_size):
            assert time.monotonic() < until, "the scheduler has not begun"
            time.sleep(0.1)
        address = str(json.loads(said.read_text())["address"])
        options = {"nthreads": 1, "dashboard": False, "host": host} | ({"protocol": "tls"} if tls else {})
        spec = {"cls": "dask.distributed.Worker", "opts": options}
        words = [*python, address, "--spec", json.dumps(spec)]
        environment = {"PYTHONPATH": CHECKOUT, **os.environ, **tls, **environment}
        processes.append(subprocess.Popen(words, env=environment, cwd=folder, stderr=subprocess.DEVNULL))
        yield Outside(address, processes[0], processes[1])
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def _encrypted(folder: Path) -> dict[str, str]:
    """Dask's settings for certificates, as the environment names them."""
    tls = {"CA_FILE": "ca.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls |= {f"{role}__CERT": "cert.pem", f"{role}__KEY": "key.pem"}
    named = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(folder / file) for name, file in tls.items()}
    return named | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
