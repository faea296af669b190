"""Jobs of Slurm: what is asked for, and on a real Slurm, campaigns through every misfortune of jobs."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.store import Store
from stxmdist.campaign.clusters import read_cluster
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.slurm import SlurmSpec, job_bytes, job_name, lifetime_s, seconds_of, start
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError
from stxmdist.runner.run import RunRecord, run_stage
from tests.cluster.private_slurm import PrivateSlurm, private_slurm
from tests.runner import toy_stage


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:01:00", 60), ("01:30:00", 5400), ("2-00:00:10", 172810), ("100:00:00", 360000)]
)
def test_walltimes(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("walltime_s", [60, 61, 600, 3600, 7 * 86400])
def test_every_worker_ends_before_its_walltime_and_not_all_at_once(walltime_s: int) -> None:
    lifetime, stagger = lifetime_s(walltime_s)
    assert 0 < lifetime - stagger < lifetime + stagger < walltime_s
    assert stagger > 0


def test_the_names_of_jobs_say_the_campaign() -> None:
    assert job_name("rate series, May") == "stxmdist-rate-series-May"
    assert job_name("äöü") == "stxmdist-run"
    assert job_name("$(rm -rf /)") == "stxmdist-rm-rf"


def test_the_memory_of_a_job_is_that_of_the_plan_with_room_unless_said() -> None:
    assert job_bytes(SlurmSpec(memory="4GB"), 10**10) == 4 * 10**9
    for peak, cores in ((2 * 10**9, 1), (2 * 10**9, 3)):
        assert 0.9 * job_bytes(SlurmSpec(cores=cores), peak) > 1.2 * cores * peak
    assert job_bytes(SlurmSpec(), None) == job_bytes(SlurmSpec(), 10**8) > 7 * 10**8


def test_without_slurm_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no Slurm on this machine; got no `sbatch` in PATH.*login node"):
        start(SlurmSpec(), Purpose(folder=tmp_path))


# --- a real one -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlurm]:
    with private_slurm(tmp_path_factory.mktemp("slurm"), nodes=2) as running:
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = running.conf
        yield running
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def section(**changes: object) -> SlurmSpec:
    given = {"kind": "slurm", "queue": "main", "walltime": "00:05:00", "memory": "1200MB", "workers": 2, **changes}
    found = read_cluster({"host": "127.0.0.1"} | given)
    assert isinstance(found, SlurmSpec)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"queue": "nosuch"}, r"Slurm has no queue 'nosuch'; got invalid partition.*Choose one of main"),
        ({"memory": "1TB"}, r"Slurm would not take such a job; got .*configuration is not available"),
        ({"gpus": 1, "gres": "gpu:h9"}, r"Slurm would not take such a job"),
    ],
)
def test_what_slurm_would_not_take_is_said_before_anything_waits(
    slurm: PrivateSlurm, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with (
        cluster_of(section(**changes), Purpose("wrong", tmp_path)) as cluster,
        pytest.raises(InputError, match=sentence),
    ):
        cluster.client()
    assert slurm.left() == {}


@pytest.mark.slow
def test_jobs_that_end_at_once_are_quoted(slurm: PrivateSlurm, tmp_path: Path) -> None:
    spec = section(python=f"{tmp_path}/nowhere/python")
    with (
        cluster_of(spec, Purpose("no python", tmp_path)) as cluster,
        pytest.raises(InputError, match=r"the jobs ended before a worker came; got stxmdist-no-python-\d+\.err ends"),
    ):
        cluster.client()
    assert slurm.left() == {}


class Misfortune:
    """Looks at the jobs of a campaign, and does something to one of them when enough units are done."""

    def __init__(self, slurm: PrivateSlurm, *acts: str) -> None:
        self.slurm, self.acts, self.seen = slurm, list(acts), set[str]()
        self.done: list[tuple[str, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Misfortune":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(1.0):
            running = [job for job, state in self.slurm.jobs("stxmdist-").items() if state == "RUNNING"]
            self.seen.update(running)
            fresh = [job for job in running if job not in [hit for _, hit in self.done]]
            if self.acts and fresh and self.ready():
                act = self.acts.pop(0)
                self.slurm.ask(*act.split(), fresh[0])
                self.done.append((act, fresh[0]))

    def ready(self) -> bool:
        return True


def slow_rows(folder: Path, rows: int) -> toy_stage.ToySurvey:
    """Units of a second each, of two scans."""
    faults = {(scan, row): "takes a second" for scan in ("a", "b") for row in range(rows)}
    return toy_stage.ToySurvey(folder / "store", {"a": rows, "b": rows}, faults)


@pytest.mark.slow
def test_cancelled_and_requeued_jobs_cost_no_unit(slurm: PrivateSlurm, tmp_path: Path) -> None:
    survey = slow_rows(tmp_path, 15)
    store = Store(survey.root).create()
    misfortune = Misfortune(slurm, "scancel", "scontrol requeue")
    misfortune.ready = lambda: len(list(survey.log.glob("gpu-*"))) > 4 * (1 + len(misfortune.done))  # type: ignore[method-assign]
    with cluster_of(section(gpus=1), Purpose("misfortune", tmp_path, survey.root)) as cluster, misfortune:
        record = RunRecord(seed=1, software={})
        report = run_stage(toy_stage.STAGE, survey, None, store, record, client=cluster.client, beyond=cluster)
    assert [act for act, _ in misfortune.done] == ["scancel", "scontrol requeue"]
    assert (report.complete, report.units_run, report.scans_published) == (True, 30, 2)
    # What was cancelled was followed by another.
    assert len(misfortune.seen) >= 2
    # Each job had a GPU to itself.
    assert {path.read_text() for path in survey.log.glob("gpu-*")} <= {"0", "1"}
    assert slurm.left() == {}
