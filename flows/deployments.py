"""Deployments and their schedules, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound
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


def deployments(path: Path, schedules: Schedules) -> list[RunnerDeployment]:
    """What `stxmdist serve` registers for a campaign: on demand, watch, nightly, maintenance."""
    where = {"path": str(path.resolve())}
    every = Interval(timedelta(minutes=schedules.watch_minutes))
    nights = Cron(schedules.nightly_cron, timezone=schedules.timezone)
    weeks = Cron(schedules.maintenance_cron, timezone=schedules.timezone)
    name = path.resolve().parent.name
    return [
        _deployment(campaign, name, where, (), ConcurrencyLimitStrategy.ENQUEUE),
        # A look that is due while the last one still computes would find nothing else: it is left out.
        _deployment(watch, name, where, (every,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(nightly, name, where, (nights,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(maintenance, name, where, (weeks,), ConcurrencyLimitStrategy.CANCEL_NEW),
    ]


def forget_what_is_due(found: Sequence[RunnerDeployment]) -> None:
    """Remove the runs that were due while nobody served: one look at what has come up is as good as a hundred."""
    names = [f"{deployment.flow_name}/{deployment.name}" for deployment in found]
    with get_client(sync_client=True) as client:
        for name in names:
            try:
                deployment = client.read_deployment_by_name(name)
            except ObjectNotFound:
                continue
            due = client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
                ),
            )
            for flow_run in due:
                if flow_run.auto_scheduled:
                    client.delete_flow_run(flow_run.id)


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
