"""Workers on this machine: started when they are needed, on the loopback only, with the limits that were asked for."""

import os
import socket
import sys
import time
from urllib.parse import urlparse

import psutil
import pytest

from stxmdist.campaign.clusters import GPU, ClusterSpec
from stxmdist.cluster.local import devices
from stxmdist.cluster.start import Cluster, cluster_of
from stxmdist.errors import InputError

SPEC = ClusterSpec(workers=2, threads=1, memory_limit=700_000_000)


def test_nothing_is_started_before_it_is_needed() -> None:
    before = psutil.Process().children(recursive=True)
    with cluster_of(SPEC) as cluster:
        assert cluster.dashboard is None
        assert psutil.Process().children(recursive=True) == before
    # Nor is anything wrong with ending what never began, twice.
    cluster.close()


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(SPEC) as started:
        started.client()
        yield started


def test_workers_are_as_asked(cluster: Cluster) -> None:
    workers = cluster.client().scheduler_info(n_workers=-1)["workers"].values()
    assert len(workers) == SPEC.workers
    assert {worker["memory_limit"] for worker in workers} == {SPEC.memory_limit}
    assert {worker["nthreads"] for worker in workers} == {SPEC.threads}
    # Processes of their own: a limit of memory is one of a process.
    assert len({worker.get("pid", name) for name, worker in enumerate(workers)}) == SPEC.workers


def test_libraries_start_no_threads_of_their_own(cluster: Cluster) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert set(cluster.client().run(os.getenv, name).values()) == {"1"}


def test_nobody_offers_a_gpu_that_was_not_asked_for(cluster: Cluster) -> None:
    workers = cluster.client().scheduler_info(n_workers=-1)["workers"].values()
    assert [worker["resources"] for worker in workers] == [{}, {}]


def test_everything_listens_on_the_loopback_only(cluster: Cluster) -> None:
    scheduler = urlparse(cluster.client().scheduler.address)
    assert scheduler.hostname == "127.0.0.1"
    assert cluster.dashboard is not None
    assert urlparse(cluster.dashboard).hostname in ("127.0.0.1", "localhost")
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_one_client_for_all_who_ask(cluster: Cluster) -> None:
    assert cluster.client() is cluster.client()


def test_a_scheduler_that_was_there_before_stays(cluster: Cluster) -> None:
    address = cluster.client().scheduler.address
    guest = Cluster(ClusterSpec(workers=5, address=address))
    assert guest.client().scheduler.address == address
    assert len(guest.client().scheduler_info(n_workers=-1)["workers"]) == SPEC.workers
    guest.close()
    assert cluster.client().submit(pow, 2, 5).result() == 32


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    import dask

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(InputError, match=rf"no Dask scheduler answers; got {address}"),
    ):
        Cluster(ClusterSpec(workers=1, address=address)).client()


@pytest.mark.slow
def test_a_worker_for_each_gpu_sees_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with cluster_of(ClusterSpec(workers=3, memory_limit=500_000_000, gpus=2)) as started:
        workers = started.client().scheduler_info(n_workers=-1)["workers"]
        offered = {address: worker["resources"] for address, worker in workers.items()}
        seen = started.client().run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert {worker["memory_limit"] for worker in workers.values()} == {500_000_000}
    pairs = sorted(((seen[address] or "none", offered[address]) for address in workers), key=str)
    assert pairs == [("0", {GPU: 1}), ("1", {GPU: 1}), ("none", {})]


def test_gpus_are_those_that_this_process_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert devices(1) == ("3",)
    assert devices(2) == ("3", "5")
    with pytest.raises(InputError, match=r"fewer GPUs than are asked for; got CUDA_VISIBLE_DEVICES=3,5, wanted 3"):
        devices(3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert devices(3) == ("0", "1", "2")


def hold(share: float) -> int:
    """Keep memory for as long as this process lives, until so much of its limit is taken."""
    from distributed import get_worker

    limit = get_worker().memory_manager.memory_limit
    sys.held = bytearray(int(share * limit) - psutil.Process().memory_info().rss)  # type: ignore[attr-defined]
    sys.held[::512] = b"1" * len(sys.held[::512])  # type: ignore[attr-defined]
    return psutil.Process().memory_info().rss


@pytest.mark.slow
def test_a_worker_goes_on_although_its_libraries_hold_most_of_its_memory() -> None:
    with cluster_of(ClusterSpec(workers=1, memory_limit=600_000_000)) as started:
        client = started.client()
        assert client.submit(hold, 0.87).result(timeout=60) > 0.8 * 600_000_000
        # Workers look at their memory several times a second.
        time.sleep(1.5)
        assert client.submit(pow, 2, 5).result(timeout=60) == 32


@pytest.mark.slow
def test_the_end_of_the_block_is_the_end_of_the_workers() -> None:
    with cluster_of(ClusterSpec(workers=1, memory_limit=500_000_000)) as started:
        started.client()
        pids = started.client().run(os.getpid).values()
        workers = [psutil.Process(pid) for pid in pids]
        assert workers
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
