"""Hosts with ssh: encrypted, the store under another name on each, one cut off in the middle of the work."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from storage.store import Store
from stxmdist.campaign.clusters import AnyCluster, read_cluster
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError
from stxmdist.planning.execute import software_versions
from stxmdist.planning.stages import STAGES
from stxmdist.runner.run import RunRecord, run_stage
from tests.cluster.hosts import Hosts, hosts
from tests.runner import toy_stage
from tests.stages.tiny import assert_same_tables, with_cluster

ROWS = {"a": 12, "b": 12}
RESULTS = ("stages", "published", "tables")
"""Folders of a store with what was computed"""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hosts(tmp_path_factory.mktemp("hosts"), 3) as found:
        yield found


@pytest.fixture(autouse=True)
def own_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def written(three: Hosts, paths: bool = True) -> dict[str, object]:
    named = [
        {"host": name, "paths": {str(three.share): three.seen_at(number)} if paths else {}}
        for number, name in enumerate(three.names, 1)
    ]
    return {"kind": "ssh", "hosts": named, "options": three.options, "memory_limit": "800MB"}


def section(three: Hosts, paths: bool = True) -> AnyCluster:
    return read_cluster(written(three, paths))


@pytest.mark.faults
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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_campaign_on_hosts_is_the_campaign_of_one_machine(three: Hosts, simulated: Path, processed: Path) -> None:
    folder = copytree(simulated.parent, three.share / "campaign")
    campaign = with_cluster(folder / "campaign.yaml", written(three))
    stages = [word for name in STAGES if name != "report" for word in ("--stage", name)]
    words = [sys.executable, "-m", "stxmdist", "run", str(campaign), "--no-prefect", *stages]
    store = folder / "store"
    cut = False
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        said: list[str] = []
        assert run.stdout is not None
        reader = threading.Thread(target=lambda out: said.append(out.read()), args=(run.stdout,))
        reader.start()
        while run.poll() is None:
            if not cut and len(list(store.glob("stages/*"))) > 2:
                three.cut_off(3)
                cut = True
            time.sleep(0.2)
        reader.join()
    assert run.returncode == 0, said
    assert cut
    three.join(3)
    assert_same_tables(store, processed.parent / "store")
    # What is computed knows nothing of where it was computed: neither the folder's name here nor those there.
    files = [path for name in RESULTS for path in (store / name).rglob("*") if path.is_file()]
    assert len(files) > 100
    named = [path.relative_to(store) for path in files if os.fsencode(three.folder) in path.read_bytes()]
    assert named == []


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
