"""A stage small enough to see through: each unit writes one row of an image, or fails as it is told."""

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from storage.digests import digest_of
from storage.layout import ArrayPlan
from storage.store import Store
from stxmdist.errors import InputError
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit

NAME = "fit"
COLUMNS = 5
PLAN = ArrayPlan


@dataclass(frozen=True)
class Row:
    """What a unit measures."""

    row: int
    blas_threads: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """What the stage says of a scan."""

    rows: int


class ToySurvey:
    """Scans with so many rows each; `faults` maps (scan, row) to what goes wrong there."""

    def __init__(self, root: Path, rows: dict[str, int], faults: dict[tuple[str, int], str] | None = None) -> None:
        self.root, self.rows, self.faults = root, rows, faults or {}
        self.log = root.parent / "log"

    def options_as_dict(self, stage: str, scan_id: str | None = None) -> dict[str, Any]:
        return {}


def plan(survey: ToySurvey, options: Any) -> Plan:
    units = []
    for scan_id, rows in survey.rows.items():
        arrays = (ArrayPlan("soc", (rows, COLUMNS), (1, COLUMNS)),)
        units += [
            Unit(
                stage=NAME,
                scan_id=scan_id,
                name=f"row-{row}",
                store=str(survey.root),
                digest=digest_of({"scan": scan_id, "rows": rows}),
                work="tests.runner.toy_stage:work",
                options=None,
                estimate=Estimate(4 * COLUMNS, 100, 0.01),
                owns={"soc": ((row, 0),)},
                arrays=arrays,
                part={"row": row, "fault": survey.faults.get((scan_id, row), ""), "log": str(survey.log)},
            )
            for row in range(rows)
        ]
    return Plan(tuple(units))


def work(unit: Unit) -> Outcome:
    row, fault, log = unit.part["row"], unit.part["fault"], Path(unit.part["log"])
    log.mkdir(exist_ok=True)
    attempt = len(list(log.glob(f"{unit.scan_id}-{row}-*")))
    (log / f"{unit.scan_id}-{row}-{attempt}-{os.getpid()}").touch()
    if fault == "explained" and not (log / "mended").exists():
        raise InputError(where="row", problem="the row is wrong", got="a fault", wanted="none", mend="Mend it")
    if fault == "always breaks":
        raise RuntimeError("nobody foresaw this")
    if fault == "breaks once" and attempt == 0:
        raise RuntimeError("a passing trouble")
    if fault == "dies once" and attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "slow":
        time.sleep(0.05)
    if fault == "always dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "takes a second":
        began = time.time()
        time.sleep(1.0)
        where = {"job": "SLURM_JOB_ID", "node": "SLURMD_NODENAME", "gpu": "CUDA_VISIBLE_DEVICES"}
        seen = {name: os.environ.get(variable, "none") for name, variable in where.items()}
        (log / f"seen-{unit.scan_id}-{row}").write_text(json.dumps(seen | {"began": began, "ended": time.time()}))
    values = np.full((1, COLUMNS), row, np.float32)
    path = unit.output().write(unit.name, unit.owns, "soc", (row, 0), values)
    output = Store(unit.store).output(unit.stage, unit.scan_id, unit.digest)
    from storage.digests import sha256_of_file

    threads = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return Outcome(Row(row, tuple(threads)), {path: sha256_of_file(output.path / path)})


def finish(survey: ToySurvey, measured: Mapping[str, Sequence[Row]]) -> Mapping[str, Rows]:
    return {scan_id: Rows(len(units)) for scan_id, units in measured.items()}


class ToyStage:
    """As the runner wants it."""

    finished_every_run = False
    name = NAME
    version = 1
    measures = Row
    plan = staticmethod(plan)
    finish = staticmethod(finish)


STAGE = ToyStage()
