"""Deployments and their schedules, as data."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron, Interval

from flows.campaign import campaign
from flows.maintenance import maintenance
from flows.nightly import nightly
from flows.watch import watch


@dataclass(frozen=True)
class Schedules:
    """When the deployments of a campaign run."""

    watch_minutes: float = 5.0
    nightly_cron: str = "0 2 * * *"
    maintenance_cron: str = "0 4 * * 0"
    timezone: str = "UTC"


def deployments(path: Path, cluster: str | None, schedules: Schedules) -> list[RunnerDeployment]:
    """What `stxmdist serve` registers for a campaign: on demand, watch, nightly, maintenance."""
    name = path.resolve().parent.name
    where = {"path": str(path.resolve())}
    on = where | {"cluster": cluster}

    def cron(line: str) -> Any:
        return Cron(line, timezone=schedules.timezone)

    # One run at a time each: two runs of one campaign would wait for the same lock. Module paths, not files: what a
    # file defines cannot be unpickled by other processes.
    same = {"concurrency_limit": 1, "entrypoint_type": EntrypointType.MODULE_PATH}
    every = Interval(timedelta(minutes=schedules.watch_minutes))
    return [
        campaign.to_deployment(name=name, parameters=on, **same),
        watch.to_deployment(name=name, parameters=on, schedules=[every], **same),
        nightly.to_deployment(name=name, parameters=on, schedules=[cron(schedules.nightly_cron)], **same),
        maintenance.to_deployment(name=name, parameters=where, schedules=[cron(schedules.maintenance_cron)], **same),
    ]
