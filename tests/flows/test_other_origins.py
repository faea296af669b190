"""No page of another origin, and no other user of the machine, starts a flow on a server of ours; its owner does."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows.own_names import admits_host, admits_origin
from flows.password import GIVEN_BY_CLIENTS, password, password_file
from flows.server import OwnServer, RunningServer, announce
from tests.flows.campaigns import environment

EVIL = "http://evil.example"
FLOW = '{"name": "planted"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        for name, value in environment(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with OwnServer() as started:
            started.wait()
            yield started


@pytest.fixture
def owner(server: OwnServer) -> Iterator[httpx.Client]:
    """Who knows the password."""
    # Prefect takes the whole string, in which no colon need be.
    with httpx.Client(base_url=server.api_url, headers={"authorization": basic(password())}) as client:
        yield client


def basic(text: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(text.encode()).decode()


def flows_of(owner: httpx.Client) -> list[str]:
    answer = owner.post("/flows/filter", json={})
    answer.raise_for_status()
    return [flow["name"] for flow in answer.json()]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize(
    "told", [{"origin": EVIL}, {"host": "evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}], ids=str
)
def test_other_pages_start_nothing(owner: httpx.Client, kind: str | None, told: dict[str, str]) -> None:
    # Even where a browser adds a password that it was given once.
    headers = told | ({} if kind is None else {"content-type": kind})
    answer = owner.post("/flows/", content=FLOW, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert flows_of(owner) == []


def test_other_pages_read_nothing(server: OwnServer, owner: httpx.Client) -> None:
    for told in ({"origin": EVIL}, {"host": "evil.example"}):
        for path in ("/version", "/health"):
            answer = owner.get(path, headers=told)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        asks = told | {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        assert owner.options("/flows/", headers=asks).status_code == 403
    address = server.api_url.replace("http", "ws") + "/events/out"
    with pytest.raises(InvalidStatus, match="403"), connect(address, origin=EVIL):  # type: ignore[arg-type]
        pass


def test_other_users_start_nothing_and_the_owner_does(server: OwnServer, owner: httpx.Client) -> None:
    with httpx.Client(base_url=server.api_url) as other:
        assert other.get("/health").status_code == 200
        assert other.post("/flows/", content=FLOW, headers={"content-type": "application/json"}).status_code == 401
        assert other.post("/flows/filter", json={}, headers={"authorization": basic("guessed")}).status_code == 401
    assert stat.S_IMODE(password_file().stat().st_mode) == 0o600
    assert len(password()) >= 32
    assert password() == password_file().read_text().strip()
    own = server.api_url.removesuffix("/api")
    for origin in (own, own.replace("127.0.0.1", "localhost")):
        host = origin.removeprefix("http://")
        made = owner.post("/flows/", json={"name": "own"}, headers={"origin": origin, "host": host})
        assert made.status_code in (200, 201)
    assert flows_of(owner) == ["own"]


def test_only_servers_of_ours_are_told_the_password(
    server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert GIVEN_BY_CLIENTS not in RunningServer("https://elsewhere.example/api").environment
    note = announce(server, None)
    try:
        assert RunningServer(server.api_url).environment[GIVEN_BY_CLIENTS] == password()
        assert GIVEN_BY_CLIENTS not in RunningServer("https://elsewhere.example/api").environment
    finally:
        note.unlink()


def test_names_are_compared_whole() -> None:
    for host in ("127.0.0.1", "127.0.0.1:4200", "LOCALHOST:80", "[::1]:4200"):
        assert admits_host(host)
    for host in ("", "127.0.0.1.evil.example", "evil.example:4200", "localhost.evil.example", "[::2]"):
        assert not admits_host(host)
    assert admits_origin(None, "127.0.0.1:4200")
    assert admits_origin("http://127.0.0.1:4200", "127.0.0.1:4200")
    for origin in ("null", "http://127.0.0.1:4201", "http://evil.example", "http://127.0.0.1:4200.evil.example"):
        assert not admits_origin(origin, "127.0.0.1:4200")
