"""The service that follows scans while they are measured: looks, analyses what is complete, and says how far it is.

It computes in its own process, beside a run of all other scans, which leaves the ones that it follows alone. It is
killed at any moment without loss: what it knows is in the store, and what it had computed is found there again.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

from storage.gc import forget_superseded
from storage.store import Store
from stxmdist import readers
from stxmdist.campaign.manifest import Campaign, LiveSpec, Scan
from stxmdist.errors import Explained
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.growth import (
    ALIVE,
    Folders,
    Growth,
    GrowthRecord,
    after_look,
    looked,
    record_of,
    write_record,
)
from stxmdist.planning.headers import choices_of
from stxmdist.planning.scan_options import options_of_scans

STAGES = ("ingest", "absorbance", "align", "explore", "fit", "segment")
"""What is brought up to date with each energy; statistics and report follow with the next run of the campaign"""

OUTPUTS_KEPT = 2
"""Of each stage for a scan that grows: the one that is shown, and the one that somebody may still be reading"""

Say: TypeAlias = Callable[[str], None]


class Source(Protocol):
    """What brings scans from elsewhere into files."""

    def update(self, campaign: Campaign) -> None:
        """Begin to bring the files of a campaign up to date."""
        ...

    def over(self, scan: Scan) -> bool:
        """Whether a scan has ended and its file holds all of it, as its source says."""
        ...


class Results(Protocol):
    """What writes results elsewhere, beside whoever looks at scans: a server may take seconds for them."""

    def __call__(self, store: Store, scan: Scan, server: str) -> None:
        """Begin to write what is published of a scan to the campaign file's server."""
        ...

    def busy(self, scan_id: str) -> bool:
        """Whether something of a scan is still to be written."""
        ...


