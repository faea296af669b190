"""Serve the pages: a thread that listens on one address, of this machine alone unless a token is given."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from flows.listening import listening_socket
from stxmdist.campaign.manifest import load
from stxmdist.dashboard.access import Access, require_loopback
from stxmdist.dashboard.app import application
from stxmdist.errors import InputError

START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 5.0
PORT = 4242


@dataclass(frozen=True)
class Place:
    """Where the pages are shown, and to whom."""

    host: str = "127.0.0.1"
    """Address to listen at"""
    port: int = PORT
    """0 takes any that is free"""
    prefix: str = ""
    """Path under which a reverse proxy shows them"""
    access: Access = field(default_factory=Access)


def read_token(file: Path | None) -> str | None:
    """The token in a file; None without one.

    Raises
    ------
    InputError
        when the file cannot be read, or others may read it.
    """
    if file is None:
        return None
    try:
        token = file.read_text().strip()
        open_to = file.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            where=file,
            problem="the token cannot be read",
            got=str(error),
            wanted="a file with one line of text",
            mend="Write one: `openssl rand -hex 16 > FILE; chmod 600 FILE`",
        ) from error
    if open_to:
        raise InputError(
            where=file,
            problem="other users of this machine can read or write the token",
            got=f"permissions {open_to:03o} for others",
            wanted="permissions for its owner alone",
            mend=f"chmod 600 {file}",
        )
    return token


@contextmanager
def serving(paths: Sequence[Path], place: Place) -> Iterator[str]:
    """Serve the pages for the length of a block; gives the address to open.

    Raises
    ------
    InputError
        when the address is open to others and no token is given, or the port is taken.
    """
    require_loopback(place.host, place.access)
    with listening_socket(place.host, place.port, "the pages cannot be served there") as listener:
        app = application(paths, place.access, place.prefix, warm=True)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="dashboard", daemon=True)
        thread.start()
        began = time.monotonic()
        while not server.started and thread.is_alive() and time.monotonic() - began < START_LIMIT_SECONDS:
            time.sleep(0.01)
        name = f"[{place.host}]" if ":" in place.host else place.host
        path = f"/{place.prefix.strip('/')}/" if place.prefix.strip("/") else "/"
        try:
            yield f"http://{name}:{listener.getsockname()[1]}{path}"
        finally:
            server.should_exit = True
            thread.join(STOP_LIMIT_SECONDS)


def serve_pages(paths: Sequence[Path], place: Place, say: Callable[[str], None]) -> None:
    """Serve the pages until Ctrl-C or SIGTERM.

    Raises
    ------
    InputError
        as `serving` does, and `CampaignError` when a campaign file is wrong from the beginning.
    """
    for path in paths:
        load(path, lenient=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with serving(paths, place) as address:
        say(f"Dashboard        {address}")
        say("Stop with Ctrl-C.")
        ended.wait()
