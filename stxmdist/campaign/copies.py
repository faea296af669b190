"""Scans that are the same measurement twice: byte by byte, or saved twice by two programs."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from storage.digests import sha256_of_file
from stxmdist.readers.recording import PtychographyRecording, Recording

ItemT = TypeVar("ItemT")

SAMPLE_BYTES = 65_536
"""Files of one size are first compared by so many bytes of their beginning, middle and end"""


def identical(files: Mapping[str, tuple[Path, ...]]) -> dict[str, str]:
    """Scan to the first scan whose files hold the same bytes, for every scan that is a copy.

    Only files of one size are opened, and read whole only where samples of them agree. Scans of the same file, such as
    two regions of it, are no copies.
    """
    copies: dict[str, str] = {}
    for alike in _alike(files, lambda name: tuple(path.stat().st_size for path in files[name])):
        for sampled in _alike(alike, lambda name: tuple(_sample(path) for path in files[name])):
            for same in _alike(sampled, lambda name: tuple(sha256_of_file(path) for path in files[name])):
                first, *others = same
                copies |= {name: first for name in others if not set(files[name]) & set(files[first])}
    return copies


def near(recordings: Mapping[str, Recording]) -> dict[str, str]:
    """Scan to the first scan that began at the same time over the same points, for every scan that is like another.

    Regions of one file began at the same time, too, and are not alike for that.
    """
    known = [name for name, recording in recordings.items() if recording.start_time]
    pairs: dict[str, str] = {}
    for alike in _alike(known, lambda name: _acquisition(recordings[name])):
        first, *others = alike
        pairs |= {name: first for name in others if recordings[name].source != recordings[first].source}
    return pairs


def _acquisition(recording: Recording) -> Hashable:
    shape: tuple[int, ...]
    if isinstance(recording, PtychographyRecording):
        shape = recording.positions_um.shape
    else:
        shape = (len(recording.y_um), len(recording.x_um))
    return recording.start_time, shape, tuple(recording.energy_ev.round(3))


def _alike(names: Iterable[ItemT], trait: Callable[[ItemT], Hashable]) -> Iterator[list[ItemT]]:
    """The groups of two and more that share a trait, each in the order given."""
    groups: dict[Hashable, list[ItemT]] = defaultdict(list)
    for name in names:
        groups[trait(name)].append(name)
    return (group for group in groups.values() if len(group) > 1)


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        parts = []
        for start in (0, size // 2, max(0, size - SAMPLE_BYTES)):
            file.seek(start)
            parts.append(file.read(SAMPLE_BYTES))
    return b"".join(parts)
