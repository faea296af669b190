"""Run: what differs is checked in the campaign file's words, one run at a time, cancelled, and told how far it is."""

import os
import re
import signal
import threading
import time
from pathlib import Path
from shutil import copytree
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.commands.run_process import LeftRun, Wanted, last_run
from stxmdist.commands.runs import plan
from stxmdist.dashboard.app import application
from stxmdist.errors import InputError
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.stages import STAGES
from stxmdist.runner.run_state import run_state
from stxmdist.runner.unit import Refusal
from tests.stages.tiny import STXM

HERE = "http://127.0.0.1"
LIMIT_SECONDS = 240.0
"""Machines are shared: a process may take long to start, and is then slow, not wrong"""
INGEST = STAGES["ingest"]
QUICK = {"cluster": "inline", "prefect": "no"}


def client_of(path: Path) -> TestClient:
    return TestClient(application([path]), base_url=HERE, headers={"accept": "text/html"}, follow_redirects=False)


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    return copytree(simulated.parent, tmp_path / "campaign") / "campaign.yaml"


def until_ended(campaign: Path) -> LeftRun:
    ends = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < ends:
        run = last_run(load(campaign, lenient=True))
        if run is not None and not run.going:
            return run
        time.sleep(0.1)
    raise AssertionError("the run did not end")


def mistakes(html: str) -> list[str]:
    return re.findall(r'class="mistake" role="alert">(.*?)<', html)


def test_the_form_lists_every_option_and_costs_what_plan_says(campaign: Path) -> None:
    client = client_of(campaign)
    first = client.get("/run").text
    assert 'name="o.fit.classes.most_od"' in first
    assert "Choose, then ask what it costs" in first
    asked = {"check": "1", "stage.fit": "on", "o.fit.rows_per_unit": "10"}
    html = client.get("/run", params=asked).text
    expected = plan(campaign, ("fit",), (), {"fit": {"rows_per_unit": 10}})
    assert f"<dt>units</dt><dd>{expected.units}</dd>" in html
    assert expected.units != plan(campaign, ("fit",)).units
    assert "--set=fit.rows_per_unit=10" in html
    assert "    rows_per_unit: 10" in html


def test_only_what_differs_from_the_campaign_file_is_sent(campaign: Path) -> None:
    # 25 rows stand in the campaign file; most_od has its default.
    same = {"check": "1", "o.fit.rows_per_unit": "25", "o.fit.classes.most_od": "6.0", "o.fit.background": ""}
    assert "--set" not in client_of(campaign).get("/run", params=same).text


@pytest.mark.parametrize(
    ("key", "value"),
    [("fit.classes.most_od", "much"), ("fit.background", "quadratic"), ("fit.fitter", "nope"), ("segment.psf", "[")],
)
def test_a_mistake_has_the_words_of_the_campaign_file(campaign: Path, key: str, value: str) -> None:
    html = client_of(campaign).get("/run", params={"check": "1", f"o.{key}": value}).text
    stage, *path = key.split(".")
    options: object = value
    for name in reversed(path):
        options = {name: options}
    with pytest.raises(InputError) as refused:
        campaign_and_options(campaign, {stage: options})  # type: ignore[dict-item]
    said = refused.value.problems[0].sentence  # type: ignore[attr-defined]
    assert said.split(";")[0].split(": ", 1)[1] in " ".join(mistakes(html)).replace("&#39;", "'")
    assert 'action="run.start"' not in html


def test_stages_scans_clusters_and_options_that_are_not_there_start_nothing(campaign: Path) -> None:
    client = client_of(campaign)
    for wrong in ({"stage.nope": "on"}, {"scan.nope": "on"}, {"cluster": "nope"}, {"o.fit.nope": "1"}, {"o.a": "1"}):
        answer = client.post("/run.start", data=wrong)
        assert answer.status_code == 303
        address = urlsplit(answer.headers["location"])
        assert parse_qs(address.query)["check"] == ["1"]
        assert mistakes(client.get("/" + answer.headers["location"]).text)
    assert last_run(load(campaign)) is None


def test_words_of_others_stay_words(campaign: Path) -> None:
    html = client_of(campaign).get(
        "/run", params={"check": "1", "q": '"><script>', "o.fit.fitter": "<script>alert(1)</script>", "cluster": "'\">"}
    )
    assert "<script>" not in html.text.replace("<script src", "")
    wanted = Wanted(scans=("--cluster=x",), options={"fit.fitter": "--json; rm -rf"}, cluster="-1")
    arguments = wanted.arguments(campaign)
    # Each is one word, behind the name of its option.
    assert arguments[2:] == ["--scan=--cluster=x", "--set=fit.fitter=--json; rm -rf", "--cluster=-1"]


