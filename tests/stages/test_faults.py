"""Misfortunes drawn at random in the middle of runs: each ends in the same tables, and costs only what was under way.

``./run test --faults -s tests/stages/test_faults.py`` prints a row for each; docs/faults.md says what each kind
must lead to.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from storage.store import Store
from storage.verify import verify
from stxmdist.planning.execute import RunRequest
from stxmdist.runner.run_state import run_state
from tests.stages import variants
from tests.stages.test_resume import SECONDS_OF_ORPHANS, ended, finished, kill_group, left_by, start, wait_for

FAULTS = int(os.environ.get("STXMDIST_FAULTS", "100"))
"""How many are drawn"""
SEED = 20261201
MOST_UNITS = 10
"""Done in a run before something befalls it, less than there are: none while it imports and starts its workers"""
MOST_SECONDS = 0.5
"""After the last of them"""
STOPPED_SECONDS = 3.0
STAGES = ("ingest", "absorbance", "align", "fit", "segment", "infer")
"""Enough to have many small units, and tables at the end"""
SCANS = ("stxm-E01-c001-r1", "stxm-E02-c001-r1")
Run = subprocess.Popen[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("campaign"))


@pytest.fixture
def started() -> Iterator[list[Run]]:
    """Runs that the test began; what is left of them ends with it."""
    processes: list[Run] = []
    yield processes
    for process in processes:
        if process.returncode is None:
            kill_group(process)


def workers_of(run: Run) -> list[psutil.Process]:
    children = psutil.Process(run.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def command(word: str, campaign: Path, *more: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "stxmdist", word, str(campaign), *more, "--json"]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)


# --- what befalls a run; whether it is to go on by itself -----------------------------------------------------


def everything_is_killed(run: Run, campaign: Path) -> bool:
    kill_group(run)
    return False


def the_run_alone_is_killed(run: Run, campaign: Path) -> bool:
    """Its scheduler goes with it, and its workers have nobody."""
    children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    _, left = psutil.wait_procs(children, timeout=SECONDS_OF_ORPHANS)
    for child in left:
        child.kill()
    assert not left, "workers outlive the run that started them"
    return False


def it_is_interrupted(run: Run, campaign: Path) -> bool:
    """As Ctrl-C does."""
    os.killpg(run.pid, signal.SIGINT)
    try:
        run.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        kill_group(run)
        raise
    return False


def a_worker_is_killed(run: Run, campaign: Path) -> bool:
    for worker in workers_of(run)[:1]:
        worker.kill()
    return True


def a_worker_is_stopped(run: Run, campaign: Path) -> bool:
    for worker in workers_of(run)[:1]:
        worker.suspend()
        time.sleep(STOPPED_SECONDS)
        worker.resume()
    return True


def everything_is_stopped(run: Run, campaign: Path) -> bool:
    os.killpg(run.pid, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    os.killpg(run.pid, signal.SIGCONT)
    return True


def a_second_run_is_started(run: Run, campaign: Path) -> bool:
    return goes_on_alone(run, command("run", campaign, "--no-prefect", "--cluster", "inline", "--stage", "ingest"))


def gc_is_started(run: Run, campaign: Path) -> bool:
    return goes_on_alone(run, command("gc", campaign))


def goes_on_alone(run: Run, other: subprocess.CompletedProcess[str]) -> bool:
    """Of a run and another command one has the store, and the other says so; whether it is the run that goes on.

    A run that still imports and starts its workers has no store yet, and may come too late.
    """
    refused = "another process is using this store"
    if other.returncode == 2:
        assert refused in other.stdout or "there is no store here" in other.stdout
        return True
    out, _ = run.communicate(timeout=240)
    assert run.returncode == 0 or refused in out, out
    return run.returncode == 0


KINDS: dict[str, Callable[[Run, Path], bool]] = {
    "the run and its workers are killed": everything_is_killed,
    "the run is killed, with its scheduler": the_run_alone_is_killed,
    "the run is interrupted": it_is_interrupted,
    "a worker is killed": a_worker_is_killed,
    "a worker is stopped for a while": a_worker_is_stopped,
    "everything is stopped for a while": everything_is_stopped,
    "a second run is started": a_second_run_is_started,
    "gc is started": gc_is_started,
}


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_faults_cost_what_was_under_way_and_nothing_else(
    folder: Path, started: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(SEED)
    whole = variants.processed(
        RunRequest(str(variants.variant(folder, "whole", variants.BLOCKS)), STAGES, SCANS, "inline")
    )
    total = len(finished(whole.root))
    campaign = variants.variant(folder, "faults", variants.BLOCKS)
    root = folder / "store-faults"
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    order = list(KINDS) * -(-FAULTS // len(KINDS))
    for name in rng.permutation(order[:FAULTS]).tolist():
        before = finished(root) if root.is_dir() else {}
        untouched = left_by(before)
        run = start(campaign, started, STAGES, SCANS)
        wait_for(root, min(total - 1, len(before) + int(rng.integers(0, MOST_UNITS + 1))), run)
        time.sleep(rng.uniform(0.0, MOST_SECONDS))
        at_work = run.poll() is None
        goes_on = KINDS[name](run, campaign) if at_work else True
        if goes_on:
            outcome = ended(run)
            assert outcome["units_skipped"] == len(before)
        after = finished(root) if root.is_dir() else {}
        # What was finished is as it was, to the file.
        assert {path: after.get(path) for path in before} == before
        assert left_by(before) == untouched
        if root.is_dir() and (root / "store.json").exists():
            store = Store(root).open()
            assert not store.held(), "a lock outlives its run"
            state = run_state(store.local)
            assert state is None or goes_on or not psutil.pid_exists(state.process) or state.ended is not None
        counted[name][0] += at_work
        counted[name][1] += len(after) - len(before)
        with capsys.disabled():
            print(f"\n{name}, {'at work' if at_work else 'over before'}: {len(before)} units, now {len(after)}", end="")
        if goes_on:
            assert verify(Store(root)) == []
            variants_equal(whole, Store(root))
            shutil.rmtree(root)
    with capsys.disabled():
        print("\n\n| what happened | times | units done between |\n| --- | --- | --- |")
        for name, (times, units) in counted.items():
            print(f"| {name} | {times} | {units} |")
    last = ended(start(campaign, started, STAGES, SCANS))
    assert last["complete"]
    variants_equal(whole, Store(root))


def variants_equal(one: Store, other: Store) -> None:
    """Tables to the last digit, but for the times that scans took."""
    here, there = variants.tables(one), variants.tables(other)
    assert here.keys() == there.keys()
    assert len(here) > 20
    for name in here:
        assert here[name].equals(there[name]), name


def test_the_rows_of_the_table_are_the_kinds() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
    said = page.read_text()
    assert [name for name in KINDS if name not in said] == []
    assert json.dumps(SEED) in said
