"""`stxmdist run` with a server of its own: quiet, quick when nothing is to be done, gone when told to go."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flows.campaigns import alive, command, environment, family, simulate_tiny, slowed, units_done

NOTHING_TO_DO_SECONDS = 20.0
"""The contract of a second run."""
END_SECONDS = 15.0
"""From the signal to the end, on a busy machine; four of them are Dask's patience with a unit that it interrupts."""
START_SECONDS = 150.0


@dataclass(frozen=True)
class User:
    """A folder with a campaign, and the environment of a user who has never run anything."""

    campaign: Path
    home: Path
    settings: dict[str, str]

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        line = command("run", self.campaign, *arguments)
        return subprocess.run(line, env=self.settings | more, cwd="/", capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    folder = tmp_path_factory.mktemp("user")
    return User(simulate_tiny(folder / "tiny"), folder / "prefect", environment(folder / "prefect"))


def test_a_run_is_recorded_and_says_nothing_that_does_not_matter(user: User) -> None:
    ended = user.run("--stage", "ingest", "--json")
    assert ended.returncode == 0, ended.stderr
    outcome = json.loads(ended.stdout)
    assert (outcome["complete"], outcome["units_run"]) == (True, 4)
    expected = re.compile(r"Prefect server http://127\.0\.0\.1:\d+/api|ingest +\d+/4 units\b.*")
    assert [line for line in ended.stderr.splitlines() if not expected.fullmatch(line)] == []
    # The server has ended, and the last events of the run are in its database all the same.
    with sqlite3.connect(user.home / "prefect.db") as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)]
        assert database.execute("select state_type from task_run").fetchall() == [("COMPLETED",)]
        assert database.execute("select name from flow_run").fetchall() == [("simulated-tiny: ingest",)]
        assert database.execute("select name from task_run").fetchall() == [("ingest of simulated-tiny",)]
        found = database.execute("select key, type, data from artifact order by key").fetchall()
        kinds = {"ingest": "progress", "stages": "table", "verdict": "markdown"}
        assert [row[:2] for row in found] == [(f"simulated-tiny-{what}", kind) for what, kind in kinds.items()]
        assert "**simulated-tiny**" in found[-1][2]
        said = [message for (message,) in database.execute("select message from log order by timestamp")]
        (stage,) = [line for line in said if line.startswith("simulated-tiny / ingest: ")]
        assert re.fullmatch(
            r"simulated-tiny / ingest: 4 units done, 0 done before, 0 failed, [\d.]+ s; published whole \(4 outputs\)",
            stage,
        )
        assert any(line.startswith("Verdict: 4 scans") for line in said)
    assert list(user.home.glob("server-*.log")) == []


def test_a_second_run_does_nothing_and_starts_nothing(user: User) -> None:
    began = time.monotonic()
    ended = user.run("--stage", "ingest")
    assert time.monotonic() - began < NOTHING_TO_DO_SECONDS
    assert ended.returncode == 0
    assert "Prefect" not in ended.stderr
    said = ended.stdout.splitlines()
    assert any(line.startswith("0 units computed") for line in said)
    assert said[-1] == (
        "Verdict: 4 scans: 0 particles found, 0 with a state of charge (STXM 0 of 0 in 2 scans; ptychography 0 of 0 in "
        "2 scans). 4 scans not processed yet."
    )


def test_a_server_that_does_not_answer_is_wrong_input(user: User) -> None:
    ended = user.run("--stage", "ingest", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "no Prefect server answers" in line


def _to_the_group(process: subprocess.Popen[str]) -> None:
    # As a terminal does: Ctrl-C reaches every process of it.
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param(_to_the_group, 130, id="Ctrl-C"),
        pytest.param(lambda process: process.send_signal(signal.SIGTERM), 143, id="SIGTERM"),
    ],
)
def test_a_run_that_is_told_to_go_goes_with_everything_that_it_started(
    user: User, tmp_path: Path, end: Callable[[subprocess.Popen[str]], None], status: int
) -> None:
    slow, units = slowed(user.campaign)
    store = slow.parent / "slow"
    shutil.rmtree(store, ignore_errors=True)
    line = command("run", slow, "--stage", "ingest", "--stage", "reconstruct", "--json")
    errors = tmp_path / "stderr.txt"
    with errors.open("w") as sink:
        process = subprocess.Popen(
            line, env=user.settings, cwd="/", stdout=subprocess.PIPE, stderr=sink, text=True, start_new_session=True
        )
    began = time.monotonic()
    while not list(store.glob("stages/reconstruct/*/*")):
        assert process.poll() is None, errors.read_text()
        assert time.monotonic() - began < START_SECONDS, errors.read_text()
        time.sleep(0.2)
    processes = family(process.pid)
    # Besides itself: the server, two workers, and what keeps the books of multiprocessing.
    assert len(processes) >= 4
    end(process)
    out, _ = process.communicate(timeout=END_SECONDS)
    assert process.returncode == status
    assert alive(processes, wait_seconds=5.0) == []
    assert units_done(store, "reconstruct") < units
    said = [
        line for line in errors.read_text().splitlines() if not re.match(r"Prefect server |\w+ +\d+/\d+ units", line)
    ]
    assert said == ["stxmdist: interrupted; finished units are kept, and the same command continues from there"]
    assert "interrupted" in json.loads(out)["error"]["sentence"]
