"""The runner: what is done stays done, what fails is set aside and named, what is published is whole."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.utils import key_split_group
from threadpoolctl import threadpool_info, threadpool_limits

from storage.output import Output
from storage.store import Store
from storage.verify import verify
from stxmdist.campaign.clusters import GPU, ClusterSpec
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import StoreError
from stxmdist.runner.over_dask import IN_FLIGHT_PER_THREAD
from stxmdist.runner.perform import perform
from stxmdist.runner.run import Progress, RunRecord, run_stage
from stxmdist.runner.unit import RECEIPT_FORMAT, Plan, Unit, receipts_of
from tests.cluster.outside import beside
from tests.runner import toy_stage

ROWS = {"a": 7, "b": 3}
RECORD = RunRecord(seed=1, software={"python": "3"})


def run(survey, client=None, stage=toy_stage.STAGE, **how):
    store = Store(survey.root).create()
    return run_stage(stage, survey, None, store, RECORD, client=client, **how)


def attempts(survey) -> Counter:
    return Counter(tuple(path.name.split("-")[:2]) for path in survey.log.glob("*-*-*"))


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(ClusterSpec(workers=2, memory_limit=10**9)) as started:
        yield started.client


@pytest.fixture(params=["inline", "processes"])
def client(request):
    return None if request.param == "inline" else request.getfixturevalue("cluster")


def test_the_process_that_runs_a_unit_does_not_choose_its_threads(tmp_path: Path, client) -> None:
    with threadpool_limits(2, user_api="blas"):
        run(toy_stage.ToySurvey(tmp_path / "store", ROWS), client)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}
    output = Store(tmp_path / "store").published_output("fit", "a")
    assert output is not None
    for row in range(ROWS["a"]):
        receipt = output.receipt(f"row-{row}")
        assert receipt is not None
        threads = receipt["measures"]["blas_threads"]
        assert threads
        assert set(threads) == {1}


def test_every_unit_runs_once_and_the_second_run_does_nothing(tmp_path: Path, client) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS)
    first = run(survey, client)
    assert (first.units_run, first.units_skipped, first.scans_published) == (10, 0, 2)
    before = (tmp_path / "store/published/fit.json").read_bytes()
    second = run(survey, client)
    assert (second.units_run, second.units_skipped) == (0, 10)
    assert (tmp_path / "store/published/fit.json").read_bytes() == before
    assert set(attempts(survey).values()) == {1}
    output = Store(survey.root).published_output("fit", "a")
    assert output is not None
    np.testing.assert_array_equal(output.read("soc")[:, 0], np.arange(7))
    assert verify(Store(survey.root)) == []


def test_dask_shows_units_by_stage_and_names_their_scans(tmp_path: Path, cluster) -> None:
    client = cluster()

    def hear(dask_scheduler) -> None:
        plugin = SchedulerPlugin()
        plugin.heard = set()
        plugin.transition = lambda key, *words, **more: plugin.heard.add(key)
        dask_scheduler.add_plugin(plugin, name="hear")

    client.run_on_scheduler(hear)
    run(toy_stage.ToySurvey(tmp_path / "store", {"electrode-3-scan-7": 2}), cluster)
    keys = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["hear"].heard)
    units = {key for key in keys if isinstance(key, tuple)}
    assert {key[:2] for key in units} == {("fit", f"electrode-3-scan-7 row-{row}") for row in range(2)}
    assert {key_split_group(key) for key in units} == {"fit"}
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.remove_plugin("hear"))


def test_what_describes_an_output_is_published_with_it(tmp_path: Path) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS)
    run(survey)
    store = Store(survey.root)
    output = store.published_output("fit", "a")
    assert output is not None
    metadata = output.group_path / "soc" / "zarr.json"
    metadata.write_text(metadata.read_text() + " ")
    (finding,) = verify(store)
    assert (finding.kind, finding.scan_id) == ("changed", "a")
    assert finding.path.endswith("soc/zarr.json")
    # Hashed once, when it was whole: a later run does not publish the damage.
    run(survey)
    assert len(verify(store)) == 1


def test_an_explained_error_is_not_tried_again_until_retry(tmp_path: Path, client) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, {("a", 2): "explained"})
    report = run(survey, client)
    assert [r.sentence for r in report.refusals] == ["row: the row is wrong; got a fault, wanted none. Mend it."]
    assert report.scans_published == 1
    publication = Store(survey.root).publication("fit")
    assert publication is not None
    assert {name: scan.state for name, scan in publication.scans.items()} == {"a": "failed", "b": "done"}

    again = run(survey, client)
    assert again.units_run == 0
    assert len(again.refusals) == 1
    assert attempts(survey)["a", "2"] == 1

    (survey.log / "mended").touch()
    mended = run(survey, client, retry=True)
    assert mended.units_run == 1
    assert mended.complete
    assert mended.scans_published == 2


def test_what_nobody_foresaw_is_kept_with_its_traceback(tmp_path: Path, client) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, {("b", 1): "always breaks"})
    (refusal,) = run(survey, client).refusals
    assert "nobody foresaw this" in refusal.got
    assert "toy_stage" in refusal.traceback


@pytest.mark.parametrize("fault", ["breaks once", pytest.param("dies once", marks=pytest.mark.slow)])
def test_passing_trouble_is_survived_and_nothing_finished_is_computed_again(tmp_path: Path, cluster, fault) -> None:
    faults = {("a", row): "slow" for row in range(7)} | {("b", 1): fault}
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, faults)
    report = run(survey, cluster)
    assert report.complete
    counts = attempts(survey)
    assert counts["b", "1"] == 2
    # A worker that dies may take along the few units that it was running or had just finished but not yet told of.
    assert sum(counts.values()) <= 10 + 2


def test_order_and_workers_leave_the_same_bytes(tmp_path: Path, cluster) -> None:
    inline = toy_stage.ToySurvey(tmp_path / "one", ROWS)
    spread = toy_stage.ToySurvey(tmp_path / "two", dict(reversed(ROWS.items())))
    run(inline)
    run(spread, cluster)
    files = [
        {p.relative_to(s.root): p.read_bytes() for p in s.root.rglob("c/*") if p.is_file()} for s in (inline, spread)
    ]
    assert files[0] == files[1]


def rewritten(output: Output, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change every receipt of an output, as another version of the program would have written it."""
    for path in (output.path / "units").glob("*.json"):
        path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.parametrize(
    "change",
    [
        lambda receipt: {name: value for name, value in receipt.items() if name != "format"},
        lambda receipt: receipt | {"format": RECEIPT_FORMAT + 1},
        lambda receipt: {"format": 0, "unit": receipt["unit"], "index": {"row": 1}},
    ],
    ids=["no number", "another number", "other fields"],
)
def test_units_with_receipts_of_another_format_are_computed_again(tmp_path: Path, client, change) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS)
    run(survey, client)
    output = Store(survey.root).published_output("fit", "a")
    assert output is not None
    rewritten(output, change)
    assert receipts_of(output) == {}
    again = run(survey, client)
    assert (again.complete, again.units_run, again.units_skipped) == (True, ROWS["a"], ROWS["b"])
    assert set(receipts_of(output)) == {f"row-{row}" for row in range(ROWS["a"])}
    assert verify(Store(survey.root)) == []


