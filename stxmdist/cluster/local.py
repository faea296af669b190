"""Worker processes of this machine."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stxmdist.campaign.clusters import GPU, AnyCluster, ClusterSpec
from stxmdist.cluster.contract import WORKER_ENVIRONMENT, WORKER_SETTINGS, Purpose, Started, silence_dask
from stxmdist.errors import InputError

if TYPE_CHECKING:
    from distributed import Nanny

_ABOUT_SEMAPHORES = "ignore:resource_tracker:UserWarning"


def start(spec: AnyCluster, purpose: Purpose) -> Started:
    """A scheduler in this process and its workers, all on loopback."""
    assert isinstance(spec, ClusterSpec)
    import dask
    from distributed import LocalCluster

    silence_dask()
    # A worker that is ended in mid-work leaves its semaphores to Python's tracker, which removes them, and says so.
    filters = [part for part in os.environ.get("PYTHONWARNINGS", "").split(",") if part]
    if _ABOUT_SEMAPHORES not in filters:
        os.environ["PYTHONWARNINGS"] = ",".join([*filters, _ABOUT_SEMAPHORES])
    dask.config.set(
        {
            **WORKER_SETTINGS,
            "distributed.nanny.pre-spawn-environ": dict(WORKER_ENVIRONMENT),
            # Ctrl-C reaches every process of the terminal; the process that started the workers ends them.
            "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
        }
    )
    cluster = LocalCluster(
        n_workers=spec.workers,
        threads_per_worker=spec.threads,
        processes=True,
        memory_limit=spec.memory_limit,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=40,
        worker_class=_worker_per_gpu(devices(spec.gpus)) if spec.gpus else None,
    )
    return Started(cluster, cluster.close)


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
