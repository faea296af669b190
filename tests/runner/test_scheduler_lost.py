"""The scheduler dies under a run: one sentence, what is finished is kept, and the next run goes on with the rest."""

import signal
from pathlib import Path

import pytest

from storage.store import Store
from stxmdist.campaign.clusters import ClusterSpec
from stxmdist.cli import process
from stxmdist.cluster.start import cluster_of
from stxmdist.errors import BrokenOffError
from stxmdist.runner.run import RunRecord, run_stage
from tests.cluster.outside import outside
from tests.runner import toy_stage

ROWS = {"a": 12}
RECORD = RunRecord(seed=1, software={"python": "3"})


@pytest.mark.faults
def test_a_scheduler_that_is_killed_ends_the_run_with_one_sentence_and_the_next_run_goes_on(tmp_path: Path) -> None:
    survey = toy_stage.ToySurvey(tmp_path / "store", ROWS, {("a", row): "slow" for row in range(12)})
    store = Store(survey.root).create()
    done: list[int] = []
    with outside(tmp_path) as there:
        with cluster_of(ClusterSpec(workers=1, address=there.address)) as cluster:

            def kill(progress):
                done.append(progress.done)
                if progress.done == 3:
                    there.scheduler.send_signal(signal.SIGKILL)

            with pytest.raises(BrokenOffError) as error:
                run_stage(toy_stage.STAGE, survey, None, store, RECORD, client=cluster.client, watch=kill)
        said = error.value.sentence
        assert said.startswith("cluster: the Dask scheduler is gone in the middle of the run; got no connection to tcp")
        assert "the same command" in said
        there.worker.kill()
    # Nothing is set aside, nothing that was finished is computed again, and all of it is there in the end.
    finished = len(survey_receipts(store, survey))
    assert 3 <= finished < 12
    again = run_stage(toy_stage.STAGE, survey, None, store, RECORD, client=None)
    assert (again.complete, again.units_skipped, again.units_run) == (True, finished, 12 - finished)


def survey_receipts(store: Store, survey: toy_stage.ToySurvey) -> set[str]:
    (unit, *_) = toy_stage.plan(survey, None).units
    return set(unit.output().receipts())


def test_a_run_that_was_broken_off_is_done_in_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_off() -> None:
        raise BrokenOffError(where="cluster", problem="gone", got="none", wanted="one", mend="Start it")

    monkeypatch.setattr(process, "app", broken_off)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as left:
            process.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left.value.code == 1
    assert capsys.readouterr().err == "stxmdist: cluster: gone; got none, wanted one. Start it.\n"
