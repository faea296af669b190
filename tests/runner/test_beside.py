"""Two processes may publish one stage, each its own scans, and neither takes from the other what it published."""

from pathlib import Path

import pytest

from storage.store import Store
from stxmdist.runner.run import Progress, RunRecord, run_stage
from tests.runner import toy_stage

RECORD = RunRecord(seed=1, software={})


def run(root: Path, rows: dict[str, int], **how: object) -> None:
    survey = toy_stage.ToySurvey(root, rows)
    run_stage(toy_stage.STAGE, survey, None, Store(root).create(), RECORD, client=None, **how)  # type: ignore[arg-type]


def published(root: Path) -> set[str]:
    publication = Store(root).publication("fit")
    assert publication is not None
    return set(publication.scans)


@pytest.mark.parametrize("theirs", [frozenset(), frozenset({"grows"})])
def test_what_another_process_publishes_meanwhile_stays(tmp_path: Path, theirs: frozenset[str]) -> None:
    root, other = tmp_path / "store", []

    def meanwhile(progress: Progress) -> None:
        if progress.done == 1 and not other:
            other.append(progress)
            run(root, {"grows": 2}, keep=frozenset({"a"}))

    run(root, {"a": 3}, watch=meanwhile, theirs=lambda: theirs)
    assert published(root) == {"a", "grows"}


def test_of_a_scan_that_is_theirs_by_now_their_publication_stays(tmp_path: Path) -> None:
    root = tmp_path / "store"
    run(root, {"a": 1, "grows": 1})
    run(root, {"grows": 2}, keep=frozenset({"a"}))
    theirs = Store(root).published_output("fit", "grows")
    run(root, {"a": 2, "grows": 1}, theirs=lambda: frozenset({"grows"}))
    assert Store(root).published_output("fit", "grows") == theirs
    assert published(root) == {"a", "grows"}


def test_a_scan_that_left_the_campaign_goes_as_before(tmp_path: Path) -> None:
    root = tmp_path / "store"
    run(root, {"a": 1, "b": 1})
    run(root, {"a": 1})
    assert published(root) == {"a"}
