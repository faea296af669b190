"""The application: routes from the table of screens, pages from templates, and refusals in words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread

import bokeh
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stxmdist import __version__
from stxmdist.dashboard import report_files
from stxmdist.dashboard.access import Access, Gate
from stxmdist.dashboard.exposition import CONTENT_TYPE
from stxmdist.dashboard.images import tile_png
from stxmdist.dashboard.metrics import Metrics
from stxmdist.dashboard.refused import NotHere, Unclear
from stxmdist.dashboard.screen import SCREENS, Crumb, Page, ScreenEntry
from stxmdist.dashboard.snapshot import Campaigns
from stxmdist.dashboard.visit import THEMES, Visit
from stxmdist.dashboard.words import FILTERS
from stxmdist.errors import Explained, InputError

HERE = Path(__file__).parent
BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js"
LARGEST_FORM_BYTES = 1 << 20
A_DAY = "private, max-age=86400"


def application(
    paths: Sequence[Path], access: Access | None = None, prefix: str = "", *, warm: bool = False
) -> ASGIApp:
    """The pages of one campaign, or of several, each in a folder that bears the name of its own.

    Parameters
    ----------
    prefix
        path under which a reverse proxy shows them, such as ``/beam``; requests with and without it are answered.
    warm
        whether a thread reads what pages show first, before somebody asks for them

    Raises
    ------
    InputError
        when two campaigns lie in folders of one name.
    """
    campaigns = [Campaigns(path) for path in paths]
    if len(paths) == 1:
        routes = _routes(campaigns[0])
    else:
        names = [path.resolve().parent.name for path in paths]
        if len(set(names)) < len(names):
            raise InputError(
                where="dashboard",
                problem="two campaigns would have pages of one name",
                got=", ".join(map(str, paths)),
                wanted="campaigns in folders of different names",
                mend="Rename one of the folders",
            )
        mounted = [Mount(f"/{name}", routes=_routes(each)) for name, each in zip(names, campaigns, strict=True)]
        routes = [_choice(names), *mounted]
    if warm:
        Thread(target=_warm, args=(campaigns,), name="warm", daemon=True).start()
    common: list[BaseRoute] = [
        Route("/liveness", lambda request: PlainTextResponse("alive\n")),
        Route("/metrics", _metrics(Metrics(campaigns))),
        *_static("/static"),
    ]
    app = Starlette(routes=[*common, *routes], exception_handlers={404: _no_such_page, 405: _no_such_page})
    return Prefixed(Gate(app, Access() if access is None else access), prefix)


def _metrics(metrics: Metrics) -> Callable[[Request], Response]:
    return lambda request: Response(metrics.text(), media_type=CONTENT_TYPE)


def _warm(campaigns: Sequence[Campaigns]) -> None:
    for each in campaigns:
        for entry in SCREENS.values():
            # Whatever this meets, the page that meets it says it.
            with suppress(Exception):
                if (read := entry.load().warm) is not None:
                    read(each.snapshot())


class Prefixed:
    """Answers requests whose path begins with a prefix as those without it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._prefix:
            if scope["path"] == self._prefix:
                # Without the stroke at its end, addresses relative to the page would lead out of the folder.
                await RedirectResponse(self._prefix.rpartition("/")[2] + "/", 307)(scope, receive, send)
                return
            if scope["path"].startswith(self._prefix + "/"):
                scope = {**scope, "root_path": self._prefix}
        await self._app(scope, receive, send)


def _static(where: str) -> list[BaseRoute]:
    return [
        Mount(f"{where}/bokeh", app=Kept(StaticFiles(directory=BOKEH))),
        Mount(where, app=Kept(StaticFiles(directory=HERE / "static"))),
    ]


