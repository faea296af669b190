"""Scans that are still being measured: what was found of each at the last look, kept beside the store's outputs.

A service looks, again and again, and writes this record; whoever plans reads it while the service lives. Times of files
are compared with one another only, never with this machine's clock: that of a file server may be an hour ahead.
"""

import hashlib
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from storage.atomic import plain_json, read_json_object, replace_json
from storage.digests import digest_of
from storage.errors import StoreError
from storage.store import LIVE, Store
from stxmdist.errors import InputError
from stxmdist.readers.growing import FrameSeen, axes_of, look_at, so_far
from stxmdist.readers.recording import Recording, StxmRecording
from stxmdist.records import from_json

ALIVE = f"{LIVE}/.alive"
"""Lock that a service holds as long as it lives: without one, nobody is following any scan"""
RECORD = f"{LIVE}/growth.json"

STILL_S = 3.0
"""Nothing of a file may change for so long before it counts as written, and a row that ends in zeros as measured"""

LEAST_ENERGIES = 2
"""Fewer give no state of charge"""

State = Literal["arrives", "grows", "finished", "ended"]
"""Does not hold enough complete energies yet; holds some; holds all; holds all that it ever will"""


@dataclass(frozen=True)
class FrameKept:
    """What is remembered of the frame of one energy."""

    sha256: str
    since_s: float
    """When it was first found so"""
    complete: bool


@dataclass(frozen=True)
class Growth:
    """A scan that is being measured, at the last look."""

    state: State
    planned: int = 0
    """Energies that it is to have; 0 where that is not known"""
    frames: Mapping[str, FrameKept] = field(default_factory=dict)
    """Key of an energy to what is there of it"""
    axes: str = ""
    """Digest of what another scan in its place would have otherwise"""
    written: str = ""
    """Names, sizes and times of its files"""
    bytes: int = 0
    changed_s: float = 0.0
    """When a look last found it changed, by this machine's clock"""
    why: str = ""
    """What keeps it from being read"""

    @property
    def complete(self) -> tuple[str, ...]:
        """Keys of the energies that are complete."""
        return tuple(key for key, frame in self.frames.items() if frame.complete)

    @property
    def looks_whole(self) -> bool:
        """Whether nothing tells that more of it is to come."""
        return not self.why and len(self.complete) >= self.planned

    @property
    def digest(self) -> str:
        """Identity of what is complete."""
        return digest_of_frames(self.axes, {key: self.frames[key].sha256 for key in self.complete})

    @property
    def sentence(self) -> str:
        """The state in words."""
        if self.state == "arrives":
            return self.why or (so_far(len(self.complete), self.planned) if self.planned else "it is being written")
        words = so_far(len(self.complete), self.planned)
        return {
            "grows": words,
            "finished": f"all {self.planned} energies are there",
            "ended": f"ended at {words.removesuffix(' so far')}",
        }[self.state]


def digest_of_frames(axes: str, sha256: Mapping[str, str]) -> str:
    """Identity of a scan as far as it is complete: its field and the numbers of each complete energy."""
    return digest_of({"axes": axes, "energies": dict(sha256)})


@dataclass(frozen=True)
class Look:
    """What one look at a scan's files found."""

    written: str
    bytes: int
    planned: int = 0
    axes: str = ""
    frames: tuple[FrameSeen, ...] = ()
    why: str = ""
    """Why nothing can be said of energies"""
    over: bool = False
    """Whether the source itself says that the scan has ended"""


