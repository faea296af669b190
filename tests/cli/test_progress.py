"""How far a run is, on a terminal and elsewhere."""

import io
import sys

import pytest
from rich.console import Console

from stxmdist.cli.progress import ProgressBars, progress_line
from stxmdist.runner.run import Progress

LONG = "2026-05-11_LFP_E07_cycle0200_rateC5_discharge_region03_retake2"


class Terminal(io.StringIO):
    """What was written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_says_units_time_what_is_left_and_the_scan() -> None:
    assert progress_line(Progress("fit", 3, 1, 2, 10, 8.0, LONG)) == (
        f"fit          6/10 units (2 done before), 1 failed, 8 s, 0.5 units/s, about 8 s left, {LONG}"
    )
    assert progress_line(Progress("fit", 4, 0, 0, 4, 2.0, "a")) == "fit          4/4 units, 2 s, 2.0 units/s"
    assert progress_line(Progress("stitch", 0, 0, 0, 0, 0.0)) == "stitch       0/0 units"


def test_bars_name_the_scan_within_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    bars = ProgressBars()
    bars(Progress("reconstruct", 30_000, 0, 0, 100_000, 60.0, LONG))
    bars.close()
    lines = terminal.getvalue().splitlines()
    (row,) = [line for line in lines if "reconstruct" in line and "30000/100000" in line][-1:]
    assert [part for part in ("500/s", "0:01:00", "left 0:02:20", LONG[:8]) if part not in row] == []
    assert max(map(len, lines)) <= 80


def test_a_row_goes_on_counting_between_units_and_keeps_its_time_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    now = [0.0]
    bars = ProgressBars(lambda: now[0])
    shown = Console(file=io.StringIO(), width=100)

    def row() -> str:
        assert bars._bars is not None
        with shown.capture() as captured:
            shown.print(bars._bars.get_renderable())
        return " ".join(captured.get().split())

    bars(Progress("fit", 0, 0, 2, 10, 0.0, "a"))
    assert "2/10 0:00:00" in row()
    bars(Progress("fit", 2, 1, 2, 10, 120.0, "a"))
    now[0] = 20.0
    assert row().endswith("5/10 1.5/min 0:02:20 left 0:03:00 1 failed a")
    bars(Progress("fit", 7, 1, 2, 10, 300.0, "b"))
    now[0] = 1000.0
    assert row().endswith("10/10 1.6/min 0:05:00 1 failed")
    bars.close()


def test_without_a_terminal_a_stage_has_one_line_and_a_long_one_ever_fewer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    bars = ProgressBars(lambda: now[0])
    for done in range(11):
        bars(Progress("ingest", done, 0, 0, 10, now[0], "a"))
        now[0] += 1.0
    for done in range(3601):
        bars(Progress("reconstruct", done, 0, 0, 3600, float(done), "a"))
        now[0] += 1.0
    bars.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines].count("ingest") == 1
    assert lines[0] == "ingest       10/10 units, 10 s, 1.0 units/s"
    assert 5 <= len(lines[1:]) <= 9
    assert lines[-1] == "reconstruct  3600/3600 units, 3600 s, 1.0 units/s"
