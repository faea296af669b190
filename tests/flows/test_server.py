"""Served: flows appear with tasks and artifacts, schedules fire, cancelling stops the work, nothing stays."""

import os
import re
import signal
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.flows.campaigns import (
    STAGES,
    alive,
    command,
    environment,
    family,
    simulate_tiny,
    slowed,
    units_done,
)

# A real server with all its deployments, for minutes on a busy machine.
pytestmark = pytest.mark.slow

NAME = "simulated-tiny"
"""Of the campaign, as its file says"""
WATCH_SECONDS = 6.0
START_SECONDS = 120.0
"""A first start makes the database; on a busy machine that takes its time."""
RUN_SECONDS = 150.0
CANCEL_SECONDS = 30.0
LOG_SECONDS = 30.0
"""From the request until the flow run is cancelled, of which Prefect's runner needs most."""
STOP_SECONDS = 20.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A running `stxmdist serve`, and its server's API."""

    process: subprocess.Popen[str]
    output: Path
    campaign: Path
    api: httpx.Client

    def ask(self, method: str, path: str, body: Json | None = None) -> Any:
        """Ask the server; it answers 503 while its database is busy, and means: again, as Prefect's own clients do."""
        for _ in range(20):
            answer = self.api.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.3)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def post(self, path: str, body: Json) -> Any:
        return self.ask("POST", path, body)

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def deployment(self, name: str) -> Json:
        found: Json = self.get(f"/deployments/name/{name}")
        return found

    def start(self, **parameters: object) -> Json:
        """Run the campaign's deployment on demand."""
        deployment = self.deployment("campaign/tiny")
        body = {"parameters": deployment["parameters"] | parameters, "state": {"type": "SCHEDULED"}}
        made: Json = self.post(f"/deployments/{deployment['id']}/create_flow_run", body)
        return made

    def state(self, flow_run: Json) -> Json:
        found: Json = self.get(f"/flow_runs/{flow_run['id']}")["state"]
        return found

    def runs(self, flow: str, state: str | None = None) -> list[Json]:
        body: Json = {"flows": {"name": {"any_": [flow]}}}
        if state:
            body["flow_runs"] = {"state": {"type": {"any_": [state]}}}
        found: list[Json] = self.post("/flow_runs/filter", body)
        return found

    def wait(self, what: str, condition: Callable[[], Any], seconds: float) -> Any:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            assert self.process.poll() is None, self.output.read_text()
            if found := condition():
                print(f"{time.monotonic() - began:.1f} s: {what}")
                return found
            time.sleep(0.3)
        raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.output.read_text()}")

    def wait_state(self, flow_run: Json, *wanted: str, seconds: float = RUN_SECONDS) -> Json:
        def reached() -> Json | None:
            state = self.state(flow_run)
            assert state["type"] in wanted or state["type"] not in {"FAILED", "CRASHED"}, state
            return state if state["type"] in wanted else None

        found: Json = self.wait(f"{flow_run['name']} is {wanted}", reached, seconds)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    campaign = simulate_tiny(folder / "tiny")
    output = folder / "output.txt"
    settings = environment(folder / "prefect") | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with output.open("w") as sink:
        process = subprocess.Popen(
            command("serve", campaign, "--port", 0, "--watch-minutes", WATCH_SECONDS / 60),
            env=settings,
            # Not the checkout: flow runs must find their code from anywhere.
            cwd="/",
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    started: list[psutil.Process] = []
    try:
        began = time.monotonic()
        while "Stop with Ctrl-C" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() - began < START_SECONDS, output.read_text()
            time.sleep(0.2)
        (address,) = re.findall(r"API (http://\S+)\)", output.read_text())
        known = {"authorization": "Basic " + b64encode((folder / "prefect" / "password").read_bytes().strip()).decode()}
        with httpx.Client(base_url=address, timeout=30, headers=known) as api:
            yield Served(process, output, campaign, api)
    finally:
        if process.poll() is None:
            started = family(process.pid)
        for one in started:
            one.kill()
        process.wait()


def test_deployments_are_registered_with_their_schedules(served: Served) -> None:
    schedules = {
        flow: [item["schedule"] for item in served.deployment(f"{flow}/tiny")["schedules"]]
        for flow in ("campaign", "watch", "nightly", "maintenance")
    }
    assert schedules["campaign"] == []
    assert [item["interval"] for item in schedules["watch"]] == [WATCH_SECONDS]
    assert [item["cron"] for item in schedules["nightly"]] == ["0 2 * * *"]
    assert [item["cron"] for item in schedules["maintenance"]] == ["0 4 * * 0"]
    assert served.deployment("watch/tiny")["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


def test_deployments_show_what_may_be_chosen(served: Served) -> None:
    deployment = served.deployment("campaign/tiny")
    shown = deployment["parameter_openapi_schema"]["properties"]
    assert set(shown) == {"path", "stages", "scans", "cluster", "retry", "options"}
    assert all(parameter["description"] for parameter in shown.values())
    assert shown["stages"]["items"]["enum"] == STAGES
    assert "stxm-E01-c001-r1" in shown["scans"]["items"]["anyOf"][0]["enum"]
    most_od = shown["options"]["properties"]["fit"]["properties"]["classes"]["properties"]["most_od"]
    assert most_od["type"] == "number"
    assert most_od["description"]
    for wrong in (
        {"stages": ["fitt"]},
        {"options": {"fit": {"no_such_group": {}}}},
        {"options": {"fit": {"fitter": 3}}},
    ):
        with pytest.raises(httpx.HTTPStatusError, match=str(httpx.codes.CONFLICT.value)):
            served.start(**wrong)
    nightly = served.deployment("nightly/tiny")
    assert nightly["parameter_openapi_schema"]["properties"]["path"]["description"] == "The campaign file."
    assert nightly["description"].startswith(f"{NAME}: ")


def test_a_schedule_fires_and_brings_the_campaign_up_to_date(served: Served) -> None:
    (run,) = served.wait("the first look has started a campaign", lambda: served.runs("campaign"), RUN_SECONDS)
    # Enough of the schedule has been seen; each further look costs the other tests a second or two of a core.
    served.ask("PATCH", f"/deployments/{served.deployment('watch/tiny')['id']}", {"paused": True})
    assert served.wait_state(run, "COMPLETED")["name"] == "Completed"
    assert (served.campaign.parent / "store" / "report" / "index.html").stat().st_size > 0
    (look,) = [found for found in served.runs("watch") if found["start_time"]][:1]
    assert look["auto_scheduled"]

    tasks = served.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    tasks.sort(key=lambda task: task["start_time"])
    assert [task["name"] for task in tasks] == [f"{stage} of {NAME}" for stage in STAGES]
    assert served.get(f"/flow_runs/{run['id']}")["name"] == NAME
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}

    artifacts = {found["key"]: found for found in served.post("/artifacts/filter", {
        "flow_runs": {"id": {"any_": [run["id"]]}}})}  # fmt: skip
    progress = {key: found["data"] for key, found in artifacts.items() if found["type"] == "progress"}
    assert {key: float(percent) for key, percent in progress.items()} == {f"{NAME}-{stage}": 100.0 for stage in STAGES}
    assert artifacts[f"{NAME}-stages"]["type"] == "table"
    assert all(f'"stage": "{name}"' in artifacts[f"{NAME}-stages"]["data"] for name in STAGES)
    assert f"{NAME}-not-done" not in artifacts
    page = re.search(r"Dashboard +(http://\S+)", served.output.read_text())
    assert page
    assert f"[Dashboard]({page[1]})" in artifacts[f"{NAME}-verdict"]["data"]
    assert "store/report/index.html)" in artifacts[f"{NAME}-verdict"]["data"]

    def logged() -> set[str]:
        lines = [line["message"] for line in served.post("/logs/filter", {
            "logs": {"flow_run_id": {"any_": [run["id"]]}}})]  # fmt: skip
        return {stage for stage in STAGES for line in lines if line.startswith(f"{NAME} / {stage}: ")}

    # Prefect writes log lines some seconds after they were said.
    served.wait("every stage is in the log", lambda: logged() == set(STAGES), LOG_SECONDS)


def test_a_run_on_demand_computes_only_what_is_asked_for(served: Served) -> None:
    run = served.start(stages=["ingest"], scans=["stxm-E01-c001-r1"])
    served.wait_state(run, "COMPLETED")
    tasks = served.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert [task["name"] for task in tasks] == [f"ingest of {NAME}"]
    assert served.get(f"/flow_runs/{run['id']}")["name"] == f"{NAME}: ingest, stxm-E01-c001-r1"


def test_everything_listens_on_loopback_only_and_nothing_is_tracked(served: Served) -> None:
    processes = family(served.process.pid)
    listening = {
        process.pid: {found.laddr.ip for found in process.net_connections() if found.status == psutil.CONN_LISTEN}
        for process in processes
    }
    # This process (scheduler, dashboard), the Prefect server and two workers.
    assert sum(map(bool, listening.values())) >= 4
    assert set().union(*listening.values()) == {"127.0.0.1"}
    for process in processes[1:]:
        settings = process.environ()
        assert settings["DO_NOT_TRACK"] == "1"
        assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"].lower() == "false"


def test_cancelling_stops_the_work_on_dask(served: Served) -> None:
    slow, units = slowed(served.campaign)
    store = slow.parent / "slow"
    run = served.start(path=str(slow), stages=["ingest", "reconstruct"])
    served.wait("a slow unit is done", lambda: units_done(store, "reconstruct"), RUN_SECONDS)
    served.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    served.wait_state(run, "CANCELLED", seconds=CANCEL_SECONDS)
    # What was in the middle of a unit finishes it; nothing new begins.
    served.wait("the workers are idle", lambda: _busy_share(served, seconds=1.0) < 0.2, CANCEL_SECONDS)
    done = units_done(store, "reconstruct")
    time.sleep(3)
    assert units_done(store, "reconstruct") == done < units


def _busy_share(served: Served, seconds: float) -> float:
    """Cores that the workers of the service's own cluster use; a run that follows growing scans has another one."""
    workers = [p for p in psutil.Process(served.process.pid).children() if "multiprocessing" in " ".join(p.cmdline())]

    def used() -> float:
        return sum(sum(worker.cpu_times()[:2]) for worker in workers)

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def test_the_terminal_hears_what_it_wants_to_know_and_no_more(served: Served) -> None:
    lines = served.output.read_text().splitlines()
    assert [line.split("  ")[0] for line in map(str.strip, lines)][:10] == [
        "Dashboard", "Prefect server", "its password", "Dask scheduler", "Dask dashboard",
        *["deployment"] * 4, "Stop with Ctrl-C.",
    ]  # fmt: skip


def test_sigterm_ends_it_with_everything_that_it_started_a_running_flow_too(served: Served) -> None:
    slow, _ = slowed(served.campaign)
    run = served.start(path=str(slow), stages=["ingest", "reconstruct"])
    served.wait_state(run, "RUNNING", "COMPLETED")
    processes = family(served.process.pid)
    assert any("prefect.engine" in " ".join(process.cmdline()) for process in processes)
    os.kill(served.process.pid, signal.SIGTERM)
    served.process.wait(STOP_SECONDS)
    assert alive(processes, wait_seconds=5.0) == []