def after_look(before: Growth | None, look: Look, now_s: float, *, finish_after_s: float) -> Growth:
    """What is known of a scan after one more look at it.

    Another scan in the file's place, and a file that became smaller, begin anew: nothing of before is kept.
    """
    anew = before is None or (look.axes != before.axes and bool(look.axes)) or look.bytes < before.bytes
    known: Mapping[str, FrameKept] = {} if before is None or anew else before.frames
    frames = {key: frame for key, frame in known.items() if frame.complete}
    for seen in look.frames:
        if not seen.sha256:
            continue
        old = known.get(seen.key)
        since_s = old.since_s if old is not None and old.sha256 == seen.sha256 else now_s
        complete = seen.whole and (seen.certain or now_s - since_s >= STILL_S)
        frames[seen.key] = FrameKept(seen.sha256, since_s, complete)
    changed = anew or before is None or look.written != before.written
    changed_s = now_s if changed or before is None else min(before.changed_s, now_s)
    axes = look.axes or ("" if before is None or anew else before.axes)
    planned = look.planned or (0 if before is None or anew else before.planned)
    found = Growth("arrives", planned, frames, axes, look.written, look.bytes, changed_s, look.why)
    still_s = now_s - changed_s
    if planned and len(found.complete) >= planned and still_s >= STILL_S and not look.why:
        return replace(found, state="finished")
    if not planned and not look.why and still_s >= STILL_S:
        # Nothing tells how much is to come: what does not change any more is all.
        return replace(found, state="finished")
    if look.over or still_s >= finish_after_s:
        return replace(found, state="ended")
    return replace(found, state="grows" if len(found.complete) >= LEAST_ENERGIES else "arrives")


def looked(
    written: str, n_bytes: int, read: Callable[[], Recording], before: Growth | None, *, over: bool = False
) -> Look:
    """Look at a scan whose files are so written; energies that were complete before are not read again, unless it
    shrank or is another scan.
    """
    if before is not None and before.written == written and before.state != "arrives" and not _doubtful(before):
        return Look(written, n_bytes, before.planned, before.axes, (), before.why, over)
    try:
        recording = read()
        if not isinstance(recording, StxmRecording):
            return Look(written, n_bytes, over=over)
        axes = axes_of(recording)
        same = before is not None and before.axes == axes and n_bytes >= before.bytes
        trusted = frozenset(before.complete if same and before is not None else ())
        return Look(written, n_bytes, len(recording.energy_ev), axes, look_at(recording, trusted=trusted), over=over)
    except (InputError, OSError) as error:
        return Look(written, n_bytes, why=f"it cannot be read yet: {error}", over=over)


def _doubtful(growth: Growth) -> bool:
    return any(not frame.complete for frame in growth.frames.values())


class Folders:
    """The files of folders with their sizes and times, each folder read once in the life of this object: one look."""

    def __init__(self) -> None:
        self._files: dict[Path, list[tuple[str, int, int]]] = {}

    def written(self, files: Sequence[Path]) -> tuple[str, int]:
        """Digest of the names, sizes and times of a scan's files and of those beside them whose names go on from
        theirs, and the bytes of all of them.
        """
        found = [file for path in files for file in self._beside(path)]
        return hashlib.sha256(repr(found).encode()).hexdigest(), sum(size for _, size, _ in found)

    def _beside(self, path: Path) -> Iterator[tuple[str, int, int]]:
        files = self._files.setdefault(path.parent, []) or self._read(path.parent)
        for file in islice(files, bisect_left(files, (path.stem, 0, 0)), None):
            if not file[0].startswith(path.stem):
                return
            yield file

    def _read(self, folder: Path) -> list[tuple[str, int, int]]:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    stat = entry.stat()
                    self._files[folder].append((entry.name, stat.st_size, stat.st_mtime_ns))
        self._files[folder].sort()
        return self._files[folder]


@dataclass(frozen=True)
class GrowthRecord:
    """All that a service knows."""

    scans: Mapping[str, Growth] = field(default_factory=dict)
    """Scans that it follows; the runs of others leave them alone"""
    ended: Mapping[str, str] = field(default_factory=dict)
    """Scans that were finished before they had all their energies, and how, in words"""


NOTHING_GROWS = GrowthRecord()


def record_of(store: Store) -> GrowthRecord:
    """The record of a store as its service wrote it last; an empty one where it cannot be read."""
    try:
        return from_json(GrowthRecord, read_json_object(store.root / RECORD))
    except (StoreError, OSError, TypeError, ValueError):
        return NOTHING_GROWS


def followed_now(store: Store) -> GrowthRecord:
    """The record while a service lives; of a service that has died, only what it said of scans that ended."""
    record = record_of(store)
    return record if store.held(ALIVE) else GrowthRecord(ended=record.ended)


def write_record(store: Store, record: GrowthRecord) -> None:
    """Replace the record."""
    replace_json(store.root / RECORD, plain_json(record))
