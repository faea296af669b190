"""Records of runner and workers name campaign, stage, scan and unit, one JSON document a line where asked for."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from stxmdist.logs import about, formatter, place_of
from tests.flows.campaigns import ROOT, environment

RUN = ("--stage", "ingest", "--stage", "absorbance", "--no-prefect", "--cluster", "1")
NAMED = {"campaign", "stage", "scan", "unit"}


@pytest.fixture(scope="module")
def said(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Standard error of a run with a worker process, one of whose scans cannot be read: each line a document."""
    folder = copytree(simulated.parent, tmp_path_factory.mktemp("logs") / "campaign")
    broken = sorted(folder.rglob("*.xim"))[0]
    broken.write_text("nonsense\n")
    words = [sys.executable, "-m", "stxmdist", "--log", "json", "run", str(folder / "campaign.yaml"), *RUN]
    run = subprocess.run(
        words, env=environment(folder / "prefect"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=250
    )
    assert run.returncode == 1, run.stderr
    return [json.loads(line) for line in run.stderr.splitlines()]


def of(said: list[dict[str, Any]], message: str) -> Iterator[dict[str, Any]]:
    return (record for record in said if record["message"] == message)


def test_every_record_is_timed_and_every_one_of_ours_has_its_place(said: list[dict[str, Any]]) -> None:
    assert all({"timestamp", "level", "logger", "message"} <= record.keys() for record in said)
    assert {record["campaign"] for record in said if "stage" in record} == {"simulated-tiny"}
    assert [record["stage"] for record in of(said, "begun")] == ["ingest", "absorbance"]
    done = list(of(said, "done"))
    assert all(record.keys() >= NAMED for record in done)
    assert len({(record["stage"], record["scan"]) for record in done}) == len(done) == 4
    assert all(record["seconds"] > 0 and record["peak_rss_bytes"] > 0 for record in done)


def test_what_fails_is_said_by_worker_and_runner(said: list[dict[str, Any]]) -> None:
    warned = [record for record in said if record["level"] == "warning" and record.keys() >= NAMED]
    words = {record["message"].split(":")[0] for record in warned}
    assert words >= {"refused", "set aside"}
    assert len({record["scan"] for record in warned}) == 1
    (ended,) = [record for record in of(said, "ended in part") if record["stage"] == "ingest"]
    assert ended["units_failed"] == 1


def record_of(form: Any, **more: Any) -> str:
    with about(campaign="may", scan="s 1"):
        return formatter(form).format(logging.LogRecord("lib", logging.WARNING, "f.py", 1, "odd %s", ("thing",), None))


def test_records_of_any_library_have_the_place_and_the_form() -> None:
    document = json.loads(record_of("json"))
    assert (document["message"], document["campaign"], document["scan"]) == ("odd thing", "may", "s 1")
    assert record_of("words").endswith("warning may / s 1: odd thing")


def test_an_exception_stays_one_line_of_json_and_can_be_read_in_words() -> None:
    try:
        raise ValueError("tile 7")
    except ValueError:
        record = logging.LogRecord("lib", logging.ERROR, "f.py", 1, "failed", None, sys.exc_info())
    text = formatter("json").format(record)
    assert "\n" not in text
    assert "ValueError: tile 7" in json.loads(text)["exception"]
    words = formatter("words").format(record)
    assert words.endswith("ValueError: tile 7")
    assert "failed\nTraceback" in words


def test_a_place_is_from_the_whole_to_the_part() -> None:
    assert place_of({"unit": "u", "stage": "fit", "campaign": "may", "scan": None}) == "may / fit / u"
