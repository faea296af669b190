"""What is printed while a run works and when it has ended, at the width of a terminal."""

import io
import sys

import pytest

from stxmdist.cli.screen import Screen
from stxmdist.planning.status import Status
from stxmdist.planning.verdict import ScanVerdict, Verdict

LONG = "2026-05-11_LFP_E07_cycle0200_rateC5_discharge_region03_retake2"
STXM_STAGES = ("ingest", "absorbance", "align", "explore", "fit", "segment")


class Terminal(io.StringIO):
    """What was written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_table_of_status_fits_into_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"scan": f"{LONG}-{i}"} | dict.fromkeys(STXM_STAGES, "done") for i in range(3)]
    rows[1] |= {"absorbance": "failed"}
    verdict = Verdict(tuple(ScanVerdict(row["scan"], "stxm", "done", 1234, 1000) for row in rows))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    Screen(as_json=False).table(Status(rows, (), verdict).summary())
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("absorbance failed" in line for line in lines)


def test_a_verdict_names_scans_that_gave_few(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict(
        (
            ScanVerdict("whole", "stxm", "done", 3, 3),
            ScanVerdict("none", "stxm", "done", 3, 0, {"no mass": 3}),
            ScanVerdict("lost", "stxm", "stopped", refusal="said above"),
        )
    )
    Screen(as_json=False).verdict(verdict.document())
    assert capsys.readouterr().out.splitlines() == [
        "none: none of 3 particles has a state of charge: 3 no mass",
        f"Verdict: {verdict.headline}",
    ]
    Screen(as_json=True).verdict(verdict.document())
    assert capsys.readouterr().out == ""


def test_notes_beyond_the_most_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=False).notes(["a: x", "b: y", "c: z"], 3, "c.yaml", most=2)
    Screen(as_json=False).notes(["a: x"], 1, "c.yaml", most=0)
    Screen(as_json=False).notes([], 0, "c.yaml", most=0)
    assert capsys.readouterr().out.splitlines() == [
        "note: a: x",
        "note: b: y",
        "3 scans were read with notes: `stxmdist status c.yaml --notes` shows all",
        "1 scan was read with notes: `stxmdist status c.yaml --notes` shows them",
    ]