def test_progress_counts_every_unit(tmp_path: Path) -> None:
    seen: list[Progress] = []
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, {("a", 0): "explained"})
    run(survey, watch=seen.append)
    assert [p.done + p.failed for p in seen] == list(range(11))
    assert (seen[-1].done, seen[-1].failed, seen[-1].total) == (9, 1, 10)


def test_scans_that_are_kept_stay_published(tmp_path: Path) -> None:
    run(toy_stage.ToySurvey(tmp_path / "store", ROWS))
    run(toy_stage.ToySurvey(tmp_path / "store", {"b": 3}), keep=frozenset({"a"}))
    publication = Store(tmp_path / "store").publication("fit")
    assert publication is not None
    assert set(publication.scans) == {"a", "b"}


def planned_otherwise(change: Callable[[tuple[Unit, ...]], tuple[Unit, ...]]) -> Any:
    """The toy stage with its units changed."""

    def plan(survey: Any, options: Any) -> Plan:
        return Plan(change(toy_stage.plan(survey, options).units))

    return SimpleNamespace(
        name=toy_stage.NAME,
        version=1,
        measures=toy_stage.Row,
        plan=plan,
        finish=toy_stage.finish,
        finished_every_run=False,
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda units: (*units, replace(units[1], name="thief", owns=units[0].owns)),
            r"two owners; got row-0 and thief",
        ),
        (lambda units: units[1:], r"shards that no unit writes; got soc \(0, 0\)"),
    ],
    ids=["two owners", "none"],
)
def test_a_plan_in_which_a_shard_has_not_one_owner_is_refused(tmp_path: Path, change, problem: str) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS)
    with pytest.raises(StoreError, match=problem):
        run_stage(planned_otherwise(change), survey, None, Store(survey.root).create(), RECORD, client=None)
    assert not survey.log.exists()


