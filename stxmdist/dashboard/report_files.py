"""The published report under the pages: its files and the campaign's tables, with a way back, and no script but ours.

A store may come from somebody else, and a script in it would act in the name of who looks. Scripts of the report are
therefore taken from this program, and files of the store that are scripts only hand over data: others are not shown.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from storage.place import Place
from stxmdist.dashboard.access import SECURITY_HEADERS
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.visit import Visit
from stxmdist.report.file_names import SCANS, file_names

KINDS: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".zip": "application/zip",
}
"""What is shown of the folders, and as what"""
OWN = ("pages.js", "pages.css")
"""Files that are taken from this program, not from the store"""
HANDED_OVER = re.compile(r"stxmdist\.(?:table|spectra)\((.*)\);\s*", re.DOTALL)
"""What scripts in the store hold: a call that gives data to the page"""


def routes(answer: Callable[[Callable[[Visit], Response]], Callable[[Request], Response]]) -> list[BaseRoute]:
    """The folders ``report/`` and ``tables/``; ``answer`` makes an endpoint of what a visit is answered with."""

    def folder(name: str) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            path = request.path_params["path"]
            return answer(lambda visit: _file(visit.now, name, path))(request)

        return endpoint

    # Without the stroke at its end, addresses relative to the page would lead out of the folder.
    return [
        Route("/report", lambda request: RedirectResponse("report/", 307)),
        Route("/report/{path:path}", folder("report")),
        Route("/tables/{path:path}", folder("tables")),
    ]


def page_of_scan(now: Snapshot, scan_id: str) -> str | None:
    """Address of a scan's page in the report, beside the other pages; None where no report has one."""
    name = _names(now).get(scan_id)
    return f"report/{SCANS}/{name}.html" if now.has_report and name is not None else None


def _names(now: Snapshot) -> dict[str, str]:
    scans = list(now.scans)
    return dict(zip(scans, file_names(scans), strict=True))


def _file(now: Snapshot, folder: str, path: str) -> Response:
    """One file.

    Raises
    ------
    NotHere
        for what is not published there, and for what is not shown.
    """
    path = path or "index.html"
    parts = PurePosixPath(path).parts
    kind = KINDS.get(PurePosixPath(path).suffix)
    if kind is None or any(part.startswith((".", "/")) or "\\" in part for part in parts):
        raise NotHere(f"The {folder} of this campaign has no file {path!r} that is shown.")
    if folder == "report" and path in OWN:
        return Response((files("stxmdist.report") / path).read_bytes(), media_type=kind)
    content = _read(now.published.store.report_path if folder == "report" else now.published.store.tables_path, path)
    if path.endswith(".js"):
        _refuse_unless_data(path, content)
    if not path.endswith(".html"):
        return Response(content, media_type=kind)
    return Response(_with_way_back(now, path, content), media_type=kind, headers={CSP: _policy()})


def _read(folder: Place, path: str) -> bytes:
    try:
        place = folder / path
        if isinstance(place, Path) and not place.resolve(strict=True).is_relative_to(Path(str(folder)).resolve()):
            raise FileNotFoundError(path)
        return place.read_bytes()
    except (OSError, ValueError) as error:
        raise NotHere(f"No file {path!r} is published there.") from error


def _refuse_unless_data(path: str, content: bytes) -> None:
    found = HANDED_OVER.fullmatch(content.decode("utf-8", "replace"))
    try:
        json.loads(found[1] if found else "")
    except ValueError as error:
        raise NotHere(f"{path!r} is a script that this program did not write: it is not shown.") from error


def _with_way_back(now: Snapshot, path: str, content: bytes) -> bytes:
    """The page with a link to the living pages under its beginning."""
    scan_id = {f"{SCANS}/{name}.html": scan for scan, name in _names(now).items()}.get(path)
    up = "../" * len(PurePosixPath(path).parts)
    address = up if scan_id is None else f"{up}scan?{urlencode({'scan': scan_id})}"
    words = "Pages of the campaign" if scan_id is None else f"{scan_id} on the pages of the campaign"
    link = f'<p class="soft"><a href="{escape(address)}">← {escape(words)}</a></p>'.encode()
    return re.sub(rb"(<body[^>]*>)", lambda body: body[1] + link, content, count=1)


CSP = "Content-Security-Policy"


@cache
def _policy() -> str:
    """That of all pages, and the one script that the report's page holds itself, by what it is."""
    page = (files("stxmdist.report") / "page.html.j2").read_text()
    own = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in own)
    return f"{SECURITY_HEADERS[CSP]}; script-src 'self' {hashes}"
