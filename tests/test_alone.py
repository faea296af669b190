"""Tests that are alone run while those of the other processes pause."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.alone import turn

LONG_ENOUGH_S = 0.3
"""Time in which a process that need not wait would have written its line"""


def _hold(run: str, alone: bool, record: Path, name: str, began: Event, end: Event) -> None:
    with turn(run, alone=alone):
        _note(record, f"{name} begins")
        began.set()
        end.wait(30.0)
        _note(record, f"{name} ends")


def _note(record: Path, line: str) -> None:
    with record.open("a") as file:
        file.write(line + "\n")


def test_one_that_is_alone_waits_for_others_and_those_for_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    record, run = tmp_path / "record", f"itself-{tmp_path.name}"

    def started(name: str, alone: bool) -> tuple[Callable[[], None], Event, Event]:
        began, end = context.Event(), context.Event()
        process = context.Process(target=_hold, args=(run, alone, record, name, began, end))
        process.start()
        return process.join, began, end

    first, second = started("first", False), started("second", False)
    assert first[1].wait(30.0)
    assert second[1].wait(30.0)
    timed = started("timed", True)
    assert not timed[1].wait(LONG_ENOUGH_S)
    first[2].set()
    assert not timed[1].wait(LONG_ENOUGH_S)
    second[2].set()
    assert timed[1].wait(30.0)
    late = started("late", False)
    time.sleep(LONG_ENOUGH_S)
    for _, _, end in (timed, late):
        end.set()
    for join, _, _ in (first, second, timed, late):
        join()
    lines = record.read_text().splitlines()
    assert sorted(lines[:4]) == ["first begins", "first ends", "second begins", "second ends"]
    assert lines[4:] == ["timed begins", "timed ends", "late begins", "late ends"]