GPUS = 1
"""Of two workers. No GPU is needed: the resource is a word between the unit and the scheduler."""
SLOW = {(scan_id, row): "slow" for scan_id, rows in ROWS.items() for row in range(rows)}
"""So slow that both workers have their share of units that either may run."""


@pytest.fixture(scope="module")
def with_gpu():
    with cluster_of(ClusterSpec(workers=2, memory_limit=10**9, gpus=GPUS)) as started:
        yield started.client


def asking(*scans: str) -> Any:
    """The toy stage whose units of some scans ask for a GPU."""

    def change(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        return tuple(replace(unit, resources={GPU: 1.0}) if unit.scan_id in scans else unit for unit in units)

    return planned_otherwise(change)


def processes(survey, scan_id: str) -> set[int]:
    return {int(path.name.split("-")[-1]) for path in survey.log.glob(f"{scan_id}-*")}


def process_with_gpu(client) -> int:
    workers = client().scheduler_info(n_workers=-1)["workers"]
    (pid,) = (pid for at, pid in client().run(os.getpid).items() if workers[at]["resources"].get(GPU))
    return pid


def test_units_that_ask_for_a_gpu_run_where_there_is_one(tmp_path: Path, with_gpu) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, SLOW)
    report = run(survey, with_gpu, asking("a", "b"))
    assert report.complete
    assert report.units_run == 10
    for scan_id in ROWS:
        assert processes(survey, scan_id) == {process_with_gpu(with_gpu)}


def test_units_that_do_not_ask_run_anywhere(tmp_path: Path, with_gpu) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, SLOW)
    assert run(survey, with_gpu).complete
    assert len(processes(survey, "a") | processes(survey, "b")) == 2


def test_both_kinds_run_side_by_side(tmp_path: Path, with_gpu) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, SLOW)
    assert run(survey, with_gpu, asking("b")).complete
    assert processes(survey, "b") == {process_with_gpu(with_gpu)}
    assert processes(survey, "a") - processes(survey, "b"), "the other worker had nothing to do"


def test_units_that_ask_for_what_nobody_offers_run_anyway(tmp_path: Path, cluster) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, SLOW)
    report = run(survey, cluster, asking("a", "b"))
    assert (report.complete, report.units_run) == (True, 10)
    assert len(processes(survey, "a") | processes(survey, "b")) == 2


def test_no_more_wait_at_a_gpu_than_at_a_thread(tmp_path: Path, with_gpu) -> None:
    rows = 3 * IN_FLIGHT_PER_THREAD
    survey = toy_stage.ToySurvey(tmp_path / "store", {"a": rows}, {("a", row): "slow" for row in range(rows)})
    waiting: list[int] = []

    def watch(progress: Progress) -> None:
        waiting.append(len(with_gpu().futures))

    assert run(survey, with_gpu, asking("a"), watch=watch).complete
    assert max(waiting) == IN_FLIGHT_PER_THREAD * GPUS


@pytest.mark.parametrize("fault", ["breaks once", "dies once"])
def test_passing_trouble_at_a_gpu_is_survived(tmp_path: Path, with_gpu, fault: str) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, SLOW | {("b", 1): fault})
    report = run(survey, with_gpu, asking("a", "b"))
    assert report.complete
    assert attempts(survey)["b", "1"] == 2
    # A worker that died came back with its GPU.
    assert processes(survey, "b") | processes(survey, "a") >= {process_with_gpu(with_gpu)}
    assert len(processes(survey, "b") | processes(survey, "a")) == (2 if fault == "dies once" else 1)


def perform_and_be_lost(unit: Unit, threads: int = 1) -> None:
    """As where a worker dies after a unit was done and before its result was fetched."""
    perform(unit, threads)
    raise RuntimeError("lost")


@pytest.mark.faults
def test_what_was_done_and_lost_on_the_way_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # When a process dies cannot be said to the millisecond.
    monkeypatch.setattr("stxmdist.runner.run.perform", perform_and_be_lost)
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS)
    with beside() as address, cluster_of(ClusterSpec(workers=1, address=address)) as there:
        report = run(survey, there.client)
    assert (report.complete, report.units_run, report.scans_published) == (True, 10, 2)
    assert set(attempts(survey).values()) == {1}
