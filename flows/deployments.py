"""Deployments and their schedules, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron, Interval, Schedule

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
    where = {"path": str(path.resolve())}
    on = where | {"cluster": cluster}
    every = Interval(timedelta(minutes=schedules.watch_minutes))
    nights = Cron(schedules.nightly_cron, timezone=schedules.timezone)
    weeks = Cron(schedules.maintenance_cron, timezone=schedules.timezone)
    name = path.resolve().parent.name
    return [
        _deployment(campaign, name, on, (), ConcurrencyLimitStrategy.ENQUEUE),
        # A look that is due while the last one still computes would find nothing else: it is left out.
        _deployment(watch, name, on, (every,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(nightly, name, on, (nights,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(maintenance, name, where, (weeks,), ConcurrencyLimitStrategy.CANCEL_NEW),
    ]


def _deployment(
    flow: Any, name: str, parameters: dict[str, Any], schedules: Sequence[Schedule], busy: ConcurrencyLimitStrategy
) -> RunnerDeployment:
    """One run at a time: two runs of one campaign would wait for the same lock."""
    made: RunnerDeployment = flow.to_deployment(
        name=name,
        parameters=parameters,
        schedules=list(schedules) or None,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=busy),
        # A module, not a file: what a file defines cannot be unpickled by other processes.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return made
