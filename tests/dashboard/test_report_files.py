"""The report under the pages: its files as they are published, a way there and back, and no script of others."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import publish_folder
from stxmdist.commands.drawn import evidence_of
from stxmdist.dashboard.access import Access
from stxmdist.dashboard.app import application
from stxmdist.dashboard.serve import Place, serving
from stxmdist.report.scan_pages import scan_pages
from tests.dashboard.browser import Browser, browsing, chromium
from tests.dashboard.test_app import HERE, HTML, client_of
from tests.stages.tiny import STXM

TOKEN = "a token of these tests"
DIGEST = "0123456789abcdef"
PAGE = "<!DOCTYPE html><html><head></head><body><h1>Report</h1><a href='../tables/particles.csv'>all</a></body></html>"


@pytest.fixture(scope="module")
def reported(processed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The processed campaign with pages of its scans published as its report; drawing figures is for other tests."""
    folder = tmp_path_factory.mktemp("reported") / "campaign"
    shutil.copytree(processed.parent, folder, symlinks=True)
    store = Store(folder / "store")
    output = store.output("report", "campaign", DIGEST)
    output.declare([])
    for name, content in [("index.html", PAGE.encode()), *scan_pages(evidence_of(processed), "1.2.3")]:
        path = output.path / "report" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (output.path / "report" / "evil.js").write_text("alert(1)")
    (output.path / "report" / "notes.exe").write_text("no")
    (output.path / "report" / "out.csv").symlink_to(folder / "samples.csv")
    store.publish(
        Publication("report", 1, {}, 0, "2026-01-02T03:04:05+00:00", {},
                    {"campaign": PublishedScan(DIGEST, "done", {}, 1, core_seconds=0.0)})
    )  # fmt: skip
    publish_folder(store, "report", output.path / "report")
    return folder / "campaign.yaml"


@pytest.fixture(scope="module")
def client(reported: Path) -> TestClient:
    return client_of(reported)


def test_the_navigation_and_each_scan_lead_to_the_report_and_the_report_leads_back(client: TestClient) -> None:
    assert 'href="report/"' in client.get("/").text
    address = f"report/scans/{STXM[0]}.html"
    assert f'href="{address}"' in client.get("/scan", params={"scan": STXM[0]}).text
    for path, back in (("report/", "../"), (address, f"../../scan?scan={STXM[0]}")):
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert f'href="{back}"' in answer.text
        assert client.get(urljoin(f"{HERE}/{path}", back)).status_code == 200
    assert client.get("/report").headers["location"] == "report/"
    assert client.get("/tables/particles.csv").text.startswith("scan_id,")


def test_without_a_report_nothing_leads_to_one(processed: Path) -> None:
    client = client_of(processed)
    assert "report/" not in client.get("/").text
    answer = client.get("/report/")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["report/../../samples.csv", "report/%2e%2e/%2e%2e/samples.csv", "report//etc/passwd", "report/.lock",
     "report/none.html", "report/notes.exe", "report/evil.js", "report/out.csv",
     "tables/..%2f..%2fsamples.csv", "tables/"],
)  # fmt: skip
def test_nothing_but_files_of_the_report_is_shown_and_no_script_of_others(client: TestClient, path: str) -> None:
    answer = client.get(f"/{path}")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text
    assert "electrode_id" not in answer.text


def test_the_scripts_of_a_report_are_those_of_this_program(client: TestClient, reported: Path) -> None:
    changed = reported.parent / "store" / "report" / "pages.js"
    before = changed.read_bytes()
    changed.write_text("alert(1)")
    try:
        assert "alert" not in client.get("/report/pages.js").text
    finally:
        changed.write_bytes(before)
    assert client.get("/report/particles.js").text.startswith("stxmdist.table(")
    policy = client.get("/report/").headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_the_report_asks_for_the_token_as_the_pages_do(reported: Path) -> None:
    client = TestClient(application([reported], Access(token=TOKEN)), base_url=HERE, follow_redirects=False)
    for path in ("report/", "tables/particles.csv", f"report/scans/{STXM[0]}.html"):
        assert client.get(f"/{path}").status_code == 401
        assert client.get(f"/{path}", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        answer = client.get(f"/{path}", headers=HTML)
        assert answer.status_code == 303
        assert urljoin(f"{HERE}/{path}", answer.headers["location"]) == f"{HERE}/login"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert chromium() is not None, "these tests look at pages: install chromium"
    with browsing() as found:
        yield found


def test_a_browser_goes_from_a_scan_to_the_report_and_back(browser: Browser, reported: Path) -> None:
    with serving([reported], Place(port=0)) as address:
        browser.open(
            f"{address}report/scans/{STXM[0]}.html", "document.querySelectorAll('#particles tbody tr').length > 0"
        )
        browser.open(f"{address}report/particles.html", "document.querySelectorAll('#particles tbody tr').length > 0")
    assert not browser.errors
    assert not browser.outside
    assert not browser.failed
