"""Where the work runs: processes of this machine, or a Dask scheduler that is already there."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stxmdist.campaign.manifest import ClusterSpec
from stxmdist.campaign.schema import GPU
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Nanny

_ABOUT_SEMAPHORES = "ignore:resource_tracker:UserWarning"


class Cluster:
    """A Dask cluster that is started when the first unit needs it, so that a run with nothing to do costs nothing."""

    def __init__(self, spec: ClusterSpec) -> None:
        self.spec = spec
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None

    def client(self) -> "Client":
        """The client; starts or joins the cluster on first use.

        Raises
        ------
        InputError
            when no scheduler answers at the address that the specification names.
        """
        if self._client is None:
            from distributed import Client

            if self.spec.address is None:
                self._cluster = _local_cluster(self.spec)
            try:
                self._client = Client(self._cluster or self.spec.address, set_as_default=False)
            except OSError as error:
                raise InputError(
                    where="cluster",
                    problem="no Dask scheduler answers",
                    got=f"{self.spec.address}: {error}",
                    wanted="the address of a running scheduler, such as tcp://127.0.0.1:8786",
                    mend="Start it, correct the address, or leave it out: workers then run on this machine",
                ) from error
        return self._client

    @property
    def dashboard(self) -> str | None:
        """Address of the Dask dashboard, if the cluster runs."""
        return None if self._client is None else str(self._client.dashboard_link)

    def close(self) -> None:
        """End what this object started; a scheduler that was there before stays."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._client = self._cluster = None


@contextmanager
def cluster_of(spec: ClusterSpec) -> Iterator[Cluster]:
    """A cluster for the length of a block."""
    cluster = Cluster(spec)
    try:
        yield cluster
    finally:
        cluster.close()


def devices(count: int) -> tuple[str, ...]:
    """The first GPUs of this machine, as CUDA names them: 0, 1 ..., or those that this process may see.

    Raises
    ------
    InputError
        when it may see fewer than ``count``.
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = tuple(map(str, range(count))) if seen is None else tuple(part for part in seen.split(",") if part)
    if len(names) < count:
        raise InputError(
            where="cluster.gpus",
            problem="there are fewer GPUs than are asked for",
            got=f"CUDA_VISIBLE_DEVICES={seen}",
            wanted=f"{count} GPUs",
            mend="Ask for fewer, or make more of them visible",
        )
    return names[:count]


def _worker_per_gpu(names: tuple[str, ...]) -> Callable[..., "Nanny"]:
    """What starts a worker: the first ones have one of these GPUs each, and no other; the rest have none to offer."""
    from distributed import Nanny

    def start(scheduler: str, *, name: int, **options: Any) -> Nanny:
        own = {"resources": {GPU: 1}, "env": {"CUDA_VISIBLE_DEVICES": names[name]}} if name < len(names) else {}
        return Nanny(scheduler, name=name, **options | own)

    return start


def _local_cluster(spec: ClusterSpec) -> "LocalCluster":
    import logging

    import dask
    from distributed import LocalCluster

    # Prefect turns every logger on, but messages of Dask about itself do not concern the user.
    logging.getLogger("distributed").setLevel(logging.ERROR)

    # A worker that is ended in mid-work leaves its semaphores to Python's tracker, which removes them, and says so.
    filters = [part for part in os.environ.get("PYTHONWARNINGS", "").split(",") if part]
    if _ABOUT_SEMAPHORES not in filters:
        os.environ["PYTHONWARNINGS"] = ",".join([*filters, _ABOUT_SEMAPHORES])

    # One thread for each worker process: units hold the interpreter's lock in between, and memory limits are per
    # process. The libraries' own threads would compete with the workers. Fresh pages cost an eighth of the demo's time
    # where every array asks the kernel for its own: workers keep what arrays free until a unit ends. All of it lies in
    # one arena, because only of that one `perform` can give everything back.
    dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ": {
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "1",
                "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
                "MALLOC_TRIM_THRESHOLD_": str(256 * 1024**2),
            },
            "distributed.comm.timeouts.connect": "60s",
            # Dask lets a worker wait at 0.8 of its limit until results lie on disk. Ours have none to move: what they
            # hold are libraries, so they would wait for ever. At 0.95 one is ended, and its unit is named.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            # Ctrl-C reaches every process of the terminal; the process that started the workers ends them.
            "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
        }
    )
    return LocalCluster(
        n_workers=spec.workers,
        threads_per_worker=spec.threads,
        processes=True,
        memory_limit=spec.memory_limit,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=40,
        worker_class=_worker_per_gpu(devices(spec.gpus)) if spec.gpus else None,
    )
