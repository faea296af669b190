"""Run a campaign as a flow in this process, recorded by a Prefect server."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from flows.environment import prepare_environment
from flows.server import prefect_server
from stxmdist.planning.execute import CampaignRun, RunSummary
from stxmdist.runner.run import Watcher

SECONDS_TO_TELL = 5.0
"""How long to wait until the server has recorded the last events of a run."""


def run_embedded(run: CampaignRun, watch: Watcher, note: Callable[[str], None], *, idle: bool = False) -> RunSummary:
    """Run a campaign as a flow in this process; how it ended.

    A server takes seconds to start, and so does Dask, and so does importing Prefect: they start side by side. With
    ``idle``, nothing is expected to be computed, and Dask starts only if something is after all.
    """
    prepare_environment()
    server = prefect_server()
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ |= server.environment
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as beside:
            prepared = None if idle else beside.submit(run.prepare)
            # Prefect reads its settings when it is imported.
            from flows.campaign import Host, campaign, host

            note(f"Prefect server {server.wait()}")
            if prepared is not None:
                prepared.result()
        token = host.set(Host(run, watch))
        request = run.request
        try:
            # Called, a flow that returns a state gives the data of that state, which its type does not say.
            outcome: object = campaign(
                request.path,
                list(request.stages),
                list(request.scans),
                request.cluster,
                request.retry,
                {stage: dict(options) for stage, options in request.options.items()},
            )
            return cast(RunSummary, outcome)
        finally:
            host.reset(token)
            _tell_the_rest()
    finally:
        run.close()
        server.stop()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _tell_the_rest() -> None:
    """Send what Prefect still has in its queues, while there is a server to take it."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for queue in (EventsWorker, APILogWorker):
        queue.drain_all(timeout=SECONDS_TO_TELL, at_exit=False)
