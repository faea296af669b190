"""After kill -9 at any moment a run goes on with what is missing, and ends where an undisturbed one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import numpy as np
import psutil
import pytest

from storage.store import Store
from storage.verify import verify
from stxmdist.planning.execute import CampaignRun, RunRequest
from tests.stages import variants

ROOT = Path(__file__).resolve().parents[2]

SECONDS_WITHOUT_WORK = 20.0
"""A run that finds everything done may take as much."""

SECONDS_OF_ORPHANS = 30.0
"""A worker notices that nobody is there any more, once its unit is done."""

START_UP_S = 5.0
"""About as long as a run takes until its first unit is done: kills this early meet it while it imports, declares and
starts its workers."""


@dataclass(frozen=True)
class Moment:
    """When a run is killed."""

    units: int
    """Units of the campaign that are done by then, in this run or before"""
    seconds: float
    """After the last of them"""
    seconds_of_start_up: float
    """After the run began, where they were done before"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Store:
    return variants.inline(variants.variant(folder, "undisturbed", variants.BLOCKS))


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Runs that a test began; what is left of them ends with it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.returncode is None:
            kill_group(process)


def start(
    campaign: Path,
    processes: list[subprocess.Popen[str]],
    stages: tuple[str, ...] = (),
    scans: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Begin a run in a session of its own, so that its workers can be killed with it."""
    command = [sys.executable, "-m", "stxmdist", "run", str(campaign), "--no-prefect", "--cluster", "2", "--json"]
    command += [word for stage in stages for word in ("--stage", stage)]
    command += [word for scan in scans for word in ("--scan", scan)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    processes.append(process)
    return process


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a run and its workers at once, whatever they are doing."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a run says when it is over; it must have done everything."""
    out, _ = process.communicate(timeout=240)
    found: dict[str, Any] = json.loads(out)
    assert process.returncode == 0, found
    return found


def finished(store: Path) -> dict[Path, bytes]:
    """The markers of all finished units, and what they say."""
    return {path: path.read_bytes() for path in store.glob("stages/*/*/*/units/*.json") if path.name[0] != "."}


def left_by(markers: dict[Path, bytes]) -> dict[Path, tuple[int, int]]:
    """Inode and time of every marker and of every file that it names: another one if it was written again."""
    files = {marker.parents[1] / name for marker, text in markers.items() for name in json.loads(text)["files"]}
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files | markers.keys()}


def wait_for(store: Path, count: int, process: subprocess.Popen[str]) -> bool:
    """Wait until so many units are done; False if the run ended before."""
    while len(finished(store)) < count:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return True


def assert_equal_to_the_last_digit(one: Store, other: Store) -> None:
    """Every file of every stage, tables as Parquet and as CSV among them, but for the times in ``scans``."""
    assert variants.content(one) == variants.content(other)
    for path in sorted(one.tables_path.iterdir()):
        if path.stem != "scans":
            assert (other.tables_path / path.name).read_bytes() == path.read_bytes(), path.name
    here, there = variants.tables(one), variants.tables(other)
    assert here.keys() == there.keys()
    for name in here:
        assert here[name].equals(there[name]), name


def run_with_kills(campaign: Path, moments: list[Moment], processes: list[subprocess.Popen[str]]) -> None:
    """Kill a run again and again; let the last one end."""
    store = campaign.parent / campaign.name.replace("campaign-", "store-").removesuffix(".yaml")
    interrupted = 0
    for moment in moments:
        before = finished(store)
        untouched = left_by(before)
        process = start(campaign, processes)
        seconds = moment.seconds if len(before) < moment.units else moment.seconds_of_start_up
        wait_for(store, moment.units, process)
        time.sleep(seconds)
        interrupted += process.poll() is None
        kill_group(process)
        after = finished(store)
        print(f"killed {seconds:.2f} s after unit {moment.units}: {len(before)} units were done, now {len(after)}")
        assert {path: after.get(path) for path in before} == before
        assert left_by(before) == untouched
    before = finished(store)
    untouched = left_by(before)
    last = ended(start(campaign, processes))
    total = len(finished(store))
    print(f"{interrupted} kills met a run at work; the last run: {last['units_run']} of {total} units")
    assert (last["units_run"], last["units_skipped"]) == (total - len(before), len(before))
    assert left_by(before) == untouched
    assert interrupted == len(moments)


