"""Wide-field scans that are still being measured: which of their energies are complete, and a scan of those alone.

An energy counts as complete when every row of it is there. A row that is being written ends in zeros or in pixels
without a number; so may one that was measured to its end, behind a thick particle or where the detector has no pixel.
Whoever looks at such a frame twice, some time apart, and finds it the same both times, may take it.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stxmdist.arrays import F32, Array, MaskClass
from stxmdist.readers.recording import StxmRecording


@dataclass(frozen=True)
class FrameSeen:
    """The frame of one energy, as it was found at one look."""

    key: str
    """Of the energy in its scan: `energy_keys`"""
    sha256: str
    """Of its pixels, empty where nothing was measured"""
    whole: bool
    """Whether every row has a pixel above zero"""
    certain: bool
    """Whether every pixel has one above zero, so that nothing can be missing"""


def energy_keys(recording: StxmRecording) -> tuple[str, ...]:
    """A name for each energy of a scan (ENERGY,) that stays when others are measured between and before."""
    met: Counter[str] = Counter()
    keys = []
    for energy_ev in recording.energy_ev:
        text = repr(float(energy_ev))
        keys.append(f"{text}#{met[text]}")
        met[text] += 1
    return tuple(keys)


def frame_seen(key: str, counts: F32, measured: bool) -> FrameSeen:
    """What is there of a frame (Y, X), NaN where nothing was measured."""
    there = np.isfinite(counts)
    if not measured or not there.any():
        return FrameSeen(key, "", whole=False, certain=False)
    return FrameSeen(
        key,
        sha256_of(counts),
        # Programs that reserve the room of a scan before it begins leave zeros there, or nothing.
        whole=bool((np.nan_to_num(counts) > 0).any(axis=1).all()),
        certain=bool(there.all() and (counts > 0).all()),
    )


def look_at(recording: StxmRecording, trusted: frozenset[str] = frozenset()) -> tuple[FrameSeen, ...]:
    """Every frame of a scan as it is now, without those whose keys are ``trusted``: these are not read again."""
    return tuple(
        frame_seen(key, recording.read(place), bool(recording.frame_class[place] == MaskClass.valid))
        for place, key in enumerate(energy_keys(recording))
        if key not in trusted
    )


def sha256_of(counts: Array) -> str:
    """The sha256 (hex) of an array's shape, type and numbers."""
    content = np.ascontiguousarray(counts)
    return hashlib.sha256(f"{content.shape} {content.dtype.str} ".encode() + content.tobytes()).hexdigest()


def axes_of(recording: StxmRecording) -> str:
    """The sha256 (hex) of what does not change while a scan grows: its field, and when it began."""
    content = hashlib.sha256(recording.start_time.encode())
    for axis_um in (recording.y_um, recording.x_um):
        content.update(sha256_of(axis_um).encode())
    return content.hexdigest()


def of_energies(recording: StxmRecording, keys: Sequence[str], planned: int) -> StxmRecording:
    """The scan as far as it is complete: the energies of these keys, of ``planned``, and a note that says so."""
    wanted = frozenset(keys)
    places = [place for place, key in enumerate(energy_keys(recording)) if key in wanted]
    about_the_rest = ("frames are missing", "measured in part")
    return replace(
        recording,
        energy_ev=recording.energy_ev[places],
        dwell_ms=recording.dwell_ms[places],
        ring_current_ma=recording.ring_current_ma[places],
        frame_class=recording.frame_class[places],
        read=partial(_read, recording, tuple(places)),
        notes=(
            f"{so_far(len(places), planned)}: the scan is still being measured",
            *(note for note in recording.notes if not any(words in note for words in about_the_rest)),
        ),
    )


def _read(recording: StxmRecording, places: tuple[int, ...], index: int) -> F32:
    return recording.read(places[index])


def so_far(energies: int, planned: int) -> str:
    """How far a scan is, in the words that stand wherever its result is shown."""
    return f"{energies} of {planned} energies so far"
