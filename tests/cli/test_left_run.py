"""A run that is left to itself outlives its terminal; another terminal sees how far it is, and ends it politely."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import psutil
import pytest

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.commands.going_run import cancel, leave, seen
from stxmdist.commands.run_process import Wanted
from stxmdist.errors import InputError
from stxmdist.runner.run_state import RunStateFile, run_state
from tests.flows.campaigns import ROOT, alive, environment
from tests.stages.tiny import with_options

LIMIT_SECONDS = 120.0
INLINE = ("--no-prefect", "--cluster", "inline")


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    return copytree(simulated.parent, tmp_path / "campaign") / "campaign.yaml"


def stxmdist(tmp_path: Path, *words: object) -> tuple[int, Any]:
    """Another terminal: status and document."""
    done = subprocess.run(
        [sys.executable, "-m", "stxmdist", *map(str, words), "--json"],
        env=environment(tmp_path / "prefect"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    return done.returncode, json.loads(done.stdout)


def until(found: Callable[[], Any], what: str) -> Any:
    ends = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < ends:
        if said := found():
            return said
        time.sleep(0.05)
    raise AssertionError(what)


def terminal(tmp_path: Path, line: str) -> tuple[int, int]:
    """A shell on a terminal of its own that does what is typed: its process, and our end of the terminal."""
    process, ours = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        os.execve("/bin/bash", ["bash", "--norc", "-i"], environment(tmp_path / "prefect") | {"PS1": "$ "})
    os.write(ours, line.encode() + b"\n")
    return process, ours


# Four interpreters and a terminal.
@pytest.mark.slow
def test_a_run_outlives_its_terminal_and_is_cancelled_from_another(campaign: Path, tmp_path: Path) -> None:
    # So long that it cannot end before it is cancelled.
    with_options(campaign, {"reconstruct": {"schedule": [{"engine": "rpie", "iterations": 4000}]}})
    store = Store(load(campaign).store).local
    shell, ours = terminal(tmp_path, f"{sys.executable} -m stxmdist run {campaign} --detach {' '.join(INLINE)}")
    said = b""
    while b"end it with" not in said:
        said += os.read(ours, 4096)
    assert b"A run goes on" in said.replace(b"\r\n", b"")
    assert str(store / "runs").encode() in said.replace(b"\r\n", b"")
    # What a shell is sent when its terminal is closed, and passes on to all that it has started.
    os.kill(shell, signal.SIGHUP)
    os.close(ours)
    os.waitpid(shell, 0)
    until(lambda: (state := run_state(store)) and state.stages.get("reconstruct"), "the run went on to reconstruct")
    going = seen(load(campaign))
    assert going is not None
    run = psutil.Process(going.process)
    run.send_signal(signal.SIGHUP)
    code, document = stxmdist(tmp_path, "status", campaign)
    assert (document["run"]["word"], document["run"]["process"]) == ("going", run.pid)
    assert "reconstruct" in document["run"]["said"]
    code, document = stxmdist(tmp_path, "run", campaign, "--detach", *INLINE)
    assert code == 2
    assert "a run of this campaign goes on" in document["error"]["sentence"]

    done = set(store.glob("stages/*/*/*/units/*.json"))
    assert len(done) >= 4
    code, document = stxmdist(tmp_path, "cancel", campaign)
    assert (code, document["ended"], document["run"]["word"]) == (0, True, "cancelled")
    assert "interrupted; finished units are kept" in document["run"]["said"]
    assert alive([run], wait_seconds=10.0) == []
    assert all(path.exists() for path in done)
    code, document = stxmdist(tmp_path, "status", campaign)
    assert document["run"]["word"] == "cancelled"
    code, document = stxmdist(tmp_path, "cancel", campaign)
    assert code == 2
    assert "there is nothing to cancel" in document["error"]["sentence"]


def test_a_run_in_another_terminal_is_cancelled_as_ctrl_c_does(campaign: Path, tmp_path: Path) -> None:
    store = Store(load(campaign).store).local
    words = [sys.executable, "-m", "stxmdist", "run", str(campaign), *INLINE]
    with subprocess.Popen(words, env=environment(tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: (state := run_state(store)) and state.stages.get("ingest"), "it began")
        assert cancel(load(campaign), LIMIT_SECONDS)
        assert process.wait(LIMIT_SECONDS) == 128 + signal.SIGINT
        assert process.stderr is not None
        assert "finished units are kept" in process.stderr.read()
    ended = seen(load(campaign))
    assert ended is not None
    assert ended.word == "cancelled"


def test_a_mistake_that_ends_a_run_at_once_is_said_where_it_was_started(campaign: Path) -> None:
    with pytest.raises(InputError, match="nope"):
        leave(str(campaign), Wanted(stages=("nope",)))
    assert not (load(campaign).store / "runs").exists()
    with Store(load(campaign).store).create().lock("another command"):
        left = leave(str(campaign), Wanted(("ingest",), cluster="inline", prefect=False))
    assert left.word == "failed"
    assert "another process is using this store" in left.said


def test_where_nothing_runs_nothing_is_cancelled(campaign: Path) -> None:
    loaded = load(campaign)
    with pytest.raises(InputError, match="nothing to cancel"):
        cancel(loaded)
    store = Store(loaded.store).create()
    # A run that was killed, whose number a stranger may bear by now.
    RunStateFile(store.local, ("ingest",))
    with store.lock("gc"), pytest.raises(InputError, match=r"killed.*held by: gc, process"):
        cancel(loaded)


def test_a_run_on_another_machine_is_named(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(campaign)
    store = Store(loaded.store).create()
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "node7")
        RunStateFile(store.local, ("ingest",))
    with pytest.raises(InputError, match="another machine; got node7"):
        cancel(loaded)
    (store.local / "running.json").unlink()
    with monkeypatch.context() as there:
        # As beside a bucket, where only the lock is seen from everywhere.
        there.setattr(socket, "gethostname", lambda: "node7")
        holding = store.lock("run")
        holding.__enter__()
    with pytest.raises(InputError, match="another machine; got node7"):
        cancel(loaded)
    holding.__exit__(None, None, None)
