"""A cluster that cannot do the work is told by one sentence before the first unit: set-ups that are wrong."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.place import kind_of, place_of
from stxmdist.campaign.clusters import ClusterSpec
from stxmdist.campaign.places import PLACES_VARIABLE, as_places
from stxmdist.cli import process
from stxmdist.cluster.check import CheckedWorker
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.start import Cluster, cluster_of
from stxmdist.errors import InputError
from stxmdist.planning.execute import software_versions
from tests.campaign.conftest import MANIFEST, WriteCampaign, write_campaign  # noqa: F401 (a fixture)
from tests.cluster.outside import beside, outside


def checked(address: str, purpose: Purpose) -> CheckedWorker:
    cluster = Cluster(ClusterSpec(workers=1, address=address), purpose)
    try:
        return cluster.check(most_seconds=60.0)
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the worker of ``address`` calls otherwise."""
    return tmp_path_factory.mktemp("hidden") / "here"


@pytest.fixture(scope="module")
def address(hidden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {PLACES_VARIABLE: as_places({str(hidden): str(hidden.parent / "there")})}
    with outside(tmp_path_factory.mktemp("outside"), **environment) as there:
        yield there.address


def purpose(folder: Path, **changes: object) -> Purpose:
    return Purpose("tiny", folder, folder / "store", versions=software_versions(), **changes)  # type: ignore[arg-type]


def test_a_worker_that_can_do_the_work(address: str, tmp_path: Path) -> None:
    file = tmp_path / "scan.hdr"
    file.touch()
    found = checked(address, purpose(tmp_path, files=(file,)))
    assert (found.host, found.differences) == (socket.gethostname(), ())
    # Nothing is left in the store.
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.slow
def test_a_worker_that_has_not_the_product_is_named_before_the_first_unit(tmp_path: Path) -> None:
    # A module of this name that cannot be imported stands before the product, whatever the environment has installed.
    (tmp_path / "stxmdist").mkdir()
    (tmp_path / "stxmdist" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'stxmdist'\")\n")
    with (
        outside(tmp_path, PYTHONPATH=str(tmp_path)) as there,
        cluster_of(ClusterSpec(workers=1, address=there.address), purpose(tmp_path)) as cluster,
        pytest.raises(InputError) as error,
    ):
        cluster.client()
    assert "the worker cannot import stxmdist; got ModuleNotFoundError: No module named 'stxmdist'" in str(error.value)
    assert sys.executable in error.value.sentence
    assert "cluster: python" in error.value.sentence


@pytest.mark.parametrize("name", ["stxmdist", "distributed"])
def test_a_worker_with_another_version(address: str, tmp_path: Path, name: str) -> None:
    here = {**software_versions(), name: "0.0.7"}
    with pytest.raises(InputError, match=rf"another version of {name}; got .* wanted 0\.0\.7, as here"):
        checked(address, Purpose("tiny", tmp_path, tmp_path / "store", versions=here))


def test_other_versions_of_what_computes_are_named_and_not_refused(address: str, tmp_path: Path) -> None:
    here = {**software_versions(), "numpy": "0.0.7"}
    found = checked(address, Purpose("tiny", tmp_path, tmp_path / "store", versions=here))
    assert [line.partition(" ")[0] for line in found.differences] == ["numpy"]
    assert found.differences[0].endswith("there, 0.0.7 here")


def test_a_worker_that_does_not_see_the_store(address: str, hidden: Path) -> None:
    there = hidden.parent / "there"
    with pytest.raises(InputError, match=r"does not see the store; got FileNotFoundError.*there/store"):
        checked(address, purpose(hidden))
    # A folder of that name, and another one.
    (there / "store").mkdir(parents=True)
    with pytest.raises(InputError, match=r"does not see the store; got FileNotFoundError"):
        checked(address, purpose(hidden))
    # The same folder under another name is the store.
    (there / "store").rmdir()
    (there / "store").symlink_to(hidden / "store")
    assert checked(address, purpose(hidden)).differences == ()


def test_a_worker_that_does_not_see_the_files(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not see files of the campaign; got no .*gone\.hdr on "):
        checked(address, purpose(tmp_path, files=(tmp_path / "gone.hdr",)))


@pytest.mark.slow
def test_a_worker_reads_writes_and_removes_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    place = place_of(bucket)
    what = Purpose("tiny", tmp_path, place, versions=software_versions())
    with outside(tmp_path) as there:
        assert checked(there.address, what).differences == ()
    assert list(kind_of(place).files(place)) == []
    # Here the bucket opens, and there it does not.
    with outside(tmp_path, AWS_SECRET_ACCESS_KEY="hush-hush") as there, pytest.raises(InputError) as error:
        checked(there.address, what)
    assert "the worker does not see the store" in error.value.problem
    assert "does not let these credentials" in error.value.got
    assert "where workers start" in error.value.mend
    assert "hush" not in error.value.sentence
    assert list(kind_of(place).files(place)) == []


def test_a_scheduler_without_workers(tmp_path: Path) -> None:
    with beside(workers=0) as address:
        guest = Cluster(ClusterSpec(workers=1, address=address), purpose(tmp_path))
        said: list[str] = []
        with pytest.raises(InputError, match="no worker came; got no worker has come to the scheduler"):
            guest.check(2.0, said.append)
        guest.close()
        assert said == ["no worker has come to the scheduler"]


def test_the_command_says_who_can_do_the_work(
    address: str,
    write_campaign: WriteCampaign,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_campaign(MANIFEST)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["stxmdist", "cluster", "check", str(path), "--cluster", address, "--json"])
    try:
        with pytest.raises(SystemExit) as left:
            process.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    said = json.loads(capsys.readouterr().out)
    assert (left.value.code, said["host"], said["executable"]) == (0, socket.gethostname(), sys.executable)
    assert said["sentence"].startswith(f"{address}: a worker on ")
    assert not list((path.parent / "store").glob(".cluster-check*"))
