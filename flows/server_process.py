"""The process of a Prefect server, on a socket that it was given; it ends when the process that started it has ended.

Not a part to import: `python -m flows.server_process DESCRIPTOR`.
"""

import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from flows.own_names import admits_host, admits_origin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SECONDS_TO_END = 5.0
"""What is left to a server whose parent has gone."""


def main() -> None:
    """Serve until told to stop, or until standard input ends: the parent holds its other end while it lives."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import uvicorn

    config = uvicorn.Config(
        "flows.server_process:application",
        factory=True,
        log_level="warning",
        timeout_graceful_shutdown=2,
        # Clients that keep a connection for the next call should find it open.
        timeout_keep_alive=60,
    )
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        uvicorn.Server(config).run(sockets=[listening])


def application() -> "ASGIApp":
    """Prefect's server for whoever asks for it by a name of this machine, and not from the page of somebody else."""
    from prefect.server.api.server import create_app

    return OwnPagesOnly(create_app())


class OwnPagesOnly:
    """Refuses what a page of another origin sends: Prefect lets every page call it and read what it answers."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            host = headers.get(b"host", "")
            if not (admits_host(host) and admits_origin(headers.get(b"origin"), host)):
                await _refuse(scope, send)
                return
        await self._app(scope, receive, send)


async def _refuse(scope: "Scope", send: "Send") -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This server answers its own pages and this machine alone.\n"})


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_END)
    os._exit(1)


if __name__ == "__main__":
    main()
