"""What is out of date stays shown as far as it fits together, and is said in words."""

import pytest

from storage.publication import PublishedScan
from stxmdist.planning.outdated import RESTS, Outdated, coherent, differences, sentences

CHAIN = ("ingest", "absorbance", "align", "fit", "segment")


def chain(digest: str, stages: tuple[str, ...] = CHAIN, scan_id: str = "one") -> dict[tuple[str, str], PublishedScan]:
    """The outputs of one run, each made from the one before; the particles also from the aligned images."""
    found = {}
    for stage in stages:
        before = {"segment": ("align", "fit")}.get(stage, CHAIN[CHAIN.index(stage) - 1 : CHAIN.index(stage)])
        inputs = {f"{name}/{scan_id}": digest for name in before}
        found[stage, scan_id] = PublishedScan(digest, "done", inputs=inputs)
    return found


def in_order(*runs: dict[tuple[str, str], PublishedScan]) -> dict[tuple[str, str], PublishedScan]:
    """What is published after these runs, one after the other, in the order of the stages."""
    together = {key: scan for run in runs for key, scan in run.items()}
    return dict(sorted(together.items(), key=lambda item: [*CHAIN, "infer"].index(item[0][0])))


TABLES = {("infer", "campaign"): PublishedScan("old", "done", inputs={"segment/one": "old", "segment/two": "old"})}


def kept(published: dict[tuple[str, str], PublishedScan]) -> dict[str, str]:
    return {stage: digest for (stage, _), digest in coherent(published).items()}


def test_what_one_run_left_is_shown_whole() -> None:
    published = in_order(chain("old"), chain("old", scan_id="two"), TABLES)
    assert coherent(published) == {key: scan.digest for key, scan in published.items()}


@pytest.mark.parametrize(
    ("of_new_run", "expected"),
    [
        (("ingest",), {"absorbance": "old", "align": "old", "fit": "old", "segment": "old"}),
        (("ingest", "absorbance"), {"align": "old", "fit": "old", "segment": "old"}),
        (("ingest", "absorbance", "align"), {"fit": "old", "segment": "old"}),
        (CHAIN[:4], dict.fromkeys(CHAIN[:4], "new")),
        (CHAIN, dict.fromkeys(CHAIN, "new")),
    ],
)
def test_a_run_that_stopped_leaves_no_mixture(of_new_run: tuple[str, ...], expected: dict[str, str]) -> None:
    """Maps of the fit count, with what belongs to them; tables stand by themselves."""
    assert kept(in_order(chain("old"), chain("new", of_new_run), TABLES)) == expected | {"infer": "old"}


def test_without_a_fit_what_came_furthest_is_shown() -> None:
    assert kept(chain("new", CHAIN[:3])) == dict.fromkeys(CHAIN[:3], "new")
    assert kept(in_order(chain("old", CHAIN[:2]), chain("new", CHAIN[:1]))) == {"absorbance": "old"}


def test_options_that_differ_are_named_with_their_place() -> None:
    before = {"background": "none", "classes": {"most_chi2": 5.0, "edges": (1, 2)}, "gone": 1}
    now = {"background": "auto", "classes": {"most_chi2": 4.0, "edges": [1, 2]}, "fresh": None, "added": "x"}
    assert differences(before, now) == [
        "background was none, is auto",
        "classes.most_chi2 was 5.0, is 4.0",
        "gone was 1, is not given",
        "added was not given, is x",
    ]


def test_words_name_the_cause_first_and_what_rests_on_it_last() -> None:
    assert sentences(()) == ()
    found = (
        Outdated("align", ("a",), RESTS),
        Outdated("ingest", ("a", "b", "c", "d"), "was made with other options (x was 1, is 2)"),
        Outdated("infer", ("campaign",), RESTS),
    )
    first, cause, rest = sentences(found)
    assert "`stxmdist run`" in first
    assert cause == "ingest of 4 scans: was made with other options (x was 1, is 2)."
    assert rest == "align of a, the tables: rests on what is out of date."
