"""How far a run is, in a file that others read: what was seen is there, and a disk that takes no file ends nothing."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.runner import run_state as module
from stxmdist.runner.run import Progress
from stxmdist.runner.run_state import FILE_NAME, RunStateFile, run_state


def test_what_was_seen_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_WRITES", 0.0)
    seen: list[Progress] = []
    file = RunStateFile(tmp_path, ("fit", "segment"), ("E01",), {"fit": {"classes": {"most_od": 2.0}}})
    begun = run_state(tmp_path)
    assert begun is not None
    assert (begun.stages, begun.process, begun.ended) == ({}, os.getpid(), None)
    watch = file.watching(seen.append, lambda: "http://127.0.0.1:8787/status")
    watch(Progress("fit", 4, 1, 2, 12, 2.5, "E01"))
    found = run_state(tmp_path)
    assert found is not None
    fit = found.stages["fit"]
    assert (fit.done, fit.failed, fit.skipped, fit.total, fit.scan_id, fit.ended) == (4, 1, 2, 12, "E01", False)
    # Five units of this run took 2.5 s; five are left.
    assert fit.units_per_second == pytest.approx(2.0)
    assert fit.seconds_left == pytest.approx(2.5)
    assert found.dask == "http://127.0.0.1:8787/status"
    assert found.options == {"fit": {"classes": {"most_od": 2.0}}}
    assert len(seen) == 1
    file.stage_ended("fit")
    file.run_ended(None)
    ended = run_state(tmp_path)
    assert ended is not None
    assert ended.stages["fit"].ended
    assert ended.ended
    assert ended.error is None
    assert ended.dask is None


def test_between_two_writes_units_are_not_written(tmp_path: Path) -> None:
    watch = RunStateFile(tmp_path, ("fit",)).watching(lambda progress: None, lambda: None)
    for done in range(500):
        watch(Progress("fit", done, 0, 0, 500, 0.1, "E01"))
    found = run_state(tmp_path)
    assert found is not None
    assert found.stages["fit"].done < 499


def test_a_run_leaves_its_state_and_its_error(simulated_copy: Path) -> None:
    request = RunRequest(str(simulated_copy), ("ingest",), cluster="inline")
    run = CampaignRun(request)
    with suppress(KeyboardInterrupt), run:
        run.stage("ingest")
        raise KeyboardInterrupt
    found = run_state(run.campaign.store)
    assert found is not None
    assert found.asked == ("ingest",)
    assert found.stages["ingest"].ended
    assert found.stages["ingest"].done == found.stages["ingest"].total > 0
    assert found.error is not None
    assert "KeyboardInterrupt" in found.error


def test_a_place_that_takes_no_file_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    file = RunStateFile(tmp_path / "store", ("fit",))
    file.watching(lambda progress: None, lambda: None)(Progress("fit", 1, 0, 0, 2, 0.1))
    file.run_ended(None)
    assert run_state(tmp_path / "store") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"process": 1}', '{"process": "x", "stages": 3}'])
def test_a_file_that_is_none_is_no_state(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert run_state(tmp_path) is None


@pytest.fixture
def simulated_copy(simulated: Path, tmp_path: Path) -> Path:
    from shutil import copytree

    return copytree(simulated.parent, tmp_path / "campaign") / "campaign.yaml"
