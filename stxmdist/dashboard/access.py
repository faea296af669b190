"""Who may see the pages: names under which they are asked for, where a request comes from, and a token."""

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.own_names import admits_host, admits_origin
from stxmdist.errors import InputError

COOKIE = "stxmdist"
LEAST_TOKEN_LETTERS = 12
"""A token is guessed one second at a time; twelve random letters last longer than any beamtime"""
WRONG_TOKEN_SECONDS = 1.0
"""How long a wrong token is answered with nothing"""
LARGEST_FORM_BYTES = 4096
OPEN_TO_ALL = ("/liveness", "/static/")
"""What is asked for before anybody has said who they are"""

SECURITY_HEADERS: Mapping[str, str] = {
    # BokehJS writes styles into the page; scripts come from this server alone.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Who may see the pages."""

    token: str | None = None
    """What everybody must know; None where only this machine can ask"""
    names: frozenset[str] = frozenset()
    """Names under which a reverse proxy is asked for these pages, beside those of this machine"""

    def admits_host(self, host: str) -> bool:
        """Whether the pages are asked for under a name of theirs; ``host`` is the header of that name."""
        return admits_host(host, self.names)

    def admits_origin(self, origin: str | None, host: str) -> bool:
        """Whether a form was sent from these pages; programs that are no browsers name no origin."""
        return admits_origin(origin, host, self.names)

    def knows(self, offered: str | None) -> bool:
        """Whether what is offered is the token; takes the same time for every wrong one."""
        return self.token is None or _equal(offered, self.token)

    def admits_cookie(self, offered: str | None) -> bool:
        """Whether a browser has given the token before."""
        return self.token is None or _equal(offered, self.cookie)

    @property
    def cookie(self) -> str:
        """What a browser keeps: it proves the token, and does not hold it."""
        return hmac.new((self.token or "").encode(), b"stxmdist dashboard", hashlib.sha256).hexdigest()


def _equal(offered: str | None, wanted: str) -> bool:
    return hmac.compare_digest((offered or "").encode(), wanted.encode())


def require_loopback(address: str, access: Access) -> None:
    """Refuse to listen where others can ask, without a token.

    Raises
    ------
    InputError
        for an address beyond this machine without a token, or with one that is easily guessed.
    """
    if access.token is not None and len(access.token) < LEAST_TOKEN_LETTERS:
        raise InputError(
            where="dashboard",
            problem="the token is easily guessed",
            got=f"{len(access.token)} letters",
            wanted=f"at least {LEAST_TOKEN_LETTERS} letters",
            mend="Write a longer one into the file, for example that of `openssl rand -hex 16`",
        )
    if access.token is None and not _is_loopback(address):
        raise InputError(
            where="dashboard",
            problem="everybody who reaches this machine could see the campaign and change its runs",
            got=f"address {address} without a token",
            wanted="an address of this machine alone, such as 127.0.0.1, or a token",
            mend="Leave out --host, or name a file that holds a token: --token-file FILE",
        )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Gate:
    """Lets requests through that may see the pages, asks the others for the token, marks every answer as private."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, receive)
        await (refusal or self._app)(scope, receive, _marking(send))

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """What answers instead of the pages; None for a request that may see them."""
        headers, access = Headers(scope=scope), self._access
        host = headers.get("host", "")
        if not access.admits_host(host):
            return _said(400, f"These pages are not known under the name {host!r}. Name it with --name to allow it.")
        if scope["method"] not in ("GET", "HEAD") and not access.admits_origin(headers.get("origin"), host):
            return _said(403, "This form was sent from another page.")
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if path.startswith(OPEN_TO_ALL):
            return None
        request = Request(scope, receive)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if access.admits_cookie(request.cookies.get(COOKIE)) or (bearer and access.knows(bearer)):
            return RedirectResponse("./", 303) if path == "/login" else None
        if path == "/login" and scope["method"] == "POST":
            return await self._enter(request)
        if path == "/login":
            return Response(LOGIN_PAGE.format(said=""), 401, media_type="text/html")
        if "text/html" in headers.get("accept", "") and scope["method"] == "GET":
            # Relative, so that it stays in the folder that a reverse proxy shows.
            return RedirectResponse("../" * (path.count("/") - 1) + "login", 303)
        return _said(401, "The token of these pages is wanted.")

    async def _enter(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_FORM_BYTES:
                return _said(413, "This is no token.")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not self._access.knows(given):
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            said = '<p role="alert">This is not the token.</p>'
            return Response(LOGIN_PAGE.format(said=said), 401, media_type="text/html")
        entered = RedirectResponse("./", 303)
        entered.set_cookie(
            COOKIE,
            self._access.cookie,
            path=str(request.scope.get("root_path", "")) or "/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return entered


def _said(status: int, words: str) -> Response:
    return PlainTextResponse(words + "\n", status)


def _marking(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return marked


LOGIN_PAGE = """<!doctype html>
<html lang="en" data-theme="auto"><head><meta charset="utf-8"><title>stxmdist</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="static/dashboard.css"></head>
<body><main class="narrow"><h1>stxmdist</h1>{said}
<form method="post" action="login"><label for="token">Token of these pages</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Enter</button></form></main></body></html>"""