def test_other_pages_start_nothing(campaign: Path) -> None:
    client = client_of(campaign)
    assert client.post("/run.start", data=QUICK, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/run.start").status_code in (404, 405)
    assert last_run(load(campaign)) is None


def test_a_run_that_is_started_is_told_to_its_end(campaign: Path) -> None:
    client = client_of(campaign)
    answer = client.post("/run.start", data={**QUICK, "stage.ingest": "on", "o.ingest.spikes": ""})
    assert answer.headers["location"] == "run"
    run = until_ended(campaign)
    assert run.sentence.startswith("4 units computed")
    state = run_state(load(campaign).store)
    assert state is not None
    assert state.process == run.request.process
    assert state.stages["ingest"].done == 4
    html = client.get("/run").text
    assert "4 / 4" in html
    assert run.sentence.split(".")[0] in html
    assert "4 published" in html


@pytest.mark.slow
def test_the_tick_tries_again_what_was_set_aside(campaign: Path) -> None:
    (scan_id, *_), client = STXM, client_of(campaign)
    with CampaignRun(RunRequest(str(campaign), ("ingest",), (scan_id,), "inline")) as before:
        output = before.survey.output("ingest", scan_id)
        for unit in INGEST.load().plan(before.survey, before.survey.options_of("ingest", INGEST.load().options)).units:
            if unit.scan_id == scan_id:
                refusal = Refusal(scan_id, unit.name, "the disk", "it was full", "nothing", "room", "Make room")
                output.quarantine(unit.name, vars(refusal))
        assert before.stage("ingest").refusals
    asked = {"stage.ingest": "on", f"scan.{scan_id}": "on", **QUICK}
    assert "1 unit set aside" in client.get("/run").text
    html = client.get("/run", params={"check": "1", "retry": "1", **asked}).text
    assert re.search(r'name="retry" value="1" checked', html)
    assert re.search(r"stxmdist retry \S+ --stage=ingest --scan=" + scan_id, html)
    client.post("/run.start", data={"retry": "1", **asked})
    assert until_ended(campaign).sentence.startswith("1 unit")
    published = Store(load(campaign).store).publication("ingest")
    assert published is not None
    assert published.scans[scan_id].state == "done"


@pytest.mark.slow
def test_of_two_starts_at_once_one_runs(campaign: Path) -> None:
    answers: list[int] = []
    clients = [client_of(campaign), client_of(campaign)]

    def post(client: TestClient) -> None:
        answers.append(client.post("/run.start", data={**QUICK, "stage.ingest": "on"}).status_code)

    threads = [threading.Thread(target=post, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303, 409]
    assert "disabled>Start" in clients[0].get("/run", params={"check": "1"}).text
    until_ended(campaign)
    assert len(list((load(campaign).store / "runs").glob("*/request.json"))) == 1


def test_a_run_is_cancelled_and_what_is_finished_stays(campaign: Path) -> None:
    client = client_of(campaign)
    # As under nohup, where what a program starts ignores Ctrl-C too.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    client.post("/run.start", data=QUICK)
    signal.signal(signal.SIGINT, before)
    store, ends = load(campaign).store, time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < ends and not ((state := run_state(store)) and state.stages.get("reconstruct")):
        time.sleep(0.05)
    part = client.get("/run.progress").text
    assert "data-going" in part
    assert ">Cancel<" in part
    assert client.post("/run.cancel").status_code == 303
    run = until_ended(campaign)
    assert run.ending == "cancelled"
    assert "interrupted; finished units are kept" in run.sentence
    state = run_state(store)
    assert state is not None
    assert state.ended
    assert state.stages["ingest"].done == 4
    assert "interrupted" in client.get("/run").text
    assert client.post("/run.cancel").status_code == 409


@pytest.mark.faults
def test_a_run_that_was_killed_is_said_to_be(campaign: Path) -> None:
    client = client_of(campaign)
    client.post("/run.start", data=QUICK)
    run = last_run(load(campaign))
    assert run is not None
    os.kill(run.request.process, signal.SIGKILL)
    ended = until_ended(campaign)
    assert ended.ending == "failed"
    assert "killed" in ended.sentence
    assert "killed" in client.get("/run").text
