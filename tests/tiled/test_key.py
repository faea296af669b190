"""The key goes to the campaign file's own server, whatever the sample sheet names: over real sockets."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.planning.received import fetch_once
from stxmdist.planning.written_back import WritesBack
from stxmdist.tiled.address import KEY_VARIABLE
from stxmdist.tiled.client import TiledClient, same_server
from tests.tiled.beamline import KEY, Replica, begin, client_of, served, start_document

COUNTS = np.full((2, 3, 4), 300.0)
PUBLIC = Replica(keys={KEY, ""}).keys
"""Of a server that lets everybody read"""


@dataclass
class Server:
    """A server with one finished run, and what it was asked."""

    address: str
    replica: Replica
    run: str = field(init=False)

    def __post_init__(self) -> None:
        start = start_document(COUNTS, (700.0, 708.0), np.arange(3), np.arange(4), uid=str(uuid.uuid4()))
        run = begin(client_of(self.address), start, COUNTS)
        run.measure(6)
        run.stop()
        self.run = f"{self.address}/api/v1/metadata/{run.path}"
        self.replica.asked.clear()

    @property
    def keys_seen(self) -> set[str]:
        """Of all headers, whatever their names."""
        return {value for request in self.replica.asked for value in request.headers.values() if KEY in value}


@pytest.fixture
def own() -> Iterator[Server]:
    with served(replica := Replica()) as address:
        yield Server(address, replica)


@pytest.fixture(params=[PUBLIC, {KEY}], ids=["public", "wants a key"])
def other(request: pytest.FixtureRequest) -> Iterator[Server]:
    with served(replica := Replica(keys=request.param)) as address:
        yield Server(address, replica)


def campaign_of(folder: Path, own: Server | None, *runs: str) -> Path:
    rows = [f"s{n},{run},stxm,E01" for n, run in enumerate(runs)]
    (folder / "samples.csv").write_text("\n".join(["scan_id,file,modality,electrode_id", *rows, ""]))
    live = "" if own is None else f"live: {{tiled: {{server: '{own.address}', results: true}}}}\n"
    path = folder / "campaign.yaml"
    path.write_text(f"name: two servers\nstore: store\nsamples: samples.csv\nchemistry: LFP\n{live}")
    return path


def test_the_key_reaches_the_server_of_the_campaign_file_and_no_other(
    own: Server, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    campaign = load(campaign_of(tmp_path, own, own.run, other.run))
    refused = [refusal.scan_id for refusal in fetch_once(campaign)]
    assert own.keys_seen == {f"Apikey {KEY}"}
    assert other.replica.asked, "it was asked"
    assert other.keys_seen == set()
    assert campaign.scan("s0").file.exists()
    assert campaign.scan("s1").file.exists() == (other.replica.keys == PUBLIC) == (refused == [])


def test_without_a_server_in_the_campaign_file_no_key_leaves(
    other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    refused = fetch_once(load(campaign_of(tmp_path, None, other.run)))
    assert other.replica.asked
    assert other.keys_seen == set()
    if refused:
        assert "a key is sent to no other server" in refused[0].sentence
        assert "live: {tiled: {server" in refused[0].sentence


def test_results_are_not_written_to_another_server(
    own: Server, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    campaign, said = load(campaign_of(tmp_path, own, other.run)), list[str]()
    writes_back = WritesBack(said.append)
    for _ in range(2):
        writes_back(Store(campaign.store), campaign.scan("s0"), own.address)
    assert other.replica.asked == []
    (sentence,) = said
    assert other.address in sentence


def test_a_redirection_leads_the_key_nowhere(own: Server, other: Server) -> None:
    class Redirects(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("location", other.run)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(InputError):
            TiledClient(address, address, key=lambda: KEY).metadata("run")
    finally:
        server.shutdown()
        server.server_close()
    assert other.replica.asked == []


@pytest.mark.parametrize(
    ("one", "alike"),
    [
        ("https://beam.example", True),
        ("https://BEAM.example:443/tiled", True),
        ("http://beam.example", False),
        ("https://beam.example:8443", False),
        ("https://beam.example.elsewhere.org", False),
        ("https://beam.example@elsewhere.org", False),
    ],
)
def test_a_server_is_scheme_host_and_port(one: str, alike: bool) -> None:
    assert same_server(one, "https://beam.example") is alike
