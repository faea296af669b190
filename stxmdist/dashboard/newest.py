"""When scans were measured, so that pages can show the newest first."""

from datetime import UTC, datetime
from functools import lru_cache

from storage.output import Output
from stxmdist.campaign.scan import Scan
from stxmdist.campaign.times import moment_of
from stxmdist.dashboard.snapshot import Snapshot

UNKNOWN = datetime.min
MOST_REMEMBERED = 20_000


def newest_first(now: Snapshot) -> list[tuple[Scan, datetime]]:
    """All rows of the sheet that are understood, those that are left out among them, with their times.

    As the file says when its measurement began; before it was read, when it was written. Of scans of one time, that
    which stands lower in the sheet is the newer one.
    """
    scans = [*now.campaign.scans, *now.campaign.excluded]
    timed = [(scan, measured_at(now, scan)) for scan in scans]
    return sorted(timed, key=lambda each: (each[1], each[0].line), reverse=True)


def measured_at(now: Snapshot, scan: Scan) -> datetime:
    """When a scan was measured, without a zone, because few files name one; `UNKNOWN` where nothing says it."""
    output = now.output("ingest", scan.scan_id)
    found = None if output is None else _started(output)
    if found is None:
        try:
            found = datetime.fromtimestamp(scan.file.stat().st_mtime, UTC)
        except OSError:
            return UNKNOWN
    return found.replace(tzinfo=None)


# An output never changes: what it says is read once.
@lru_cache(maxsize=MOST_REMEMBERED)
def _started(output: Output) -> datetime | None:
    said = (str(output.written_attrs(name).get("start_time", "")) for name in ("counts", "frames"))
    return next(filter(None, map(moment_of, said)), None)
