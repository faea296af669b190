"""Next: the same numbers as the commands `design` and `energies`, from what was measured, all inputs in the address."""

import json
import re
import shlex
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from stxmdist.cli.app import app
from stxmdist.cli.process import main  # noqa: F401 (registers the commands)
from stxmdist.dashboard.app import application
from stxmdist.dashboard.screens import next as screen
from stxmdist.dashboard.words import figure


def client_of(path: Path) -> TestClient:
    return TestClient(application([path]), base_url="http://127.0.0.1", headers={"accept": "text/html"})


@pytest.fixture(scope="module")
def finished(processed: Path) -> TestClient:
    return client_of(processed)


def commands(html: str) -> list[list[str]]:
    """The two command lines that the page shows."""
    found = re.search(r'<pre id="commands"[^>]*>(.*?)</pre>', html, re.S)
    assert found is not None
    return [shlex.split(line)[1:] for line in found.group(1).splitlines()]


def test_energies_are_those_of_the_command(finished: TestClient) -> None:
    html = finished.get("/next", params={"n": "4", "photons": "20000"}).text
    said = json.loads(CliRunner().invoke(app, [*commands(html)[0], "--json"]).stdout)
    for row in said["energies"]:
        assert f"{row['energy_ev']:.1f} eV" in html
    assert f"<dt>dose</dt><dd>{figure(said['dose_mgy'], 3, 'MGy')}</dd>" in html
    assert len(said["energies"]) == 4


def test_the_least_beamtime_is_that_of_the_command(finished: TestClient, processed: Path) -> None:
    html = finished.get("/next", params={"half_width": "0.2", "particles": "10", "scan_minutes": "5"}).text
    arguments = commands(html)[1]
    arguments[1] = str(processed)
    said = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    proposed = [case["proposed"] for case in said["cases"] if case["proposed"] is not None]
    assert proposed
    for each in proposed:
        assert f"takes {each['hours']:.1f} h: {each['electrodes']} electrodes" in html


def test_more_time_is_never_worse(finished: TestClient) -> None:
    def best(hours: int) -> list[float]:
        html = finished.get("/next", params={"hours": str(hours), "electrode_sd": "0.05"}).text
        return [float(width) for width in re.findall(r"gives ± ([\d.]+) at best", html)]

    short, long = best(12), best(48)
    assert len(short) == len(long) > 0
    assert all(b <= a for a, b in zip(short, long, strict=True))


def test_what_does_not_fit_is_said(finished: TestClient) -> None:
    assert "Not one electrode fits into 30 min" in finished.get("/next", params={"hours": "0.5"}).text


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "1e999", "0", '"><script>'])
def test_a_mistake_stands_beside_its_field(finished: TestClient, value: str) -> None:
    html = finished.get("/next", params={"hours": value}).text
    assert 'class="mistake" role="alert">got' in html
    assert "Correct what is marked." in html
    assert "<script>" not in html.replace("<script src", "").replace('<script type="application/json">', "")


def test_what_no_design_allows_is_said_in_a_sentence(finished: TestClient) -> None:
    assert "wanted a probability" in finished.get("/next", params={"power": "3"}).text


def test_without_a_pilot_energies_are_proposed_all_the_same(simulated: Path) -> None:
    html = client_of(simulated).get("/next").text
    assert "It has measured nothing yet" in html
    assert "photons per pixel" in html
    assert len(commands(html)) == 1


def test_what_was_read_at_the_start_is_not_read_with_the_first_page(
    finished: TestClient, processed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed = application([processed], warm=True)
    for thread in threading.enumerate():
        if thread.name == "warm":
            thread.join()
    for slow in ("pilot_scans", "photons_per_pixel", "energies"):
        monkeypatch.setattr(screen, slow, lambda *words, **more: pytest.fail("read anew"))
    client = TestClient(warmed, base_url="http://127.0.0.1", headers={"accept": "text/html"})
    answer, cold = client.get("/next"), finished.get("/next")
    assert answer.status_code == 200
    assert commands(answer.text) == commands(cold.text)
