"""A Tiled server for tests, real or a replica."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from stxmdist.tiled.client import TiledClient
from tests.tiled.beamline import KEY, Replica, Run, begin, client_of, real_server, start_document

SHAPE = (4, 6, 5)
ENERGY_EV = (710.0, 705.0, 708.0, 700.0)
Y_UM, X_UM = np.arange(6) * 0.05, np.arange(5) * 0.04
TILED = os.environ.get("STXMDIST_TILED")
"""Python of an environment with ``tiled[server]==0.2.20`` and ``pydantic-settings<2.12``"""


class Place:
    """A server, real or not."""

    def __init__(self, address: str, transport: httpx.BaseTransport | None) -> None:
        self.address = address
        self.transport = transport
        self.http = client_of(address, transport)

    def client(self, key: Any = lambda: KEY) -> TiledClient:
        return TiledClient(self.address, self.address, key=key, transport=self.transport)

    def run(self, **said: Any) -> Run:
        counts = np.random.default_rng(1).poisson(300.0, SHAPE) + 1.0
        start = start_document(counts, ENERGY_EV, Y_UM, X_UM, uid=str(uuid.uuid4()))
        start["stxm"] |= said
        return begin(self.http, start, counts)


def places(kind: str, folder: Path) -> Iterator[Place]:
    """The replica, or a real server in a folder; skips without one."""
    if kind == "replica":
        yield Place("http://replica.invalid", Replica().transport)
    elif TILED is None:
        pytest.skip("STXMDIST_TILED names no Python with tiled[server]==0.2.20")
    else:
        with real_server(TILED, folder) as address:
            yield Place(address, None)
