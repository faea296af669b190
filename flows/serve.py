"""Serve: a Prefect server, a Dask cluster and the deployments of one or more campaigns, all on loopback."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flows.environment import CLUSTER_VARIABLE, DASHBOARD_VARIABLE, FOLDER, prepare_environment
from flows.following import following
from flows.password import password_file
from flows.schedules import Schedules
from flows.server import OwnServer, announce
from stxmdist.campaign.manifest import load
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import SCHEDULE_TYPES


def serve(
    paths: Sequence[Path], *, port: int, schedules: Schedules, say: Callable[[str], None], pages: str | None = None
) -> None:
    """Run until interrupted: server, workers, and a runner that starts flow runs as their schedules fire.

    ``pages``: address of the dashboard, to which runs leave links.

    Raises
    ------
    InputError
        when a campaign file is wrong, two campaigns lie in folders of one name, or the port is taken.
    """
    campaigns = [load(path, lenient=True) for path in paths]
    _refuse_namesakes(paths)
    prepare_environment()
    with OwnServer(port, lasting=True) as server, cluster_of(campaigns[0].cluster) as cluster:
        address = str(cluster.client().scheduler_info()["address"])
        os.environ |= {**server.environment, CLUSTER_VARIABLE: address}
        if pages is not None:
            # Each of several campaigns has pages of its own, in a folder that bears the name of its own.
            os.environ[DASHBOARD_VARIABLE] = pages if len(paths) == 1 else f"{pages}{FOLDER}/"
        server.wait()
        note = announce(server, address)
        try:
            say(f"Prefect server   http://127.0.0.1:{server.port}  (API {server.api_url})")
            say(f"    its password   {password_file()}")
            say(f"Dask scheduler   {address}")
            say(f"Dask dashboard   {cluster.dashboard}")
            _run(paths, schedules, say)
        finally:
            note.unlink(missing_ok=True)


def _refuse_namesakes(paths: Sequence[Path]) -> None:
    folders = [path.resolve().parent for path in paths]
    names = [folder.name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                where=name,
                problem="two campaigns would have deployments of one name",
                got=", ".join(str(folder) for folder in folders if folder.name == name),
                wanted="folders of different names",
                mend="Rename one of the folders",
            )


def _run(paths: Sequence[Path], schedules: Schedules, say: Callable[[str], None]) -> None:
    # Prefect is imported here, not above: it reads the address of its server from the environment when imported.
    from prefect.exceptions import TerminationSignal
    from prefect.runner import Runner

    from flows.deployments import deployments, forget_what_is_due

    found = [deployment for path in paths for deployment in deployments(path, schedules)]
    forget_what_is_due(found)
    runner = Runner(pause_on_shutdown=False)
    for deployment in found:
        runner.add_deployment(deployment)
        times = ", ".join(_in_words(item.schedule) for item in deployment.schedules or []) or "on demand"
        say(f"deployment       {deployment.flow_name}/{deployment.name}  ({times})")
    say("Stop with Ctrl-C.")
    with following(paths), suppress(KeyboardInterrupt, TerminationSignal):
        asyncio.run(runner.start())


def _in_words(schedule: "SCHEDULE_TYPES | None") -> str:
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if isinstance(schedule, CronSchedule):
        return f"cron {schedule.cron} {schedule.timezone}"
    if isinstance(schedule, IntervalSchedule):
        return f"every {schedule.interval.total_seconds():g} s"
    return str(schedule)
