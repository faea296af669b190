"""How far a campaign is: one word for every scan and stage, before, in the middle of and after a run."""

from pathlib import Path
from shutil import copytree

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.stages import STAGES
from stxmdist.planning.status import Status, status_of
from stxmdist.planning.verdict import ScanVerdict, Verdict
from tests.stages.tiny import PTYCHOGRAPHY, STXM, with_options

STXM_STAGES = ("ingest", "absorbance", "align", "explore", "fit", "segment", "network")


def row_of(status: Status, scan_id: str) -> dict[str, str]:
    (row,) = (row for row in status.rows if row["scan"] == scan_id)
    return {name: word for name, word in row.items() if name != "scan" and word}


def test_nothing_was_run(simulated: Path) -> None:
    status = status_of(simulated)
    assert row_of(status, STXM[0]) == dict.fromkeys(STXM_STAGES, "missing")
    assert row_of(status, PTYCHOGRAPHY[0])["register"] == "missing"
    assert not status.complete
    assert "stxmdist run" in status.sentence
    assert not (simulated.parent / "store").exists()


def test_everything_but_the_report_is_done(processed: Path) -> None:
    status = status_of(processed)
    assert row_of(status, STXM[1]) == dict.fromkeys(STXM_STAGES, "done")
    # No region was seen at two times.
    ptychography = [name for name in STAGES if name not in ("react", "infer", "report")]
    assert row_of(status, PTYCHOGRAPHY[1]) == dict.fromkeys(ptychography, "done")
    assert row_of(status, "campaign") == {"infer": "done", "report": "missing"}
    assert status.refusals == ()
    assert not status.complete


def test_the_last_stage_makes_it_complete() -> None:
    rows = [{"scan": "a", "ingest": "done", "reconstruct": ""}, {"scan": "campaign", "report": "done"}]
    assert Status(rows, ()).complete
    assert Status(rows, ()).sentence == "Everything is done."
    assert not Status([*rows, {"scan": "b", "ingest": "2 units"}], ()).complete


def test_few_columns_say_how_far_a_scan_is_and_what_it_gave() -> None:
    six = dict.fromkeys(STXM_STAGES, "done")
    rows = [
        {"scan": "whole"} | six,
        {"scan": "failed"} | six | {"fit": "failed", "segment": "waits", "network": "waits"},
        {"scan": "begun"} | dict.fromkeys(STXM_STAGES, "waits") | {"ingest": "3 units"},
        {"scan": "waiting"} | six | {"fit": "waits", "segment": "waits", "network": "waits"},
        {"scan": "new"} | dict.fromkeys(STXM_STAGES, "missing") | {"register": ""},
    ]
    lost = ScanVerdict("lost", "stxm", "stopped", stage="ingest", refusal="the file is empty")
    found = Status(rows, (), Verdict((ScanVerdict("whole", "stxm", "done", 12, 11), lost))).summary()
    assert [tuple(row.values()) for row in found] == [
        ("whole", "7/7", "done", 12, 11),
        ("failed", "4/7", "fit failed", None, None),
        ("begun", "0/7", "ingest 3 units", None, None),
        ("waiting", "4/7", "fit waits", None, None),
        ("new", "0/7", "not begun", None, None),
        ("lost", "", "refused", None, None),
    ]


def test_everything_is_not_said_to_be_done_where_a_scan_gave_nothing() -> None:
    rows = [{"scan": "a", "ingest": "done"}]
    status = Status(rows, (), Verdict((ScanVerdict("a", "stxm", "done", 2, 0),)))
    assert status.complete
    assert status.sentence == "Every stage is done, not every scan is usable."


def test_in_the_middle_of_a_run(simulated: Path, tmp_path: Path) -> None:
    campaign = copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    with CampaignRun(RunRequest(str(campaign), ("ingest",), cluster="inline")) as run:
        run.stage("ingest")
    status = status_of(campaign)
    assert row_of(status, STXM[0]) == dict.fromkeys(STXM_STAGES, "waits") | {"ingest": "done", "absorbance": "missing"}
    assert row_of(status, PTYCHOGRAPHY[0])["reconstruct"] == "missing"


def test_units_that_are_done_are_counted_and_failures_are_named(processed: Path, tmp_path: Path) -> None:
    folder = copytree(processed.parent, tmp_path / "campaign", symlinks=True)
    campaign = folder / processed.name
    store = Store(folder / "store")
    output = store.published_output("fit", STXM[0])
    assert output is not None
    (folder / "store" / "published" / "fit.json").unlink()
    first, *_ = sorted(output.receipts())
    assert row_of(status_of(campaign), STXM[0])["fit"] == f"{len(output.receipts())} units"

    reason = dict.fromkeys(("where", "problem", "got", "wanted", "mend"), "x")
    output.quarantine(first, {"scan_id": STXM[0], "unit": first, **reason})
    status = status_of(campaign)
    assert row_of(status, STXM[0])["fit"] == "failed"
    # What was published under the same digest stays.
    assert row_of(status, STXM[0])["segment"] == "done"
    assert [(refusal.scan_id, refusal.unit) for refusal in status.refusals] == [(STXM[0], first)]
    assert "1 could not be done" in status.sentence


def test_other_options_make_it_missing_again(processed: Path, tmp_path: Path) -> None:
    folder = copytree(processed.parent, tmp_path / "campaign", symlinks=True)
    campaign = with_options(folder / processed.name, {"align": {"register": False}})
    row = row_of(status_of(campaign), STXM[0])
    waiting = dict.fromkeys(("explore", "fit", "segment", "network"), "waits")
    assert row == {"ingest": "done", "absorbance": "done", "align": "missing"} | waiting


def test_a_file_that_went_away_is_refused(simulated: Path, tmp_path: Path) -> None:
    campaign = copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    load(campaign).scan(STXM[1]).file.unlink()
    status = status_of(campaign)
    assert [refusal.scan_id for refusal in status.refusals] == [STXM[1]]
    assert row_of(status, STXM[0]) == dict.fromkeys(STXM_STAGES, "missing")
