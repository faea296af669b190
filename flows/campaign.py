"""The campaign flow: one task for each stage, its units on Dask, its progress as an artifact."""

import os
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.environment import CLUSTER_VARIABLE
from flows.notify import note, tell
from flows.shown import key_of, log_stage, run_name, show_outcome
from stxmdist.planning.execute import CampaignRun, RunRequest, RunSummary
from stxmdist.runner.run import Progress, Watcher, nobody_watches
from stxmdist.runner.unit import StageReport

SECONDS_BETWEEN_ARTIFACTS = 2.0
"""The server stores every update; people do not look more often."""


@dataclass(frozen=True)
class Host:
    """What the process that calls the flow has ready for it."""

    run: CampaignRun | None = None
    """Its headers read, its cluster started; the flow makes its own if there is none."""
    watch: Watcher = nobody_watches
    """Who else sees the progress, besides the server."""


NO_HOST = Host()
host: ContextVar[Host] = ContextVar("host", default=NO_HOST)
"""The command line sets it; on a server there is none."""


@flow(
    name="campaign",
    flow_run_name=run_name,
    persist_result=False,
    on_failure=[tell],
    on_crashed=[tell],
    on_completion=[tell, note],
)
def campaign(
    path: str,
    stages: list[str] | None = None,
    scans: list[str] | None = None,
    cluster: str | None = None,
    retry: bool = False,
    options: dict[str, dict[str, Any]] | None = None,
) -> State[RunSummary]:
    """Bring a campaign up to date: every stage in order, only what is missing.

    ``options`` (stage to options by name) stand above those of the campaign file.
    """
    cluster = cluster or os.environ.get(CLUSTER_VARIABLE)
    request = RunRequest(path, tuple(stages or ()), tuple(scans or ()), cluster, retry, options or {})
    with host.get().run or CampaignRun(request) as run:
        for name in run.stages:
            run_stage.with_options(name=name, task_run_name=partial(_task_name, run, name))(run, name)
        outcome = run.summary()
    show_outcome(outcome, path)
    verdict = outcome["verdict"]
    word = "Completed" if outcome["complete"] and verdict["usable"] else "Partial"
    return Completed(name=word, message=f"{outcome['sentence']}. {verdict['sentence']}", data=outcome)


@task(cache_policy=NO_CACHE, persist_result=False)
def run_stage(run: CampaignRun, name: str) -> StageReport:
    """One stage of the campaign, whole."""
    campaign = run.campaign.name
    artifact = create_progress_artifact(
        progress=0.0, key=key_of(campaign, name), description=f"{campaign}: units of {name} done"
    )
    # In a task that is no coroutine, the artifact is made at once and this is its identifier.
    report = run.stage(name, _Watch(cast(UUID, artifact), host.get().watch))
    log_stage(report, campaign)
    return report


def _task_name(run: CampaignRun, name: str) -> str:
    return f"{name} of {run.campaign.name}"


class _Watch:
    """Passes progress on to the server, now and then, and to the host, always."""

    def __init__(self, artifact: UUID, watcher: Watcher) -> None:
        self._artifact = artifact
        self._watcher = watcher
        self._sent = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        self._watcher(progress)
        through = progress.done + progress.failed + progress.skipped
        last = through == progress.total
        if last or time.monotonic() - self._sent > SECONDS_BETWEEN_ARTIFACTS:
            self._sent = time.monotonic()
            percent = 100.0 * through / progress.total if progress.total else 100.0
            update_progress_artifact(artifact_id=self._artifact, progress=percent)
