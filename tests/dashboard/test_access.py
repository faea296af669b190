"""Who may see the pages: this machine alone, or who knows the token; other pages and other names are sent away."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from stxmdist.dashboard.access import COOKIE, SECURITY_HEADERS, Access, Gate, require_loopback
from stxmdist.dashboard.serve import Place, read_token, serving
from stxmdist.errors import InputError

TOKEN = "a-token-of-the-group"
HERE = "http://127.0.0.1:4242"


def client(access: Access) -> TestClient:
    routes = [
        Route("/", lambda request: PlainTextResponse("the page"), methods=["GET", "POST"]),
        Route("/liveness", lambda request: PlainTextResponse("alive")),
    ]
    return TestClient(Gate(Starlette(routes=routes), access), base_url=HERE, follow_redirects=False)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4242", ""])
def test_names_of_other_machines_are_refused(host: str) -> None:
    assert client(Access()).get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:4242", "localhost:9", "LOCALHOST", "[::1]:4242", "beam.example"])
def test_own_names_are_answered(host: str) -> None:
    assert client(Access(names=frozenset({"beam.example"}))).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:4242.evil"]
)
def test_forms_of_other_pages_are_refused(origin: str) -> None:
    # Another port of this machine is another page: a notebook, say, that somebody else runs.
    assert client(Access()).post("/", headers={"origin": origin}).status_code == 403


def test_own_forms_are_taken() -> None:
    assert client(Access()).post("/", headers={"origin": HERE}).status_code == 200
    proxied = client(Access(names=frozenset({"beam.example"})))
    assert proxied.post("/", headers={"origin": "https://beam.example"}).status_code == 200


def test_every_answer_carries_the_headers_of_safety() -> None:
    for asked in (client(Access()).get("/"), client(Access(TOKEN)).get("/"), client(Access()).get("/none")):
        assert SECURITY_HEADERS.items() <= {k: v for k, v in SECURITY_HEADERS.items() if asked.headers[k] == v}.items()
        assert asked.headers["cache-control"] == "no-store"


def test_without_the_token_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stxmdist.dashboard.access.WRONG_TOKEN_SECONDS", 0.0)
    asked = client(Access(TOKEN))
    assert asked.get("/").status_code == 401
    assert asked.get("/", headers={"accept": "text/html"}).headers["location"] == "login"
    assert asked.get("/liveness").text == "alive"
    assert "the page" not in asked.get("/login").text
    assert asked.post("/login", data={"token": "not it"}).status_code == 401
    for wrong in ("", TOKEN, "0" * 64):
        # The cookie proves the token and is not the token.
        assert asked.get("/", cookies={COOKIE: wrong}).status_code == 401


def test_with_the_token_a_browser_and_a_program_see_the_page() -> None:
    asked = client(Access(TOKEN))
    entered = asked.post("/login", data={"token": TOKEN}, headers={"origin": HERE})
    kept = entered.headers["set-cookie"]
    assert entered.status_code == 303
    assert "HttpOnly" in kept
    assert "SameSite=strict" in kept
    assert TOKEN not in kept
    assert asked.get("/").text == "the page"
    assert client(Access(TOKEN)).get("/", headers={"authorization": f"Bearer {TOKEN}"}).text == "the page"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "beam.example"])
def test_others_are_not_let_in_without_a_token(address: str) -> None:
    with pytest.raises(InputError, match="token"):
        require_loopback(address, Access())
    require_loopback(address, Access(TOKEN))


def test_a_short_token_is_refused() -> None:
    with pytest.raises(InputError, match="guessed"):
        require_loopback("127.0.0.1", Access("1234"))


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    with pytest.raises(InputError, match="openssl"):
        read_token(tmp_path / "none")


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    campaign = tmp_path / "campaign.yaml"
    with serving([campaign], Place(port=0)) as address:
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(InputError, match="--port"), serving([campaign], Place(port=port)):
            pass
