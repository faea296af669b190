"""Writing back beside the looks: nobody waits for a slow server, and only the newest results of a scan are written."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

from storage.store import Store
from stxmdist.campaign.manifest import Scan
from stxmdist.planning.written_back import WritesBeside

SECONDS = 30.0


def test_results_that_waited_are_written_once_as_they_are_by_then(tmp_path: Path) -> None:
    answers, begun, written = Event(), Event(), []

    def slowly(store: Store, scan: Scan, server: str) -> None:
        begun.set()
        assert answers.wait(SECONDS)
        written.append((scan.scan_id, server))

    one, other = (cast(Scan, cast(Any, SimpleNamespace(scan_id=name))) for name in ("one", "other"))
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
