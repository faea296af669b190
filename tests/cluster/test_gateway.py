"""A real gateway, started by the test: a campaign from nothing to the tables of a local run, and what can be wrong.

It skips where dask-gateway and its server are not installed: they are not in the lock.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from urllib.request import urlopen

import psutil
import pytest

from storage.store import Store
from stxmdist.campaign.clusters import read_cluster
from stxmdist.campaign.manifest import load
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.gateway import GatewaySpec, start
from stxmdist.cluster.start import Cluster, cluster_of
from stxmdist.commands.runs import run
from stxmdist.errors import InputError
from stxmdist.planning.execute import CampaignRun, RunRequest, software_versions
from tests.stages.tiny import assert_same_tables, with_cluster

START_SECONDS = 90.0
PASSWORD = "a password of this test"
CONFIGURATION = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = {password!r}
c.Proxy.address = "127.0.0.1:{port}"
c.Proxy.tcp_address = "127.0.0.1:{tcp_port}"
c.DaskGateway.address = "127.0.0.1:{own_port}"
c.UnsafeLocalBackend.clusters_directory = {folder!r}
c.ClusterConfig.scheduler_cmd = [{python!r}, "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = [{python!r}, "-m", "distributed.cli.dask_worker"]
c.ClusterConfig.scheduler_memory = c.ClusterConfig.worker_memory = "1 G"
from dask_gateway_server.options import Options, Integer
c.Backend.cluster_options = Options(Integer("worker_cores", 1, min=1, max=1))
"""


@dataclass(frozen=True)
class Site:
    """Where the gateway of a site answers, and its process."""

    address: str
    proxy_address: str
    server: psutil.Process

    def section(self, **more: object) -> dict[str, object]:
        return {"kind": "gateway", "address": self.address, "proxy_address": self.proxy_address, "workers": 2, **more}

    def schedulers(self) -> list[psutil.Process]:
        """Processes of its clusters."""
        return [one for one in self.server.children(recursive=True) if "distributed.cli" in " ".join(one.cmdline())]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("dask_gateway")
    command = shutil.which("dask-gateway-server")
    if command is None:
        pytest.skip("dask-gateway-server is not in PATH")
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "clusters").mkdir()
    port, tcp_port, own_port = free_port(), free_port(), free_port()
    (folder / "config.py").write_text(
        CONFIGURATION.format(
            password=PASSWORD, port=port, tcp_port=tcp_port, own_port=own_port,
            folder=str(folder / "clusters"), python=sys.executable,
        )
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [command, "-f", str(folder / "config.py")], cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        ends = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < ends, (folder / "log.txt").read_text()
            try:
                with urlopen(f"{address}/api/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.2)
        yield Site(address, f"tls://127.0.0.1:{tcp_port}", psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture
def known() -> Iterator[None]:
    """Who asks, as Dask's own configuration says it."""
    import dask

    own = {"username": "ada", "password": PASSWORD}
    with dask.config.set({"gateway.auth.type": "basic", "gateway.auth.kwargs": own}):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_a_campaign_gives_the_tables_of_a_local_run(
    site: Site, simulated: Path, processed: Path, tmp_path: Path
) -> None:
    path = copytree(simulated.parent, tmp_path / "campaign") / "campaign.yaml"
    with_cluster(path, site.section(options={"worker_cores": 1}))
    stages = tuple(name for name in CampaignRun(RunRequest(str(path), cluster="inline")).stages if name != "report")
    done = run(RunRequest(str(path), stages), prefect=False)
    assert done["complete"]
    assert_same_tables(Store(load(path).store).local, Store(load(processed).store).local)
    assert PASSWORD not in json.dumps(done)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert not [file for file in files if PASSWORD.encode() in file.read_bytes()]
    psutil.wait_procs(site.schedulers(), timeout=30)
    assert site.schedulers() == []


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_its_workers_are_checked_and_what_is_wrong_is_said(site: Site, simulated: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    purpose = Purpose("t", tmp_path, store.root, (), software_versions())
    with cluster_of(read_cluster(site.section()).smallest(), purpose) as cluster:
        assert cluster.check(120.0).host
    with pytest.raises(InputError, match=r"options.worker_core: the gateway offers no such choice.*worker_cores"):
        start(read_cluster(site.section(options={"worker_core": 1})), purpose)
    with pytest.raises(InputError, match="the gateway starts no cluster"):
        start(read_cluster(site.section(options={"worker_cores": 99})), purpose)
    psutil.wait_procs(site.schedulers(), timeout=30)
    assert site.schedulers() == []


def test_who_is_not_known_is_told_so(site: Site) -> None:
    import dask

    with (
        dask.config.set({"gateway.auth.type": "basic", "gateway.auth.kwargs": {"username": "eve", "password": "x"}}),
        pytest.raises(InputError, match=r"does not know who asks.*gateway\.auth"),
    ):
        Cluster(read_cluster(site.section())).client()


def test_where_no_gateway_answers_that_is_said() -> None:
    pytest.importorskip("dask_gateway")
    with pytest.raises(InputError, match="no gateway answers"):
        Cluster(read_cluster({"kind": "gateway", "address": f"http://127.0.0.1:{free_port()}"})).client()


def test_without_the_package_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_gateway", None)
    with pytest.raises(InputError, match=r"stxmdist\[gateway\]"):
        Cluster(read_cluster({"kind": "gateway", "address": "http://127.0.0.1:1"})).client()


@pytest.mark.parametrize("address", ["tcp://host:1", "http://me:secret@host", "host"])
def test_an_address_is_one_of_http_and_holds_no_password(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        GatewaySpec.model_validate({"address": address})
