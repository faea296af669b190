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

CHECKOUT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True)
class Outside:
    address: str
    scheduler: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]


@contextmanager
def outside(folder: Path, **environment: str) -> Iterator[Outside]:
    """Both, for the length of a block; what is given stands in the environment of the worker."""
    python = [sys.executable, "-m", "distributed.cli.dask_spec"]
    said = folder / "scheduler.json"
    options = {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0", "scheduler_file": str(said)}
    spec = {"cls": "dask.distributed.Scheduler", "opts": options}
    processes = [subprocess.Popen([*python, "--spec", json.dumps(spec)], stderr=subprocess.DEVNULL)]
    try:
        until = time.monotonic() + 60.0
        while not (said.exists() and said.stat().st_size):
            assert time.monotonic() < until, "the scheduler has not begun"
            time.sleep(0.1)
        address = str(json.loads(said.read_text())["address"])
        options = {"nthreads": 1, "dashboard": False, "host": "127.0.0.1"}
        spec = {"cls": "dask.distributed.Worker", "opts": options}
        words = [*python, address, "--spec", json.dumps(spec)]
        environment = {"PYTHONPATH": CHECKOUT, **os.environ, **environment}
        processes.append(subprocess.Popen(words, env=environment, cwd=folder, stderr=subprocess.DEVNULL))
        yield Outside(address, processes[0], processes[1])
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)
