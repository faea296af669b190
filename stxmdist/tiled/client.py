"""The few requests to a Tiled server that following a run takes (REST API v1, tried with tiled 0.2.20)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from stxmdist.arrays import Array
from stxmdist.errors import InputError
from stxmdist.tiled.address import API, KEY_VARIABLE, key_from_environment

SECONDS = 10.0
"""A server that does not answer for so long is asked again at the next look"""
MOST_BYTES = 16_000_000
"""Of one answer: servers refuse to send large arrays whole"""
BYTES = "application/octet-stream"
UNAUTHORISED = (401, 403)
NOT_THERE = 404
PROGRAM = "program"
"""What a node's metadata say of who made it"""


@dataclass(frozen=True)
class ArrayNode:
    """An array of a server, as it is now."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class TiledClient:
    """Asks one server; a key that has expired is read anew from the environment, once for each request.

    Parameters
    ----------
    server
        which is asked: a cell of a sample sheet may name any
    own
        the server of the campaign file: the key goes there and nowhere else
    """

    def __init__(
        self,
        server: str,
        own: str | None,
        *,
        key: Callable[[], str] = key_from_environment,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._server = server
        self._trusted = own is not None and same_server(server, own)
        self._key = key if self._trusted else _no_key
        # Not followed: a redirection could lead the key elsewhere.
        self._http = httpx.Client(
            base_url=server + API,
            timeout=SECONDS,
            transport=transport,
            headers=_authorised(self._key()),
            follow_redirects=False,
        )

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def metadata(self, path: str) -> dict[str, Any]:
        """What a server says of a node: ``metadata``, ``structure_family``, ``structure``.

        Raises
        ------
        InputError
            where the server cannot be reached, refuses, or has no such node.
        """
        return self._attributes(path, self._ask("GET", f"/metadata/{path}"))

    def array(self, path: str) -> ArrayNode:
        """Shape and type of an array.

        Raises
        ------
        InputError
            as `metadata`, and where the node is no array of numbers.
        """
        structure = self.metadata(path).get("structure") or {}
        try:
            kind = structure["data_type"]
            order = {"little": "<", "big": ">"}.get(kind["endianness"], "|")
            dtype = np.dtype(f"{order}{kind['kind']}{kind['itemsize']}")
            shape = tuple(int(n) for n in structure["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(path, "the node is no array of numbers", str(structure)[:80]) from error
        if dtype.kind not in "iuf":
            raise self._wrong(path, "the node is no array of numbers", dtype.name)
        return ArrayNode(shape, dtype)

    def rows(self, path: str, node: ArrayNode, part: slice) -> Array:
        """The rows (ROW, X) of a part of an array, as far as the node says that there are.

        Raises
        ------
        InputError
            as `metadata`, and for an answer of another size.
        """
        width = int(np.prod(node.shape[1:], dtype=np.int64))
        step = max(1, MOST_BYTES // max(1, width * node.dtype.itemsize))
        pieces = [np.empty((0, width), node.dtype)]
        start, stop, _ = part.indices(node.shape[0])
        for first in range(start, stop, step):
            last = min(first + step, stop)
            answer = self._ask(
                "GET", f"/array/full/{path}", params={"slice": f"{first}:{last}"}, headers={"accept": BYTES}
            )
            if len(answer.content) != (last - first) * width * node.dtype.itemsize:
                raise self._wrong(path, "the answer has another size", f"{len(answer.content)} bytes")
            pieces.append(np.frombuffer(answer.content, node.dtype).reshape(last - first, width))
        return np.concatenate(pieces)

    def said(self, path: str) -> dict[str, Any] | None:
        """What a node says of itself; None where there is no such node.

        Raises
        ------
        InputError
            as `metadata`.
        """
        answer = self._ask("GET", f"/metadata/{path}", absent=True)
        return None if answer.status_code == NOT_THERE else self._attributes(path, answer)["metadata"]

    def made_or_said(
        self,
        parent: str,
        name: str,
        family: str,
        metadata: Mapping[str, object],
        structure: Mapping[str, object] | None = None,
    ) -> None:
        """Make a node; where there is one of the same structure, change what it says of itself, else replace it.

        Raises
        ------
        InputError
            as `metadata`, and where another program has made the node: nothing of others is ever replaced.
        """
        path = f"{parent}/{name}"
        answer = self._ask("GET", f"/metadata/{path}", absent=True)
        if answer.status_code != NOT_THERE:
            before = self._attributes(path, answer)
            if before["metadata"].get(PROGRAM) != metadata.get(PROGRAM) or before["structure_family"] != family:
                raise InputError(
                    where=f"{self._server}{API}/metadata/{path}",
                    problem="there is something else of this name, which is not replaced",
                    got=f"{before['structure_family']} of {before['metadata'].get(PROGRAM) or 'another program'}",
                    wanted=f"no node, or {family} of {metadata.get(PROGRAM)}",
                    mend="Give the other one another name, or leave out live.tiled.results",
                )
            if structure is None or _alike(before["structure"], structure):
                self._ask("PUT", f"/metadata/{path}", json={"metadata": dict(metadata), "specs": None})
                return
            self._ask("DELETE", f"/metadata/{path}", params={"external_only": "false"})
        source: dict[str, object] = {"structure_family": family, "structure": structure, "parameters": {}, "assets": []}
        body = {
            "id": name,
            "structure_family": family,
            "metadata": dict(metadata),
            "data_sources": [] if structure is None else [source | {"mimetype": None, "management": "writable"}],
            "specs": [],
        }
        self._ask("POST", f"/metadata/{parent}", json=body)

    def put(self, path: str, content: bytes, media_type: str) -> None:
        """Write the content of a node.

        Raises
        ------
        InputError
            as `metadata`.
        """
        self._ask("PUT", path, content=content, headers={"content-type": media_type})

    def _ask(self, method: str, path: str, *, absent: bool = False, **request: Any) -> httpx.Response:
        for again in (False, True):
            try:
                answer = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                raise self._wrong(path, "the Tiled server does not answer", type(error).__name__) from error
            if answer.status_code not in UNAUTHORISED or again:
                break
            # Keys live for about a week: whoever runs the service may have put a new one into its place.
            self._http.headers.update(_authorised(self._key()))
        if answer.status_code in UNAUTHORISED and not self._trusted:
            raise InputError(
                where=f"{self._server}{API}{path}",
                problem="the Tiled server wants a key, and is not the one of the campaign file",
                got=f"{answer.status_code}; a key is sent to no other server",
                wanted="a server that lets everybody read, or the campaign file's own",
                mend="If the server is to be trusted with the key, name it in the campaign file: "
                "live: {tiled: {server: ...}}",
            )
        if answer.status_code in UNAUTHORISED:
            raise InputError(
                where=f"{self._server}{API}{path}",
                problem="the Tiled server refuses the key",
                got=f"{answer.status_code}" + ("" if self._key() else f", and no {KEY_VARIABLE} is set"),
                wanted="a key that may read the run",
                mend=f"Set {KEY_VARIABLE} to a key that has not expired, and start the service again",
            )
        if answer.is_error and not (absent and answer.status_code == NOT_THERE):
            raise self._wrong(path, "the Tiled server has no such node", f"{answer.status_code} {_detail(answer)}")
        return answer

    def _attributes(self, path: str, answer: httpx.Response) -> dict[str, Any]:
        try:
            return dict(answer.json()["data"]["attributes"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._wrong(path, "the answer is none of Tiled", answer.text[:80]) from error

    def _wrong(self, path: str, problem: str, got: str) -> InputError:
        return InputError(
            where=f"{self._server}{API}/{path.lstrip('/')}",
            problem=problem,
            got=got,
            wanted="an answer of Tiled's REST API",
            mend="Check the server's address, that it runs, and the run's path",
        )


def same_server(one: str, other: str) -> bool:
    """Whether two addresses have the same scheme, host and port, as the library that sends requests reads them."""
    return _place(one) == _place(other)


def _place(address: str) -> tuple[str, str, int | None]:
    url = httpx.URL(address)
    return url.scheme, url.host, url.port


def _no_key() -> str:
    return ""


def _alike(found: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Whether content of a structure may take the place of content of another."""
    return all(found.get(name) == wanted.get(name) for name in ("data_type", "shape", "arrow_schema"))


def _authorised(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Apikey {key}"} if key else {}


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:80]
    except (json.JSONDecodeError, KeyError, TypeError):
        return answer.text[:80]
