"""Somebody is told of runs that end badly, once, in words, and of no other; the address itself is never repeated."""

import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from flows.environment import prepare_environment
from tests.flows.campaigns import command, environment, simulate_tiny

prepare_environment()

from prefect.states import Completed, Failed  # noqa: E402 (its settings are read when it is imported)

from flows.notify import WEBHOOK_VARIABLE, tell  # noqa: E402

BAD = {"scan_id": "s1", "usable": False, "sentence": "none of 7 particles have a state of charge"}
OUTCOME = {
    "campaign": "beamtime",
    "refusals": [{"scan_id": "s2", "sentence": "s2.hdr: the file is empty"}],
    "verdict": {"by_scan": [BAD, {"scan_id": "s3", "usable": True, "sentence": ""}]},
}


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a webhook on loopback was told."""
    found: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{server.server_port}/hook/secret")
    yield found
    server.shutdown()
    server.server_close()


def told(state: Any) -> None:
    tell(SimpleNamespace(name="campaign"), SimpleNamespace(parameters={"path": "campaign.yaml"}), state)  # type: ignore[arg-type]


def test_a_run_that_did_not_do_everything_is_told_with_its_scans(posted: list[dict[str, Any]]) -> None:
    told(Completed(name="Partial", message="3 units computed", data=OUTCOME))
    (message,) = posted
    assert (message["campaign"], message["state"]) == ("beamtime", "Partial")
    assert message["scans"] == {"s1": BAD["sentence"], "s2": "s2.hdr: the file is empty"}
    assert "s1: none of 7 particles" in message["text"]


def test_a_run_that_failed_is_told(posted: list[dict[str, Any]]) -> None:
    told(Failed(message="the disk is full"))
    assert (posted[0]["state"], posted[0]["message"]) == ("Failed", "the disk is full")
    assert posted[0]["campaign"] == "campaign.yaml"


def test_a_run_that_went_well_is_not_told(posted: list[dict[str, Any]]) -> None:
    told(Completed(message="all is well", data=OUTCOME | {"refusals": []}))
    assert posted == []


def test_without_an_address_nobody_is_told(posted: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WEBHOOK_VARIABLE)
    told(Failed(message="the disk is full"))
    assert posted == []


def test_an_address_that_does_not_answer_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for address in ("http://127.0.0.1:9/secret", "no address"):
        monkeypatch.setenv(WEBHOOK_VARIABLE, address)
        told(Failed(message="the disk is full"))
    assert "secret" not in caplog.text


@pytest.mark.slow
def test_a_run_through_prefect_tells_of_a_file_that_is_spoilt(posted: list[dict[str, Any]], tmp_path: Path) -> None:
    campaign = simulate_tiny(tmp_path / "tiny")
    spoilt = next((campaign.parent / "beamline").rglob("*.cxi"))
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    done = subprocess.run(
        command("run", campaign, "--stage", "ingest", "--cluster", "inline"),
        env=environment(tmp_path / "home") | {WEBHOOK_VARIABLE: os.environ[WEBHOOK_VARIABLE]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (message,) = posted
    assert message["state"] == "Partial"
    assert len(message["scans"]) == 1
    assert spoilt.stem in message["text"]
