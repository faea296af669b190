"""A scan that is being measured, look after look: what is complete stays, what is doubtful waits, what ends says so."""

from dataclasses import replace

import pytest

from stxmdist.planning.growth import STILL_S, Folders, Growth, Look, after_look
from stxmdist.readers.growing import FrameSeen

WAIT_S = 600.0


def frame(key: str, content: str = "a", *, whole: bool = True, certain: bool = True) -> FrameSeen:
    return FrameSeen(key, content, whole, certain)


NOT_THERE = frame("3", "", whole=False, certain=False)


def look(*frames: FrameSeen, written: str = "w", n_bytes: int = 10, planned: int = 3, axes: str = "x") -> Look:
    return Look(written, n_bytes, planned, axes, frames)


def step(before: Growth | None, found: Look, now_s: float) -> Growth:
    return after_look(before, found, now_s, finish_after_s=WAIT_S)


def test_energies_are_taken_one_after_another_and_the_last_finishes_the_scan() -> None:
    one = step(None, look(frame("1"), frame("2", "b", whole=False, certain=False), NOT_THERE), 0.0)
    assert (one.state, one.complete) == ("arrives", ("1",))
    two = step(one, look(frame("2", "c"), NOT_THERE, written="w2"), 1.0)
    assert (two.state, two.complete, two.sentence) == ("grows", ("1", "2"), "2 of 3 energies so far")
    assert two.digest != one.digest
    three = step(two, look(frame("3"), written="w3"), 2.0)
    assert three.state == "grows"
    # Programs write times and the like after the last row.
    assert step(three, look(written="w3"), 2.0 + STILL_S / 2).state == "grows"
    assert step(three, look(written="w3"), 2.0 + STILL_S).state == "finished"


def test_a_doubtful_frame_is_taken_when_it_reads_the_same_some_time_later() -> None:
    doubtful = frame("1", certain=False)
    first = step(None, look(doubtful), 0.0)
    assert first.complete == ()
    assert step(first, look(doubtful), STILL_S / 2).complete == ()
    assert step(first, look(frame("1", "b", certain=False)), STILL_S).complete == ()
    assert step(first, look(doubtful), STILL_S).complete == ("1",)


def test_an_incomplete_frame_is_never_taken_however_long_it_stays() -> None:
    torn = frame("1", whole=False, certain=False)
    growth = step(None, look(torn), 0.0)
    assert step(growth, look(torn), WAIT_S - 1).complete == ()


@pytest.mark.parametrize(
    "other",
    [look(frame("1", "z"), n_bytes=9), look(frame("1", "z"), axes="y"), look(frame("1", "z"), axes="y", n_bytes=99)],
    ids=["shrunk", "another scan", "another, larger scan"],
)
def test_a_file_that_shrinks_or_is_another_scan_begins_anew(other: Look) -> None:
    before = step(None, look(frame("1"), frame("2")), 0.0)
    after = step(before, other, 1.0)
    assert after.complete == ("1",)
    assert after.frames["1"].sha256 == "z"
    assert after.changed_s == 1.0


def test_an_unreadable_moment_loses_nothing() -> None:
    before = step(None, look(frame("1"), frame("2")), 0.0)
    torn = step(before, Look("w2", 10, why="it cannot be read yet: half a chunk"), 1.0)
    assert (torn.complete, torn.planned, torn.state) == (before.complete, 3, "grows")


def test_a_scan_is_ended_after_the_stated_time_and_not_before() -> None:
    before = step(None, look(frame("1"), frame("2"), NOT_THERE), 0.0)
    assert step(before, look(), WAIT_S - 1).state == "grows"
    ended = step(before, look(), WAIT_S)
    assert (ended.state, ended.sentence) == ("ended", "ended at 2 of 3 energies")


def test_a_source_that_says_so_ends_a_scan_at_once() -> None:
    before = step(None, look(frame("1"), frame("2"), NOT_THERE), 0.0)
    assert step(before, replace(look(), over=True), 1.0).state == "ended"


def test_a_file_that_says_nothing_of_its_length_is_whole_when_it_is_still() -> None:
    arriving = step(None, Look("w", 10), 0.0)
    assert arriving.state == "arrives"
    assert step(arriving, Look("w2", 20), STILL_S).state == "arrives"
    assert step(arriving, Look("w", 10), STILL_S).state == "finished"


@pytest.mark.faults
def test_a_clock_that_is_set_back_ends_nothing_early() -> None:
    before = step(None, look(frame("1"), frame("2"), NOT_THERE), 5000.0)
    back = step(before, look(), 100.0)
    assert back.state == "grows"
    assert step(back, look(), 100.0 + WAIT_S - 1).state == "grows"


def test_a_folder_says_that_a_frame_came_or_grew_of_its_own_scan_only(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name in ("scan.hdr", "scan_a000.xim", "scam.hdr", "other_a000.xim"):
        (tmp_path / name).write_text("1\n")
    header = tmp_path / "scan.hdr"
    first, n_bytes = Folders().written((header,))
    (tmp_path / "other_a000.xim").write_text("1\n2\n")
    assert Folders().written((header,)) == (first, n_bytes)
    (tmp_path / "scan_a000.xim").write_text("1\n2\n")
    grown, more = Folders().written((header,))
    assert grown != first
    assert more == n_bytes + 2
    (tmp_path / "scan_a001.xim").write_text("1\n")
    assert Folders().written((header,))[0] != grown
