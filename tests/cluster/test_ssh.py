"""Hosts with ssh: encrypted, the store under another name on each, one cut off in the middle of the work."""

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.store import Store
from stxmdist.campaign.clusters import AnyCluster, read_cluster
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError
from stxmdist.planning.execute import software_versions
from stxmdist.runner.run import RunRecord, run_stage
from tests.cluster.hosts import Hosts, hosts
from tests.runner import toy_stage

ROWS = {"a": 12, "b": 12}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hosts(tmp_path_factory.mktemp("hosts"), 3) as found:
        yield found


@pytest.fixture(autouse=True)
def own_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def section(three: Hosts, paths: bool = True) -> AnyCluster:
    named = [
        {"host": name, "paths": {str(three.share): three.seen_at(number)} if paths else {}}
        for number, name in enumerate(three.names, 1)
    ]
    return read_cluster({"kind": "ssh", "hosts": named, "options": three.options, "memory_limit": "800MB"})


@pytest.mark.slow
def test_a_host_that_is_cut_off_costs_no_unit_and_other_names_of_the_store_none_either(
    three: Hosts, tmp_path: Path
) -> None:
    faults = {(scan, row): "takes a second" for scan, n in ROWS.items() for row in range(n)}
    survey = toy_stage.ToySurvey(three.share / "store", ROWS, faults)
    store = Store(survey.root).create()
    purpose = Purpose("hosts", tmp_path, survey.root, versions=software_versions())
    done = threading.Event()
    with cluster_of(section(three), purpose) as cluster:
        client = cluster.client()
        assert client.scheduler.address.startswith("tls://")
        until = time.monotonic() + 90.0
        while len(client.scheduler_info(n_workers=-1)["workers"]) < 3 and time.monotonic() < until:
            time.sleep(0.5)

        def cut(progress):
            if progress.done >= 5 and not done.is_set():
                done.set()
                three.cut_off(3)

        record = RunRecord(seed=1, software={})
        report = run_stage(
            toy_stage.STAGE, survey, None, store, record, client=cluster.client, watch=cut, beyond=cluster
        )
    three.join(3)
    assert done.is_set()
    assert (report.complete, report.units_run, report.scans_published) == (True, 24, 2)
    output = store.published_output("fit", "a")
    assert output is not None
    assert output.read("soc")[:, 0].tolist() == list(range(12))


@pytest.mark.slow
def test_a_store_that_is_called_otherwise_there_is_named_unless_it_is_mapped(three: Hosts, tmp_path: Path) -> None:
    purpose = Purpose("hosts", tmp_path, three.share / "another", versions=software_versions())
    with (
        cluster_of(section(three, paths=False), purpose) as cluster,
        pytest.raises(InputError, match=r"does not see the store; got FileNotFoundError.*`paths` of kind ssh"),
    ):
        cluster.client()


def test_a_host_that_ssh_does_not_know_is_quoted(tmp_path: Path) -> None:
    if subprocess.run(["which", "ssh"], capture_output=True, check=False).returncode:
        pytest.skip("there is no ssh here")
    # An empty configuration: that of whoever runs this test may know any name.
    spec = read_cluster(
        {"kind": "ssh", "hosts": ["nobody.invalid"], "host": "127.0.0.1", "options": ["-F", "/dev/null"]}
    )
    with (
        cluster_of(spec, Purpose("hosts", tmp_path, tmp_path / "store")) as cluster,
        pytest.raises(InputError, match=r"no host has a worker; got nobody\.invalid-0: .*ssh: Could not resolve"),
    ):
        cluster.client()
