"""Names and states that nobody expects, and stores in the middle of something: always words, never a traceback."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.dashboard.app import application

HOSTILE = (
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a/b",
    "%2e%2e%2f",
    "é\u202enocs",
    '" onload="alert(1)',
    "{{ 7 * 7 }}",
    "\x00",
    "x" * 5000,
)


def client_of(path: Path) -> TestClient:
    return TestClient(application([path]), base_url="http://127.0.0.1", headers={"accept": "text/html"})


@pytest.fixture(scope="module")
def finished(processed: Path) -> TestClient:
    return client_of(processed)


@pytest.fixture(scope="module")
def first(processed: Path) -> str:
    return load(processed).scans[0].scan_id


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("screen", ["scan", "particle", "tile", "scan.spectrum"])
def test_names_that_are_no_scan_are_said_and_escaped(finished: TestClient, screen: str, name: str) -> None:
    answer = finished.get(f"/{screen}", params={"scan": name, "particle": 1})
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    assert 'onload="alert' not in answer.text
    assert "49" not in answer.text or "{{" in answer.text or "7 * 7" not in name
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"energy": "abc"}, 400),
        ({"energy": "nan"}, 400),
        ({"energy": "1e300"}, 200),
        ({"particle": "1.5"}, 400),
        ({"particle": "99999"}, 404),
        ({"particle": "-1"}, 404),
        ({"particle": "1e400"}, 400),
        ({"x": "1e9", "y": "0"}, 404),
        ({"image": "<b>"}, 404),
        ({"map": "particles"}, 200),
        ({"soc.low": "2", "soc.high": "-2"}, 200),
        ({"theme": "<b>"}, 200),
        ({"cx": "abc", "wide": "-1"}, 200),
    ],
)
def test_states_without_a_meaning_are_said(
    finished: TestClient, first: str, state: dict[str, str], status: int
) -> None:
    answer = finished.get("/scan", params={"scan": first, **state})
    assert answer.status_code == status, answer.text[-500:]
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        {"level": "-1"},
        {"level": "99"},
        {"row": "-1"},
        {"row": "1000000"},
        {"energy": "-1"},
        {"energy": "10000"},
        {"layer": "../soc"},
        {"layer": "fused"},
    ],
)
def test_tiles_that_are_not_there_are_said(finished: TestClient, first: str, asked: dict[str, str]) -> None:
    assert finished.get("/tile", params={"scan": first, "layer": "soc"} | asked).status_code == 404


def test_methods_that_change_nothing_are_refused(finished: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert finished.request(method, "/scan").status_code in (404, 405)


def remove_publications(store: Path, *, but: tuple[str, ...]) -> None:
    for file in (store / "published").glob("*.json"):
        if file.stem not in but:
            file.unlink()


def half_a_publication(store: Path) -> None:
    file = store / "published" / "fit.json"
    file.write_text(file.read_text()[:100])


def failed_fit(store: Path) -> None:
    before = Store(store).publication("fit")
    assert before is not None
    scans = {name: replace(scan, state="failed") for name, scan in before.scans.items()}
    Store(store).publish(replace(before, scans=scans), before)


def swept_away(store: Path) -> None:
    shutil.rmtree(store / "stages" / "align")


MIDDLES: dict[str, tuple[Callable[[Path], None], tuple[int, ...]]] = {
    "ingested": (lambda store: remove_publications(store, but=("ingest",)), (200,)),
    "aligned": (lambda store: remove_publications(store, but=("ingest", "absorbance", "align")), (200,)),
    "not inferred": (lambda store: shutil.rmtree((store / "tables").resolve()), (200,)),
    "no store": (shutil.rmtree, (200,)),
    "failed": (failed_fit, (200,)),
    "written by another version": (half_a_publication, (409,)),
    "swept away": (swept_away, (200, 409)),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_a_store_in_the_middle_of_something_is_shown_as_far_as_it_goes(
    processed: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(processed.parent, folder, symlinks=True)
    campaign = load(folder / "campaign.yaml")
    change, statuses = MIDDLES[name]
    change(campaign.store)
    client = client_of(folder / "campaign.yaml")
    scans = [scan.scan_id for scan in campaign.scans]
    asked = ["/", *(f"/scan?scan={each}" for each in scans), f"/scan.spectrum?scan={scans[0]}&x=0&y=0"]
    for address in asked:
        answer = client.get(address)
        assert answer.status_code in (*statuses, 404) if "spectrum" in address else answer.status_code in statuses
        assert "Traceback" not in answer.text
    answer = client.get(f"/particle?scan={scans[0]}&particle=1")
    assert answer.status_code in (200, 404, 409)
    if name == "no store":
        assert "no stage has published it" in client.get(asked[1]).text.casefold()


def test_a_scan_id_of_the_sheet_may_hold_what_addresses_do_not(processed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(processed.parent, folder, symlinks=True)
    sheet = folder / "samples.csv"
    first = load(folder / "campaign.yaml").scans[0].scan_id
    odd = "50+5 % a&b=c @1"
    sheet.write_text(sheet.read_text().replace(first + ",", odd + ",", 1))
    known = [scan.scan_id for scan in load(folder / "campaign.yaml", lenient=True).scans]
    client = client_of(folder / "campaign.yaml")
    for scan_id in known:
        assert client.get("/scan", params={"scan": scan_id}).status_code == 200
    home = client.get("/").text
    assert odd not in known or "scan=50%2B5+%25+a%26b%3Dc+%401" in home


def test_what_a_run_publishes_while_pages_are_asked_for_is_shown_whole(processed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(processed.parent, folder, symlinks=True)
    store = Store(load(folder / "campaign.yaml").store)
    publication = store.publication("fit")
    assert publication is not None
    scan_id = load(folder / "campaign.yaml").scans[0].scan_id
    client = client_of(folder / "campaign.yaml")
    for times in range(6):
        if times % 2:
            store.publish(publication)
        else:
            (store.published_path / "fit.json").unlink()
        answer = client.get(f"/scan?scan={scan_id}")
        assert answer.status_code == 200
        assert ("reduced χ²</a>" in answer.text) == bool(times % 2)
