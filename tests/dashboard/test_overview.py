"""Beamtime and Campaign: what they show of a campaign at every moment of it, and what their forms write."""

import csv
import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from stxmdist.campaign.manifest import load
from stxmdist.commands import run_process
from stxmdist.dashboard.app import application
from stxmdist.dashboard.newest import newest_first
from stxmdist.dashboard.progress import electrode_means, in_words
from stxmdist.dashboard.screen import SCREENS
from stxmdist.dashboard.snapshot import Campaigns
from stxmdist.dashboard.standing import WORDS
from stxmdist.heterogeneity.enough import More

HERE = "http://127.0.0.1"
SCREENS_HERE = ["/", "/campaign"]
STAGES_LEFT = ("segment", "infer", "network", "register", "react")


def client_of(path: Path) -> TestClient:
    headers = {"accept": "text/html", "origin": HERE}
    return TestClient(application([path]), base_url=HERE, headers=headers, follow_redirects=False)


@pytest.fixture
def campaign(processed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(processed.parent, tmp_path / "campaign", symlinks=True)
    return tmp_path / "campaign" / "campaign.yaml"


def sheet_of(campaign: Path) -> list[dict[str, str]]:
    with (campaign.parent / "samples.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state_in(text: str) -> str:
    found = re.search(r'name="sheet" value="([0-9a-f]+)"', text)
    assert found
    return found.group(1)


def test_the_home_shows_each_scan_with_light_word_and_sentence(campaign: Path) -> None:
    text = html.unescape(client_of(campaign).get("/").text)
    for row in sheet_of(campaign):
        assert f"<strong>{row['scan_id']}</strong>" in text
    lights = re.findall(r'class="light (good|doubt|bad|wait)"><span aria-hidden="true">(.)</span> ([^<]+)<', text)
    assert {(light, shape) for light, shape, _ in lights} <= set(zip(WORDS, "●▲■○", strict=True))
    assert len(re.findall(r'class="said">[^<]+\.', text)) == len(sheet_of(campaign))


def test_the_newest_scan_comes_first_as_files_say(campaign: Path) -> None:
    now = Campaigns(campaign).snapshot()
    times = [when for _, when in newest_first(now)]
    assert times == sorted(times, reverse=True)
    # The simulation lets scans follow one another: the files say so, whatever copying did to their own times.
    assert len(set(times)) == len(times)
    text = client_of(campaign).get("/").text
    assert text.index(newest_first(now)[0][0].scan_id) < text.index(newest_first(now)[-1][0].scan_id)


def test_each_electrode_has_its_mean_and_what_is_still_to_measure(campaign: Path) -> None:
    means = electrode_means(Campaigns(campaign).snapshot())
    client = client_of(campaign)
    strict, loose = (client.get(f"/?wanted={wanted}").text for wanted in (0.001, 0.499))
    assert {mean.electrode for mean in means} == {row["electrode_id"] for row in sheet_of(campaign)}
    for mean in means:
        assert f"{mean.mean:.3f}" in strict
    known = sum(mean.half_width <= 0.499 for mean in means)
    assert loose.count("Enough.") == known
    assert "Enough." not in strict


@pytest.mark.parametrize("path", ["/?wanted=0", "/?wanted=x", "/campaign?shape=1,2", "/campaign?size_low=-1"])
def test_addresses_that_mean_nothing_are_refused_in_words(campaign: Path, path: str) -> None:
    answer = client_of(campaign).get(path)
    assert answer.status_code == 400
    assert "is wanted" in answer.text


@pytest.mark.parametrize("path", SCREENS_HERE)
def test_half_finished_campaigns_are_shown_as_far_as_they_are(campaign: Path, path: str) -> None:
    store = campaign.parent / "store"
    for stage in STAGES_LEFT:
        (store / "published" / f"{stage}.json").unlink(missing_ok=True)
    (store / "tables").unlink()
    answer = client_of(campaign).get(path)
    assert answer.status_code == 200
    assert "infer has published n" in answer.text


@pytest.mark.parametrize("path", SCREENS_HERE)
def test_a_campaign_of_one_electrode_is_shown(campaign: Path, path: str) -> None:
    sheet = campaign.parent / "samples.csv"
    lines = sheet.read_text().splitlines(keepends=True)
    sheet.write_text("".join(lines[:1] + [line for line in lines if ",E01," in line]))
    answer = client_of(campaign).get(path)
    assert answer.status_code == 200
    assert "E01" in answer.text


def test_a_scan_is_left_out_with_a_reason_and_taken_in_again(campaign: Path) -> None:
    client, sheet = client_of(campaign), campaign.parent / "samples.csv"
    before = sheet.read_bytes()
    scan_id = sheet_of(campaign)[0]["scan_id"]
    form = {"scan": scan_id, "reason": "drift, <b>large</b>", "sheet": state_in(client.get("/").text)}
    answer = client.post("/beamtime.exclude?theme=dark", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "./?theme=dark")
    (excluded,) = load(campaign).excluded
    assert (excluded.scan_id, excluded.reason) == (scan_id, "drift, <b>large</b>")
    for path in SCREENS_HERE:
        text = client.get(path).text
        assert "&lt;b&gt;large" in text
        assert "<b>large" not in text
    assert "the sheet leaves out" in client.get("/").text
    form = {"scan": scan_id, "sheet": state_in(client.get("/").text), "back": "campaign"}
    assert client.post("/beamtime.include", data=form).headers["location"] == "campaign"
    assert sheet.read_bytes() == before


def test_a_sheet_that_changed_meanwhile_and_forms_of_others_write_nothing(campaign: Path) -> None:
    client, sheet = client_of(campaign), campaign.parent / "samples.csv"
    form = {"scan": sheet_of(campaign)[0]["scan_id"], "reason": "drift", "sheet": state_in(client.get("/").text)}
    before = sheet.read_bytes()
    assert client.post("/beamtime.exclude", data=form, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/beamtime.exclude", params=form).status_code == 404
    assert client.post("/beamtime.exclude", data={**form, "reason": " "}).status_code == 409
    assert client.post("/beamtime.exclude", data={**form, "scan": "none"}).status_code == 404
    assert sheet.read_bytes() == before
    sheet.write_bytes(before + b"\n")
    answer = client.post("/beamtime.exclude", data=form)
    assert answer.status_code == 409
    assert "changed meanwhile" in answer.text
    assert sheet.read_bytes() == before + b"\n"


def test_runs_are_started_as_processes_of_the_command_line(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Process:
        pid = 1

        def __init__(self, command: list[str], **rest: object) -> None:
            asked.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(run_process.subprocess, "Popen", Process)
    client = client_of(campaign)
    assert client.post("/beamtime.start").status_code == 303
    assert client.post("/beamtime.retry").status_code == 303
    assert client.post("/beamtime.start", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/beamtime.start").status_code in (404, 405)
    assert [command[1:4] for command in asked] == [["-c", run_process.ALONE, asks] for asks in ("run", "retry")]
    assert all(str(campaign.resolve()) in command for command in asked)
    assert subprocess.Popen is Process


def test_the_plate_has_every_electrode_and_leads_to_its_scans(campaign: Path) -> None:
    client = client_of(campaign)
    text = html.unescape(client.get("/campaign").text)
    addresses = re.findall(r'class="well" href="([^"]+)"', text)
    assert len(addresses) == len({(row["electrode_id"], row["cycle"]) for row in sheet_of(campaign)})
    one = html.unescape(client.get("/" + addresses[0]).text)
    assert "E01" in addresses[0]
    (scans,) = re.findall(r"Scans: (.+?)</p>", one)
    assert re.findall(r">([^<]+)</a>", scans) == ["stxm-E01-c001-r1", "ptycho-E01-c001-r1"]
    pictures = re.findall(r'<img loading="lazy" src="([^"]+)"', text)
    assert pictures
    assert all(client.get("/" + picture).headers["content-type"] == "image/png" for picture in pictures)
    assert client.get("/campaign?electrode=none").status_code == 404


def test_a_choice_holds_every_particle_of_the_table_and_shows_spectra(campaign: Path) -> None:
    client = client_of(campaign)
    everything = client.get("/campaign.chosen?size_low=0.001").text
    found = re.search(r"<small>(\d+) particles of (\d+) particles", everything)
    assert found
    assert found.group(1) == found.group(2)
    assert everything.count('<a href="particle?') == min(50, int(found.group(1)))
    assert "largest = 1" in everything
    none = client.get("/campaign.chosen?soc_low=50&soc_high=60").text
    assert "No particle lies there." in none
    assert "None is chosen." in client.get("/campaign.chosen").text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([More(0, 0)], "Enough."),
        ([More(12, 1)], "12 more particles in these regions or 1 more region like these."),
        ([More(12, 1), More(40, 3)], "12 to 40 more particles in these regions or 1 to 3 more regions like these."),
        ([More(float("inf"), 3)], "3 more regions like these."),
        (
            [More(7, 2), More(float("inf"), 2)],
            "at least 7 more particles in these regions or 2 more regions like these.",
        ),
        ([More(float("inf"), float("inf"))], "No number of particles or regions reaches it."),
    ],
)
def test_what_is_still_to_measure_is_said_in_words(found: list[More], said: str) -> None:
    assert in_words(found, 2) == said


def test_both_screens_stand_in_the_navigation() -> None:
    assert SCREENS["beamtime"].in_navigation
    assert SCREENS["campaign"].in_navigation