class Kept:
    """Lets browsers keep files whose addresses name the version of the program."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = b"v=" in scope.get("query_string", b"")

        async def marked(message: Message) -> None:
            if kept and message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Cache-Control"] = A_DAY
            await send(message)

        await self._app(scope, receive, marked)


def _choice(names: Sequence[str]) -> Route:
    def choose(request: Request) -> Response:
        rows = {name: f"{name}/" for name in names}
        return HTMLResponse(templates().get_template("campaigns.html").render(frame(None), campaigns=rows))

    return Route("/", choose)


def _routes(campaigns: Campaigns) -> list[BaseRoute]:
    routes: list[BaseRoute] = []
    for name, entry in SCREENS.items():
        screen = entry.load()
        routes.append(Route(f"/{entry.address}", _page(campaigns, name, entry, screen.page)))
        routes += [
            Route(f"/{name}.{part}", _part(campaigns, f"{name}.{part}", answer))
            for part, answer in screen.parts.items()
        ]
        routes += [
            Route(f"/{name}.{action}", _action(campaigns, act), methods=["POST"])
            for action, act in screen.actions.items()
        ]
    routes += report_files.routes(lambda answer: _answer(campaigns, answer))
    routes.append(Route("/tile", _answer(campaigns, _tile)))
    routes.append(Route("/version", lambda request: JSONResponse({"version": campaigns.version()})))
    routes += _static("/static")
    return routes


def _answer(campaigns: Campaigns, answer: Callable[[Visit], Response]) -> Callable[[Request], Response]:
    """An endpoint: what it cannot show is said in words, with the status that programs go by."""

    def endpoint(request: Request) -> Response:
        visit: Visit | None = None
        try:
            visit = Visit(campaigns.snapshot(), dict(request.query_params))
            return answer(visit)
        except Exception as error:
            status = status_of(error)
            if status is None:
                raise
            return _refusal(request, visit, status, str(error))

    return endpoint


def status_of(error: Exception) -> int | None:
    """Status of an answer that says no; None for a bug."""
    if isinstance(error, NotHere):
        return 404
    if isinstance(error, Unclear):
        return 400
    return 409 if isinstance(error, Explained) else None


def _page(
    campaigns: Campaigns, name: str, entry: ScreenEntry, page: Callable[[Visit], Page]
) -> Callable[[Request], Response]:
    def show(visit: Visit) -> Response:
        found = page(visit)
        html = templates().get_template(f"{name}.html").render(frame(visit, name, entry), page=found)
        return HTMLResponse(html)

    return _answer(campaigns, show)


def _part(campaigns: Campaigns, name: str, answer: Callable[[Visit], object]) -> Callable[[Request], Response]:
    def show(visit: Visit) -> Response:
        html = templates().get_template(f"{name}.html").render(frame(visit), part=answer(visit))
        return HTMLResponse(html)

    return _answer(campaigns, show)


def _action(campaigns: Campaigns, act: Callable[[Visit], str]) -> Callable[..., object]:
    async def endpoint(request: Request) -> Response:
        form = await _form_of(request)

        def answered(request: Request) -> Response:
            return _answer(
                campaigns, lambda visit: RedirectResponse(act(Visit(visit.now, visit.query, form)), status_code=303)
            )(request)

        return await run_in_threadpool(answered, request)

    return endpoint


async def _form_of(request: Request) -> Mapping[str, str]:
    """Names to values of a form that was sent as ``application/x-www-form-urlencoded``; of repeated ones the last."""
    from urllib.parse import parse_qsl

    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _tile(visit: Visit) -> Response:
    # Its address names the version of what is published: another image has another address.
    keep = {"Cache-Control": A_DAY} if visit.text("v") == visit.now.version else {}
    return Response(tile_png(visit), media_type="image/png", headers=keep)


async def _no_such_page(request: Request, error: Exception) -> Response:
    return _refusal(request, None, 404, "There is no page of this name.")


def _refusal(request: Request, visit: Visit | None, status: int, words: str) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"error": words}, status)
    page = Page(title="Not here" if status == 404 else "This cannot be shown", crumbs=(Crumb("not shown"),))
    html = templates().get_template("refused.html").render(frame(visit), page=page, words=words)
    return HTMLResponse(html, status)


def frame(visit: Visit | None, name: str = "", entry: ScreenEntry | None = None) -> dict[str, object]:
    """What the frame around every page knows; without a visit, that of a page that belongs to no campaign."""
    theme = THEMES[0] if visit is None else visit.theme
    return {
        "visit": visit,
        "screen": name,
        "entry": entry,
        "screens": SCREENS,
        "theme": theme,
        "themes": THEMES,
        "program": __version__,
        "bokeh": bokeh.__version__,
    }


@cache
def templates() -> Environment:
    """The templates; everything that they are given is escaped, unless it was made to be HTML."""
    environment = Environment(
        loader=PackageLoader("stxmdist.dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment
