"""Deployments and their schedules, as data."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.campaign import campaign
from flows.maintenance import maintenance
from flows.nightly import nightly
from flows.parameters import described
from flows.schedules import Schedules
from flows.watch import watch
from stxmdist.campaign.manifest import load

P = ParamSpec("P")
R = TypeVar("R")


def deployments(path: Path, schedules: Schedules) -> list[RunnerDeployment]:
    """What `stxmdist serve` registers for a campaign: on demand, watch, nightly, maintenance."""
    where = {"path": str(path.resolve())}
    read = load(path, lenient=True)
    every = Interval(timedelta(minutes=schedules.watch_minutes))
    nights = Cron(schedules.nightly_cron, timezone=schedules.timezone)
    weeks = Cron(schedules.maintenance_cron, timezone=schedules.timezone)
    name = path.resolve().parent.name
    found = [
        _deployment(campaign, name, where, (), ConcurrencyLimitStrategy.ENQUEUE),
        # A search for new scans that is due while the last one still computes is skipped: it would find nothing more.
        _deployment(watch, name, where, (every,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(nightly, name, where, (nights,), ConcurrencyLimitStrategy.CANCEL_NEW),
        _deployment(maintenance, name, where, (weeks,), ConcurrencyLimitStrategy.CANCEL_NEW),
    ]
    for deployment in found:
        # Prefect makes the schema from the function, which knows no campaign, and lets nobody give another one.
        schema = deployment._parameter_openapi_schema
        schema.properties = described(schema.properties, read)
        deployment.description = f"{read.name}: {deployment.description or ''}"
        deployment.tags = [*deployment.tags, read.name]
    return found


def forget_what_is_due(found: Sequence[RunnerDeployment]) -> None:
    """Remove the runs that became due while no server ran: a single run does the work of all of them."""
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
    flow: Flow[P, R],
    name: str,
    parameters: Mapping[str, str],
    schedules: Sequence[Schedule],
    busy: ConcurrencyLimitStrategy,
) -> RunnerDeployment:
    """One run at a time: two runs of one campaign would wait for the same lock."""
    made = flow.to_deployment(
        name=name,
        parameters=dict(parameters),
        schedules=list(schedules) or None,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=busy),
        # A module, not a file: what a file defines cannot be unpickled by other processes.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # Outside a coroutine it is made at once.
    return cast(RunnerDeployment, made)
