"""The side of the beamline: runs written to a Tiled server row by row, as ALS' STXM plan does, over the same REST API.

`real_server` starts a Tiled server of its own in the environment that `STXMDIST_TILED` names; `Replica` answers the
requests that stxmdist makes as that server did (tiled 0.2.20): status, fields and words of its answers are its own.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np

KEY = "keyoftests"
BYTES = {"content-type": "application/octet-stream"}
SECONDS_TO_START = 180.0


@dataclass
class Run:
    """A run that is being measured."""

    http: httpx.Client
    path: str
    counts: np.ndarray
    """(ENERGY, Y, X) float64"""
    rows_written: int = 0

    @property
    def field_path(self) -> str:
        return f"{self.path}/primary/counter"

    def measure(self, n_rows: int) -> None:
        """Append rows to the array."""
        rows = self.counts.reshape(-1, self.counts.shape[2])[self.rows_written : self.rows_written + n_rows]
        width = rows.shape[1]
        if self.rows_written == 0:
            create(self.http, f"{self.path}/primary", "counter", "array", structure=structure_of(rows))
            _done(self.http.put(f"/array/full/{self.field_path}", content=rows.tobytes(), headers=BYTES))
        else:
            where = {"offset": f"{self.rows_written},0", "shape": f"{len(rows)},{width}", "extend": "true"}
            _done(
                self.http.patch(f"/array/full/{self.field_path}", params=where, content=rows.tobytes(), headers=BYTES)
            )
        self.rows_written += len(rows)

    def stop(self, status: str = "success") -> None:
        """Leave the stop document, as the run engine does also for what was aborted."""
        metadata = _done(self.http.get(f"/metadata/{self.path}")).json()["data"]["attributes"]["metadata"]
        body = {"metadata": metadata | {"stop": {"exit_status": status, "time": 1.7e9}}, "specs": None}
        _done(self.http.put(f"/metadata/{self.path}", json=body))


def create(
    http: httpx.Client, parent: str, name: str, family: str, *, metadata: Any = None, structure: Any = None
) -> None:
    """Make a node."""
    source = {"structure_family": family, "structure": structure, "parameters": {}, "assets": []}
    body = {
        "id": name,
        "structure_family": family,
        "metadata": metadata or {},
        "data_sources": [] if structure is None else [source | {"mimetype": None, "management": "writable"}],
        "specs": [],
    }
    _done(http.post(f"/metadata/{parent}", json=body))


def structure_of(rows: np.ndarray) -> dict[str, Any]:
    kind = {"endianness": "little", "kind": rows.dtype.kind, "itemsize": rows.dtype.itemsize, "dt_units": None}
    chunks = [[1] * len(rows), [rows.shape[1]]]
    return {"data_type": kind, "chunks": chunks, "shape": list(rows.shape), "dims": None, "resizable": False}


def start_document(
    counts: np.ndarray, energy_ev: Any, y_um: Any, x_um: Any, *, uid: str, version: int = 1
) -> dict[str, Any]:
    """What the plan says of a stack before it begins."""
    return {
        "uid": uid,
        "scan_id": 7,
        "time": 1.7e9,
        "plan_name": "stxm_stack",
        "stxm": {
            "contract_version": version,
            "shape": list(counts.shape),
            "energies": [float(energy) for energy in energy_ev],
            "dwell_ms": 3.0,
            "x_extent": [float(x_um[0]), float(x_um[-1])],
            "y_extent": [float(y_um[0]), float(y_um[-1])],
            "x_motor": "SampleX",
            "y_motor": "SampleY",
            "energy_motor": "Energy",
            "data_field": "counter",
        },
    }


def begin(http: httpx.Client, start: dict[str, Any], counts: np.ndarray) -> Run:
    """Open a run of the root's catalogue."""
    uid = start["uid"]
    create(http, "", uid, "container", metadata={"start": start})
    create(http, uid, "primary", "container")
    return Run(http, uid, np.asarray(counts, np.float64))


