"""What a monitoring program reads: how far campaigns are, from what is published and what a run says of itself.

Nothing is computed for it. Between two publications a reading costs one look at the times of the beamline files.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from storage.store import Store
from stxmdist import __version__
from stxmdist.campaign.manifest import Campaign
from stxmdist.commands.going_run import seen
from stxmdist.dashboard.exposition import Gauge, Sample, text_of
from stxmdist.dashboard.snapshot import Campaigns, Snapshot
from stxmdist.errors import Explained
from stxmdist.planning.growth import ALIVE
from stxmdist.runner.last_good import last_good
from stxmdist.runner.run_state import run_state

BUILD = Gauge("stxmdist_build_info", "The version that serves these pages; always 1.")
READABLE = Gauge("stxmdist_campaign_readable", "1 where the campaign file and the store can be read, else 0.")
SCANS = Gauge("stxmdist_scans", "Rows of the sample sheet that are processed.")
UNITS = Gauge("stxmdist_published_units", "Units behind what is published, by stage and by how they ended.")
BYTES = Gauge("stxmdist_published_bytes", "Arrays that are published, before compression, by stage.")
FREE = Gauge("stxmdist_store_free_bytes", "Room on the disk of the store; none for a bucket.")
NEWEST = Gauge("stxmdist_newest_scan_timestamp_seconds", "When the youngest beamline file was written.")
PUBLISHED = Gauge("stxmdist_last_publication_timestamp_seconds", "When a stage was published last.")
GOOD = Gauge("stxmdist_last_good_flow_timestamp_seconds", "When a flow ended last with nothing left undone.")
RUNS = Gauge("stxmdist_runs", "Runs that go on: 0 or 1.")
WATCHING = Gauge("stxmdist_watching", "1 while a service follows scans as they are measured, else 0.")
RUN_UNITS = Gauge("stxmdist_run_units", "Units of the run that goes on, by stage and state; done before is skipped.")

GAUGES = (BUILD, READABLE, SCANS, UNITS, BYTES, FREE, NEWEST, PUBLISHED, GOOD, RUNS, WATCHING, RUN_UNITS)
FOR_SECONDS = 5.0
"""Times of files are asked for no more often; on a shared file system ten thousand of them take a second"""


class Metrics:
    """The gauges of the campaigns that are shown."""

    def __init__(self, campaigns: Sequence[Campaigns]) -> None:
        self._campaigns = campaigns
        self._newest: dict[Path, tuple[float, float]] = {}

    def text(self) -> str:
        """All gauges in Prometheus' format."""
        samples = [Sample(BUILD, {"version": __version__}, 1.0)]
        for campaigns in self._campaigns:
            samples += self._of(campaigns)
        return text_of(GAUGES, samples)

    def _of(self, campaigns: Campaigns) -> Iterator[Sample]:
        # Of a file with a mistake the folder is all that is known; it also tells campaigns of one name apart.
        folder = {"folder": campaigns.path.resolve().parent.name}
        try:
            now = campaigns.snapshot()
            found = [*_published(now, folder), *_going(now.campaign, folder)]
        except (Explained, OSError):
            yield Sample(READABLE, folder, 0.0)
            return
        yield Sample(READABLE, folder, 1.0)
        yield from found
        if newest := self._newest_scan(now.campaign):
            yield Sample(NEWEST, folder | {"campaign": now.campaign.name}, newest)

    def _newest_scan(self, campaign: Campaign) -> float:
        """Seconds since 1970; 0 where no file is there."""
        asked, newest = self._newest.get(campaign.path, (-float("inf"), 0.0))
        if time.monotonic() - asked > FOR_SECONDS:
            newest = max(_written(campaign), default=0.0)
            self._newest[campaign.path] = time.monotonic(), newest
        return newest


def _written(campaign: Campaign) -> Iterator[float]:
    for scan in campaign.scans:
        with suppress(OSError):
            yield scan.file.stat().st_mtime


def _published(now: Snapshot, folder: dict[str, str]) -> tuple[Sample, ...]:
    return now.once("metrics", lambda: tuple(_of_publications(now, folder | {"campaign": now.campaign.name})))


def _of_publications(now: Snapshot, labels: dict[str, str]) -> Iterator[Sample]:
    yield Sample(SCANS, labels, float(len(now.scans)))
    for stage, publication in now.published.publications.items():
        of_stage, scans = labels | {"stage": stage}, publication.scans.values()
        yield Sample(UNITS, of_stage | {"state": "done"}, float(sum(scan.units_done for scan in scans)))
        yield Sample(UNITS, of_stage | {"state": "failed"}, float(sum(scan.units_failed for scan in scans)))
        yield Sample(BYTES, of_stage, float(sum(scan.bytes for scan in scans)))
        yield Sample(PUBLISHED, of_stage, datetime.fromisoformat(publication.time).timestamp())


def _going(campaign: Campaign, folder: dict[str, str]) -> Iterator[Sample]:
    labels, store = folder | {"campaign": campaign.name}, Store(campaign.store)
    with suppress(OSError):
        if isinstance(store.root, Path):
            room = os.statvfs(store.root if store.root.exists() else store.root.parent)
            yield Sample(FREE, labels, float(room.f_bavail * room.f_frsize))
    for flow, moment in last_good(store.local).items():
        yield Sample(GOOD, labels | {"flow": flow}, moment.timestamp())
    run = seen(campaign)
    going = run is not None and run.going
    yield Sample(RUNS, labels, float(going))
    yield Sample(WATCHING, labels, float(campaign.store.exists() and store.held(ALIVE)))
    state = run_state(store.local)
    if going and state is not None:
        for stage, far in state.stages.items():
            of_stage = labels | {"stage": stage}
            yield Sample(RUN_UNITS, of_stage | {"state": "done"}, float(far.done))
            yield Sample(RUN_UNITS, of_stage | {"state": "failed"}, float(far.failed))
            yield Sample(RUN_UNITS, of_stage | {"state": "skipped"}, float(far.skipped))
            yield Sample(RUN_UNITS, of_stage | {"state": "waiting"}, float(far.total - far.through))
