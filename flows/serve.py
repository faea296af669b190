"""Serve: a Prefect server, a Dask cluster and the deployments of one or more campaigns, all on loopback."""

from collections.abc import Callable, Sequence
from pathlib import Path

from flows.server import Server, announce, free_port, prepare_environment
from stxmdist.campaign.manifest import ClusterSpec, load
from stxmdist.cluster import cluster_of


def serve(
    paths: Sequence[Path],
    *,
    port: int | None,
    schedules: dict[str, object],
    say: Callable[[str], None],
) -> None:
    """Run until interrupted: server, workers, and a runner that starts flow runs as their schedules fire."""
    import os

    prepare_environment()
    spec: ClusterSpec = load(paths[0], lenient=True).cluster
    server = Server(port or free_port(), pages=True)
    try:
        os.environ["PREFECT_API_URL"] = server.api_url
        with cluster_of(spec) as cluster:
            address = str(cluster.client().scheduler.address)
            server.wait()
            note = announce(server, address)
            try:
                say(f"Prefect server   http://127.0.0.1:{server.port}  (API {server.api_url})")
                say(f"Dask scheduler   {address}")
                say(f"Dask dashboard   {cluster.dashboard}")
                _run(paths, address, schedules, say)
            finally:
                note.unlink(missing_ok=True)
    finally:
        server.stop()


def _run(paths: Sequence[Path], address: str, schedules: dict[str, object], say: Callable[[str], None]) -> None:
    # Prefect is imported here, not above: it reads the address of its server from the environment when imported.
    from prefect import serve as serve_deployments

    from flows.deployments import Schedules, deployments

    when = Schedules(**schedules)  # type: ignore[arg-type]
    found = [deployment for path in paths for deployment in deployments(path, address, when)]
    for deployment in found:
        times = ", ".join(str(s.schedule) for s in deployment.schedules or []) or "on demand"
        say(f"deployment       {deployment.flow_name}/{deployment.name}  ({times})")
    say("Stop with Ctrl-C.")
    serve_deployments(*found, pause_on_shutdown=False, print_starting_message=False)