def assert_nothing_left_to_do(campaign: Path, processes: list[subprocess.Popen[str]]) -> None:
    began = time.perf_counter()
    again = ended(start(campaign, processes))
    seconds = time.perf_counter() - began
    print(f"the same command again: {again['units_run']} units, {again['units_skipped']} skipped, {seconds:.1f} s")
    assert again["units_run"] == 0
    assert seconds < SECONDS_WITHOUT_WORK


def drawn_moments(seed: int, kills: int, total: int) -> list[Moment]:
    """Seeded moments, spread over nine tenths of the units of a campaign so that there is work for each run."""
    rng = np.random.default_rng(seed)
    units = np.sort(rng.integers(0, int(0.9 * total), kills))
    return [Moment(int(n), float(rng.exponential(0.2)), float(rng.uniform(0.0, START_UP_S))) for n in units]


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.timeout(900))])
def test_a_run_that_is_killed_goes_on_where_it_was(
    folder: Path, undisturbed: Store, started: list[subprocess.Popen[str]], kills: int
) -> None:
    campaign = variants.variant(folder, f"killed-{kills}", variants.BLOCKS)
    total = len(finished(undisturbed.root))
    assert total >= 60
    run_with_kills(campaign, drawn_moments(seed=kills, kills=kills, total=total), started)
    store = Store(folder / f"store-killed-{kills}").open()
    assert_equal_to_the_last_digit(undisturbed, store)
    assert verify(store) == []
    assert_nothing_left_to_do(campaign, started)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["a worker", "the parent alone"])
def test_one_process_is_killed(
    folder: Path, undisturbed: Store, started: list[subprocess.Popen[str]], whom: str
) -> None:
    name = "killed-" + whom.replace(" ", "-")
    campaign = variants.variant(folder, name, variants.BLOCKS)
    process = start(campaign, started, variants.COMPARED)
    assert wait_for(folder / f"store-{name}", 15, process)
    children = psutil.Process(process.pid).children()
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    if whom == "a worker":
        workers[0].kill()
        outcome = ended(process)
        # What the worker had finished without Dask having heard of it is not computed again.
        assert outcome["units_run"] == len(finished(folder / f"store-{name}"))
    else:
        process.kill()
        # Not until its standard output ends: the workers hold that too.
        process.wait()
        # The workers may still be at their last units while the next run begins.
        ended(start(campaign, started, variants.COMPARED))
        _, left = psutil.wait_procs(children, timeout=SECONDS_OF_ORPHANS)
        for child in left:
            child.kill()
        assert not left, "workers outlive the run that started them"
    store = Store(folder / f"store-{name}").open()
    assert_equal_to_the_last_digit(undisturbed, store)
    assert verify(store) == []


@pytest.mark.faults
def test_units_that_were_finished_and_not_published_are_work(folder: Path) -> None:
    """Killed between the last unit of a stage and its publication, with other options than were published before."""
    stages = ("ingest", "absorbance", "align", "fit")
    campaign = variants.variant(folder, "unpublished", {"fit": {"rows_per_unit": 30}})
    request = RunRequest(str(campaign), stages=stages, scans=("stxm-E01-c001-r1",), cluster="inline")
    store = variants.processed(request)
    published, before = Path(str(store.published_path)), folder.parent / "published-before"
    copytree(published, before)
    variants.variant(folder, "unpublished", {"fit": {"rows_per_unit": 25}})
    variants.processed(request)
    assert CampaignRun(request).pending() == {}
    rmtree(published)
    copytree(before, published)
    assert CampaignRun(request).pending() == {"fit": 3}