@dataclass
class LiveService:
    """Follows the scans of one campaign."""

    path: Path
    say: Say
    start_run: Callable[[], bool]
    """Begin a run of the campaign in a process of its own, unless one is under way: whether one was begun"""
    clock: Callable[[], float] = time.time
    """Seconds; only differences of it are looked at"""
    sources: Sequence[Source] = ()
    write_back: Results | None = None
    """Asked with each scan that was analysed, where the campaign asks for results on its server"""

    def __post_init__(self) -> None:
        self._limits = LiveSpec()
        self._record: GrowthRecord | None = None
        self._written: dict[str, str] = {}
        self._passed: dict[str, tuple[str, str]] = {}
        self._left: dict[tuple[str, str], tuple[str, ...]] = {}
        self._said: dict[str, str] = {}
        self._due: set[str] = set()
        self._statistics_s = -float("inf")

    def run(self, stop: Callable[[], bool], prepare: Callable[[], None]) -> None:
        """Prepare while nothing else waits, then look and analyse until told to stop.

        Raises
        ------
        StoreError
            when another service follows this campaign.
        """
        campaign, _ = campaign_and_options(self.path)
        store = Store(campaign.store).create()
        self._limits = campaign.live
        with store.lock("watch", ALIVE):
            self.say(f"follows {len(campaign.scans)} scans of {campaign.name}, every {self._limits.look_every_s:g} s")
            prepare()
            self.say("ready")
            while not stop():
                began = time.monotonic()
                with self._going_on("campaign"):
                    self.step()
                time.sleep(max(0.1, self._limits.look_every_s - (time.monotonic() - began)))

    @contextmanager
    def _going_on(self, about: str) -> Iterator[None]:
        """Say what fails in a block, and go on."""
        try:
            yield
        except Explained as error:
            # A sheet that is being saved, a disk that is full: the next look may find it well.
            self._say_once(about, error.sentence)
        except Exception:
            # A bug that one scan meets must not end a night in which others are measured.
            self._say_once(about, traceback.format_exc())

    def step(self) -> None:
        """One look at every scan, and a pass over each that has changed."""
        campaign, options = campaign_and_options(self.path)
        self._limits = campaign.live
        store = Store(campaign.store)
        record = self.look(campaign, options, store)
        waiting = {
            scan_id: growth
            for scan_id, growth in record.scans.items()
            if growth.state != "arrives" and self._passed.get(scan_id) != (growth.state, growth.digest)
        }
        # New energies first: of a scan that has only ended, the maps are there.
        for scan_id, growth in sorted(waiting.items(), key=lambda item: item[1].state != "grows"):
            with self._going_on(scan_id):
                self._analyse(campaign, store, campaign.scan(scan_id), growth)
        self._hand_back(store)
        self._begin_run(store)

    def look(self, campaign: Campaign, options: Mapping[str, object], store: Store) -> GrowthRecord:
        """Look at every scan that may have changed; the record as it is now, written where it is another."""
        record = self._record or record_of(store)
        own = options_of_scans(campaign).by_scan
        scans, ended = dict(record.scans), dict(record.ended)
        known = {scan.scan_id for scan in campaign.scans}
        for name in [name for name in scans if name not in known]:
            del scans[name]
        for source in self.sources:
            source.update(campaign)
        folders = Folders()
        for scan in campaign.scans:
            over = any(source.over(scan) for source in self.sources)
            before = scans.get(scan.scan_id)
            written, n_bytes = folders.written(scan.files)
            seen = scan.scan_id in self._written
            if before is None and not self._may_grow(scan, written):
                continue
            read = partial(readers.read_scan, scan.files, scan.file_region, choices_of(own.get(scan.scan_id, options)))
            look = looked(written, n_bytes, read, before, over=over)
            now = after_look(before, look, self.clock(), finish_after_s=self._limits.finish_after_s)
            if before is None and not seen and now.looks_whole and store.held():
                # A run may be at it: it is taken from that only when it changes.
                self._due.add("whole")
                continue
            scans[scan.scan_id] = now
            ended.pop(scan.scan_id, None)
            if now.state == "ended":
                ended[scan.scan_id] = self._ending(now, over)
            self._say_once(scan.scan_id, ended.get(scan.scan_id, now.sentence))
        found = GrowthRecord(scans, ended)
        if found != record or self._record is None:
            write_record(store, found)
        self._record = found
        return found

    def _ending(self, growth: Growth, over: bool) -> str:
        why = "its source says that it is over" if over else f"nothing came for {self._limits.finish_after_s:g} s"
        return f"{growth.sentence}: {why}"

    def _may_grow(self, scan: Scan, written: str) -> bool:
        """Whether a file has changed since the last look, or for the first look is of the last minutes."""
        before = self._written.get(scan.scan_id)
        self._written[scan.scan_id] = written
        if before is not None:
            return before != written
        return any(self._recent(path) for path in scan.files)

    def _recent(self, path: Path) -> bool:
        # Of a clock that is ahead, everything is recent: it is then looked at once more than it had to be.
        try:
            return self.clock() - path.stat().st_mtime < self._limits.finish_after_s
        except OSError:
            return True

    def _analyse(self, campaign: Campaign, store: Store, scan: Scan, growth: Growth) -> None:
        """Bring a scan up to date as it is in the record."""
        refused = scan.modality == "stxm" and self._passes(store, scan.scan_id)
        self._passed[scan.scan_id] = (growth.state, growth.digest)
        self._due.add("statistics")
        tiled = campaign.live.tiled
        if self.write_back is not None and tiled is not None and tiled.results and scan.modality == "stxm":
            self.write_back(store, scan, tiled.server)
        if refused and growth.state == "grows":
            # It has changed where it was complete: nothing that is remembered of it holds.
            anew = replace(growth, state="arrives", frames={}, axes="", written="")
            self._remember(store, {**self._followed, scan.scan_id: anew})

    def _passes(self, store: Store, scan_id: str) -> bool:
        """One pass of all stages over a scan; whether ingest refused it."""
        began = time.monotonic()
        refused = False
        with CampaignRun(RunRequest(str(self.path), STAGES, (scan_id,), "inline", live=True)) as run:
            for stage in STAGES:
                for refusal in run.stage(stage).refusals:
                    refused |= stage == "ingest" and refusal.scan_id == scan_id
                    self._say_once(f"{refusal.scan_id} {stage}", f"{stage}: {refusal.sentence}")
            shown = run.verdict()
        for verdict in shown.scans:
            words = verdict.sentence or ("images only" if verdict.images_only else verdict.counted)
            self.say(f"{verdict.scan_id}: {words} ({time.monotonic() - began:.1f} s)")
        # Only now, for nobody waits for it.
        self._forget(store, scan_id, run)
        return refused

    def _forget(self, store: Store, scan_id: str, run: CampaignRun) -> None:
        """Remove the outputs of fewer energies, which nothing shows any more."""
        if scan_id not in run.survey.scans:
            return
        for stage in STAGES:
            left = (*self._left.get((stage, scan_id), ()), run.survey.digest(stage, scan_id))
            self._left[stage, scan_id] = tuple(dict.fromkeys(left))[-OUTPUTS_KEPT:]
            forget_superseded(store, stage, scan_id, self._left[stage, scan_id])

    def _hand_back(self, store: Store) -> None:
        """Let scans that are whole be everybody's again, once their results are written where they are wanted."""
        whole = {
            scan_id: growth
            for scan_id, growth in self._followed.items()
            if growth.state in ("finished", "ended")
            and self._passed.get(scan_id) == (growth.state, growth.digest)
            and not (self.write_back is not None and self.write_back.busy(scan_id))
        }
        if not whole:
            return
        self._written |= {scan_id: growth.written for scan_id, growth in whole.items()}
        self._remember(store, {name: growth for name, growth in self._followed.items() if name not in whole})
        self._due.add("whole")

    @property
    def _followed(self) -> Mapping[str, Growth]:
        return {} if self._record is None else self._record.scans

    def _remember(self, store: Store, scans: Mapping[str, Growth]) -> None:
        assert self._record is not None
        self._record = replace(self._record, scans=scans)
        write_record(store, self._record)

    def _begin_run(self, store: Store) -> None:
        """Begin a run where scans are whole, or statistics old."""
        pause = self.clock() - self._statistics_s < self._limits.statistics_every_s
        if not self._due or (pause and "whole" not in self._due) or store.held():
            return
        if self.start_run():
            self._due.clear()
            self._statistics_s = self.clock()

    def _say_once(self, about: str, words: str) -> None:
        if self._said.get(about) != words:
            self._said[about] = words
            self.say(f"{about}: {words}")
