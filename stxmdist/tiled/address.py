"""Where a run lies: what the cell ``file`` of a sample sheet says of it, and the credentials that only the environment
holds.
"""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

API = "/api/v1"
KEY_VARIABLE = "TILED_API_KEY"
"""As Tiled's own client reads it"""

SHORT = "tiled:"
"""What a cell begins with that names a run in the catalogue of the campaign file's own server"""
_NAME = re.compile(r"[^\s/?#][^\s?#]*")


@dataclass(frozen=True)
class RunAddress:
    """A run of a server."""

    server: str
    """Such as ``http://127.0.0.1:8000``; behind a proxy with its prefix"""
    path: str
    """Of the run in the server's tree, without a leading slash"""

    def __str__(self) -> str:
        return f"{self.server}{API}/metadata/{quote(self.path)}"

    @property
    def uid(self) -> str:
        """Its name in its catalogue."""
        return self.path.rpartition("/")[2]


def is_address(cell: str) -> bool:
    """Whether a cell names a run of Tiled, and no file."""
    return cell.startswith((SHORT, "http://", "https://"))


def address_of(cell: str, server: str | None = None, catalogue: str = "") -> RunAddress:
    """The run that a cell names: the address that Tiled gives it, or ``tiled:UID`` in a server's catalogue.

    Raises
    ------
    ValueError
        with what may be written, for a cell that names none, or that holds a key: keys belong into the environment.
    """
    if cell.startswith(SHORT):
        name = cell.removeprefix(SHORT).strip("/")
        if server is None:
            raise ValueError("an address with its server, or live: {tiled: {server: ...}} in the campaign file")
        if not _NAME.fullmatch(name):
            raise ValueError("tiled:UID")
        return RunAddress(server.rstrip("/"), "/".join(part for part in (catalogue.strip("/"), name) if part))
    parts = urlsplit(cell)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"an address without a key or query: the key is read from {KEY_VARIABLE}")
    before, mark, path = parts.path.partition(f"{API}/metadata/")
    if not mark or not path.strip("/") or not parts.hostname:
        raise ValueError(f"the address of a run, such as http://127.0.0.1:8000{API}/metadata/CATALOGUE/UID")
    return RunAddress(f"{parts.scheme}://{parts.netloc}{before}", unquote(path.strip("/")))


def key_from_environment() -> str:
    """The key of the server, empty where none is set; asked for anew whenever a server refuses the last one."""
    return os.environ.get(KEY_VARIABLE, "")
