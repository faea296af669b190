"""The pages: every state is an address, no question is answered with a traceback, and words of others are words."""

import shutil
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from stxmdist.dashboard.app import application
from stxmdist.dashboard.screen import SCREENS
from stxmdist.errors import InputError

HERE = "http://127.0.0.1"
HTML = {"accept": "text/html"}


def client_of(*paths: Path, prefix: str = "") -> TestClient:
    return TestClient(application(paths, prefix=prefix), base_url=HERE, headers=HTML, follow_redirects=False)


@pytest.fixture(scope="module")
def finished(processed: Path) -> TestClient:
    return client_of(processed)


@pytest.mark.parametrize("name", [name for name, entry in SCREENS.items() if entry.in_navigation])
def test_every_screen_of_the_navigation_is_shown(finished: TestClient, name: str) -> None:
    answer = finished.get(f"/{SCREENS[name].address}")
    assert answer.status_code == 200
    assert "simulated, not measured" in answer.text
    assert 'aria-current="page"' in answer.text


@pytest.mark.parametrize("name", [name for name, entry in SCREENS.items() if entry.in_navigation])
def test_every_screen_is_shown_where_nothing_is_published(simulated: Path, name: str) -> None:
    answer = client_of(simulated).get(f"/{SCREENS[name].address}")
    assert answer.status_code == 200
    assert "nothing published yet" in answer.text


@pytest.mark.parametrize(
    "path",
    ["/scan?scan=../../etc", "/none", "/tile", "/tile?scan=none", "/%2e%2e/%2e%2e/etc/passwd", "/static/../app.py"],
)
def test_what_is_not_there_is_said_in_words(finished: TestClient, path: str) -> None:
    answer = finished.get(path)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_a_campaign_file_with_a_mistake_is_said_on_the_page_and_mends_itself(simulated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(simulated.parent, folder)
    path = folder / "campaign.yaml"
    client, good = client_of(path), path.read_text()
    assert client.get("/").status_code == 200
    path.write_text(good + "\nunknown_key: 1\n")
    answer = client.get("/")
    assert answer.status_code == 409
    assert "unknown_key" in answer.text
    path.write_text(good + "\n")
    assert client.get("/").status_code == 200


def test_the_version_changes_with_what_is_written(processed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(processed.parent, folder, symlinks=True)
    path = folder / "campaign.yaml"
    client = client_of(path)
    client.get("/")
    before = client.get("/version").json()
    assert client.get("/version").json() == before
    publication = folder / "store" / "published" / "fit.json"
    publication.write_text(publication.read_text() + "\n")
    assert client.get("/version").json() != before


def test_pages_work_under_a_prefix_with_and_without_it(processed: Path) -> None:
    client = client_of(processed, prefix="/beam/line")
    assert client.get("/beam/line").headers["location"] == "line/"
    inside, outside = client.get("/beam/line/").text, client.get("/").text
    assert inside == outside
    assert client.get("/beam/line/static/dashboard.css").status_code == 200
    # Addresses are relative, so that they stay in the folder that the proxy shows.
    assert 'href="/' not in inside
    assert 'src="/' not in inside
    assert urljoin(f"{HERE}/beam/line/", "scan?scan=1").startswith(f"{HERE}/beam/line/")


def test_several_campaigns_have_folders(processed: Path, simulated: Path, tmp_path: Path) -> None:
    other = tmp_path / "another one"
    shutil.copytree(simulated.parent, other)
    client = client_of(processed, other / "campaign.yaml")
    assert "another%20one/" in client.get("/").text
    assert client.get("/another%20one/").status_code == 200
    assert client.get("/campaign/").status_code == 200
    with pytest.raises(InputError, match="different names"):
        application([processed, simulated])


@pytest.mark.parametrize("theme", ["light", "dark", "auto", '"><script>'])
def test_the_theme_stands_in_the_address_and_in_every_link(finished: TestClient, theme: str) -> None:
    answer = finished.get("/", params={"theme": theme})
    assert "<script>" not in answer.text.replace("<script src", "")
    if theme in ("light", "dark"):
        assert f'data-theme="{theme}"' in answer.text
        assert f"theme={theme}" in answer.text
