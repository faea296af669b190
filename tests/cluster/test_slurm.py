"""Jobs of Slurm: what is asked for, and on a real Slurm, campaigns through every misfortune of jobs."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import combinations
from math import ceil
from pathlib import Path
from shutil import copytree

import pytest

from storage.store import Store
from stxmdist.campaign.clusters import read_cluster
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.slurm import SlurmSpec, job_bytes, job_name, lifetime_s, seconds_of, start
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import InputError
from stxmdist.planning.execute import campaign_and_options, purpose_of
from stxmdist.planning.stages import STAGES
from stxmdist.runner.run import RunRecord, run_stage
from tests.cluster.private_slurm import PrivateSlurm, private_slurm
from tests.runner import toy_stage
from tests.stages.tiny import assert_same_tables, with_cluster


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
        self.slurm, self.acts = slurm, list(acts)
        self.seen: dict[str, int] = {}
        """Job to its memory in MiB"""
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
            self.seen |= {job: self.slurm.memory_mib(job) for job in running if job not in self.seen}
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


@pytest.mark.faults
@pytest.mark.slow
def test_cancelled_and_requeued_jobs_cost_no_unit(slurm: PrivateSlurm, tmp_path: Path) -> None:
    survey = slow_rows(tmp_path, 15)
    store = Store(survey.root).create()
    misfortune = Misfortune(slurm, "scancel", "scontrol requeue")
    misfortune.ready = lambda: len(list(survey.log.glob("seen-*"))) > 4 * (1 + len(misfortune.done))  # type: ignore[method-assign]
    with cluster_of(section(gpus=1), Purpose("misfortune", tmp_path, survey.root)) as cluster, misfortune:
        record = RunRecord(seed=1, software={})
        report = run_stage(toy_stage.STAGE, survey, None, store, record, client=cluster.client, beyond=cluster)
    assert [act for act, _ in misfortune.done] == ["scancel", "scontrol requeue"]
    assert (report.complete, report.units_run, report.scans_published) == (True, 30, 2)
    # What was cancelled was followed by another.
    assert len(misfortune.seen) >= 2
    # Each job had a GPU to itself, also while another one ran.
    units = [json.loads(path.read_text()) for path in survey.log.glob("seen-*")]
    assert {unit["gpu"] for unit in units} <= {"0", "1"}
    beside = [
        (one, other)
        for one, other in combinations(units, 2)
        if one["job"] != other["job"] and max(one["began"], other["began"]) < min(one["ended"], other["ended"])
    ]
    assert beside
    assert all((one["node"], one["gpu"]) != (other["node"], other["gpu"]) for one, other in beside)
    assert slurm.left() == {}


@pytest.mark.faults
@pytest.mark.slow
def test_a_job_at_the_end_of_its_time_is_followed_by_another(slurm: PrivateSlurm, tmp_path: Path) -> None:
    survey = slow_rows(tmp_path, 45)
    store = Store(survey.root).create()
    watching = Misfortune(slurm)
    spec = section(walltime="00:01:00", workers=1)
    with cluster_of(spec, Purpose("walltime", tmp_path, survey.root)) as cluster, watching:
        record = RunRecord(seed=1, software={})
        report = run_stage(toy_stage.STAGE, survey, None, store, record, client=cluster.client, beyond=cluster)
    assert (report.complete, report.units_run) == (True, 90)
    assert len(watching.seen) >= 2
    # Workers ended by themselves, before Slurm did it: no unit was broken off.
    assert not [path.name for path in (tmp_path / "logs").iterdir() if "TIME LIMIT" in path.read_text()]
    assert len(list(survey.log.glob("[ab]-*"))) == 90
    assert slurm.left() == {}


@pytest.mark.faults
@pytest.mark.slow
def test_what_the_job_of_a_deadly_unit_printed_is_quoted(slurm: PrivateSlurm, tmp_path: Path) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", {"a": 6}, {("a", 2): "always dies"})
    store = Store(survey.root).create()
    with cluster_of(section(workers=1), Purpose("deadly", tmp_path, survey.root)) as cluster:
        record = RunRecord(seed=1, software={})
        report = run_stage(toy_stage.STAGE, survey, None, store, record, client=cluster.client, beyond=cluster)
    (refusal,) = report.refusals
    # Nothing else is blamed: neither what waited behind it, nor what was done and not fetched yet.
    assert (refusal.unit, report.units_run) == ("row-2", 5)
    assert refusal.problem == "the worker died while it ran this unit"
    assert re.search(r"\(stxmdist-deadly-\d+\.err ends with '.*signal 9", refusal.got), refusal.got
    assert slurm.left() == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_campaign_on_slurm_is_the_campaign_of_one_machine(
    slurm: PrivateSlurm, simulated: Path, processed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copytree(simulated.parent, tmp_path / "campaign")
    told = {"kind": "slurm", "queue": "main", "walltime": "00:03:00", "workers": 2, "gpus": 1}
    campaign = with_cluster(folder / "campaign.yaml", told)
    # Certificates of its own: jobs and the run speak encrypted, as between hosts.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    stages = [word for name in STAGES if name != "report" for word in ("--stage", name)]
    misfortune = Misfortune(slurm, "scancel", "scontrol requeue")
    begun = folder / "store" / "stages"
    misfortune.ready = lambda: len(list(begun.glob("*"))) > 1 + 2 * len(misfortune.done)  # type: ignore[method-assign]
    peak = purpose_of(*campaign_and_options(campaign)).peak_bytes()
    with misfortune:
        words = [sys.executable, "-m", "stxmdist", "run", str(campaign), "--no-prefect", *stages]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [act for act, _ in misfortune.done] == ["scancel", "scontrol requeue"]
    assert set(misfortune.seen.values()) == {ceil(job_bytes(SlurmSpec(), peak) / 2**20)}
    assert slurm.left() == {}
    assert_same_tables(folder / "store", processed.parent / "store")
