"""Benchmark of one scheduler with many workers: simulated ones, whose units of a second only wait."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from stxmdist.bench.rows import Row, row_of
from stxmdist.cluster.simulated import simulated_cluster
from stxmdist.runner.lanes import NOTHING_BEYOND
from stxmdist.runner.over_dask import computed_on_dask
from stxmdist.runner.unit import Estimate, Receipt, Unit

UNIT_S = 1.0
NUMBERS = (50, 100, 200)
"""Workers; all of them share the machine with the scheduler, so that more of them tell of the machine alone"""
ROUNDS = 10
"""Units for each worker"""


@dataclass(frozen=True)
class SchedulerTimes:
    """What so many simulated workers did in one run."""

    n_workers: int
    n_units: int
    seconds: float
    scheduler_s: float
    """Processor time of the scheduler"""
    client_s: float
    """Likewise of the process that submits and reads"""

    @property
    def busy(self) -> float:
        """Share of the time in which workers had something to do."""
        return self.n_units * UNIT_S / (self.n_workers * self.seconds)

    @property
    def most_workers(self) -> float:
        """Workers that one core for the scheduler and one for the client can keep busy with such units."""
        return UNIT_S * self.n_units / max(self.scheduler_s, self.client_s)


def waited(unit: Unit[object, object], threads: int) -> Receipt:
    """A unit that takes its time and nothing else; its receipt is as large as one of a real unit."""
    time.sleep(UNIT_S)
    files = {f"data.zarr/optical_density/c/0/{n}/0": "0" * 64 for n in range(3)}
    return Receipt(unit.scan_id, unit.name, {"pixels": 65536}, files, UNIT_S, 0.0, 0)


def scheduler_times(n_workers: int) -> SchedulerTimes:
    """Run ``ROUNDS`` units for each worker through the runner's own loop.

    Raises
    ------
    BrokenOffError
        where not all workers come.
    """
    units = [
        Unit("bench", f"scan{n:06d}", "wait", "", "", "", None, Estimate(0, 0, UNIT_S), None)
        for n in range(ROUNDS * n_workers)
    ]
    with simulated_cluster(n_workers) as (client, scheduler):
        before, began = _processor_s(scheduler), time.perf_counter()
        own = time.process_time()
        done = sum(1 for _ in computed_on_dask(units, client, NOTHING_BEYOND, waited))
        seconds = time.perf_counter() - began
        return SchedulerTimes(n_workers, done, seconds, _processor_s(scheduler) - before, time.process_time() - own)


def _processor_s(process: int) -> float:
    """Processor time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_scheduler() -> list[Row]:
    """Share of the time in which simulated workers are busy, and how many one scheduler could keep so."""
    rows = []
    for n_workers in NUMBERS:
        found = scheduler_times(n_workers)
        ms = [1e3 * seconds / found.n_units for seconds in (found.scheduler_s, found.client_s)]
        each = f"{ms[0]:.2f} ms of scheduler and {ms[1]:.2f} ms of client a unit"
        rows += [
            row_of(f"{n_workers} simulated workers, units of {UNIT_S:g} s", found.busy, "busy", None, each),
            row_of("as many could be kept busy", found.most_workers, "workers", None, "estimate from these times"),
        ]
    return rows