def _done(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, (answer.request.url, answer.status_code, answer.text[:300])
    return answer


def client_of(server: str, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client that may write."""
    return httpx.Client(
        base_url=f"{server}/api/v1", headers={"Authorization": f"Apikey {KEY}"}, timeout=60.0, transport=transport
    )


@contextmanager
def real_server(python: str, folder: Path) -> Iterator[str]:
    """A Tiled server with an empty writable catalogue, on loopback: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    words = ["serve", "catalog", str(folder / "catalogue.db"), "--init", "--write", str(folder / "data")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "tiled", *words, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"TILED_SINGLE_USER_API_KEY": KEY},
            stdout=log,
            stderr=log,
        )
    try:
        server, until = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS_TO_START
        while True:
            assert process.poll() is None, (folder / "log.txt").read_text()[-2000:]
            assert time.monotonic() < until, "the server did not start"
            try:
                if httpx.get(f"{server}/api/v1/", timeout=5.0).is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def served(replica: "Replica") -> Iterator[str]:
    """The replica on loopback, for other processes: its address."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = httpx.Request(
                self.command, f"http://replica{self.path}", headers=dict(self.headers), content=content
            )
            answer = replica._answer(request)
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Replica:
    """What a Tiled server answers to the requests of `stxmdist.tiled` and of `Run`, in this process."""

    keys: set[str] = field(default_factory=lambda: {KEY})
    nodes: dict[str, dict[str, Any]] = field(default_factory=lambda: {"": {"structure_family": "container"}})
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, bytes] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        authorised = request.headers.get("authorization", "")
        if authorised.removeprefix("Apikey ") not in self.keys:
            no_scope = "Not enough permissions. Requires scopes ['read:metadata']. Request had scopes []"
            return httpx.Response(401, json={"detail": "Invalid API key" if authorised else no_scope})
        route = unquote(request.url.path).split("/api/v1/", 1)[1]
        kind, _, path = route.partition("/")
        if kind in ("array", "table"):
            path = path.removeprefix("full/")
        if path not in self.nodes or (kind == "array" and request.method != "PUT" and path not in self.arrays):
            return httpx.Response(404, json={"detail": f"No such entry: {path.split('/')}"})
        return getattr(self, f"_{request.method.lower()}_{kind}")(path, request)

    def _post_metadata(self, parent: str, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        path = "/".join(part for part in (parent, body["id"]) if part)
        structure = body["data_sources"][0]["structure"] if body["data_sources"] else None
        self.nodes[path] = {
            "structure_family": body["structure_family"],
            "metadata": body["metadata"],
            "structure": structure or {"contents": None, "count": 0},
        }
        return httpx.Response(200, json={"id": body["id"]})

    def _put_metadata(self, path: str, request: httpx.Request) -> httpx.Response:
        self.nodes[path]["metadata"] = json.loads(request.content)["metadata"]
        return httpx.Response(200, json=None)

    def _delete_metadata(self, path: str, request: httpx.Request) -> httpx.Response:
        del self.nodes[path]
        return httpx.Response(200, json=None)

    def _put_table(self, path: str, request: httpx.Request) -> httpx.Response:
        self.tables[path] = request.content
        return httpx.Response(200, json=None)

    def _get_table(self, path: str, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.tables[path])

    def _get_metadata(self, path: str, request: httpx.Request) -> httpx.Response:
        *ancestors, name = path.split("/")
        attributes = {"ancestors": ancestors, "specs": [], "access_tags": [], **self.nodes[path]}
        return httpx.Response(200, json={"data": {"id": name, "attributes": attributes}, "error": None})

    def _put_array(self, path: str, request: httpx.Request) -> httpx.Response:
        structure = self.nodes[path]["structure"]
        kind = structure["data_type"]
        values = np.frombuffer(request.content, f"<{kind['kind']}{kind['itemsize']}")
        self.arrays[path] = values.reshape(structure["shape"])
        return httpx.Response(200, json=None)

    def _patch_array(self, path: str, request: httpx.Request) -> httpx.Response:
        whole = self.arrays[path]
        shape = tuple(int(n) for n in request.url.params["shape"].split(","))
        rows = np.frombuffer(request.content, whole.dtype).reshape(shape)
        self.arrays[path] = np.concatenate([whole, rows])
        self.nodes[path]["structure"] = structure_of(self.arrays[path])
        return httpx.Response(200, json=self.nodes[path]["structure"])

    def _get_array(self, path: str, request: httpx.Request) -> httpx.Response:
        start, stop = (int(n) for n in request.url.params["slice"].split(":"))
        whole = self.arrays[path]
        if start >= len(whole):
            return httpx.Response(500, json={"detail": "Internal server error"})
        return httpx.Response(200, content=whole[start:stop].tobytes(), headers={"etag": "0"})
