"""Writing back beside the looks: nobody waits for a slow server, and only the newest results of a scan are written."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

from storage.store import Store
from stxmdist.campaign.manifest import Scan
from stxmdist.planning.written_back import WritesBack, WritesBeside
from stxmdist.tiled.client import TiledClient

SECONDS = 30.0
SERVER = "http://127.0.0.1:9"


def scan_named(name: str, **more: Any) -> Scan:
    return cast(Scan, cast(Any, SimpleNamespace(scan_id=name, **more)))


def test_what_nobody_expected_is_said_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []

    def broken(server: str, own: str | None) -> TiledClient:
        raise RuntimeError("no such luck")

    beside = WritesBeside(WritesBack(said.append, broken))
    beside(Store(tmp_path), scan_named("one", address=f"{SERVER}/api/v1/metadata/run"), SERVER)
    beside._thread.shutdown()
    (words,) = said
    assert words.startswith("one: not written back: ")
    assert "no such luck" in words
    assert not beside.busy("one")


def test_results_that_waited_are_written_once_as_they_are_by_then(tmp_path: Path) -> None:
    answers, begun, written = Event(), Event(), []

    def slowly(store: Store, scan: Scan, server: str) -> None:
        begun.set()
        assert answers.wait(SECONDS)
        written.append((scan.scan_id, server))

    one, other = scan_named("one"), scan_named("other")
    beside = WritesBeside(slowly)
    store = Store(tmp_path)
    beside(store, one, "first")
    assert begun.wait(SECONDS)
    # While the first is being written, of each scan only the last waits.
    for scan, server in ((one, "second"), (other, "first"), (one, "third"), (other, "second")):
        beside(store, scan, server)
    assert beside.busy("one")
    assert beside.busy("other")
    assert not beside.busy("another")
    answers.set()
    beside._thread.shutdown()
    assert sorted(written) == [("one", "first"), ("one", "third"), ("other", "second")]
    assert not beside.busy("one")
