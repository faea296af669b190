"""Damaged copies of a file, and what became of reading them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording

LONGEST_S = 20.0
"""No file here takes a tenth of a second when whole; a busy machine may be slow, a hang is endless."""
FRAMES = 3


@dataclass
class Reading:
    """All numbers of a file by name."""

    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    frames: list[np.ndarray] = field(default_factory=list)


def read_scan(path: Path) -> Reading:
    """What the readers say of a beamline file, and some of its frames."""
    found = Reading()
    readers.describe(path)
    for region, recording in enumerate(readers.read(path)):
        energies = recording.energy_ev
        found.numbers[f"energy {region}"] = energies
        if isinstance(recording, StxmRecording):
            # All that were measured, or some of them; and one that was not.
            measured = np.flatnonzero(recording.frame_class == MaskClass.valid)
            chosen = measured[np.linspace(0, measured.size - 1, FRAMES).astype(int)] if measured.size else measured
            chosen = np.unique([*chosen, *np.flatnonzero(recording.frame_class != MaskClass.valid)[:1]]).astype(int)
            found.numbers[f"classes {region}"] = recording.frame_class
            for name in ("y_um", "x_um", "dwell_ms", "ring_current_ma"):
                found.numbers[f"{name} {region}"] = getattr(recording, name)
            for energy in chosen:
                counts = recording.read(int(energy))
                missing = recording.frame_class[energy] == MaskClass.missing
                assert np.isnan(counts).all() == missing, "NaN without a class"
                found.frames.append(counts)
        else:
            found.numbers[f"positions {region}"] = recording.positions_um
            found.frames += list(recording.read(0, slice(0, FRAMES)))
    return found


def mutated(content: bytes, rng: np.random.Generator, text: bool, front: int) -> bytes:
    """One damaged copy: bits flipped, bytes replaced, cut off, cut out, two words or blocks swapped.

    Half of the damage falls on the first ``front`` bytes, where formats keep what the rest means.
    """
    size = len(content)

    def place() -> int:
        return int(rng.integers(0, min(front, size) if rng.random() < 0.5 else size))

    damaged = bytearray(content)
    kind = rng.choice(["flip", "flip", "replace", "cut off", "cut out", "swap"])
    if kind == "flip":
        for _ in range(rng.integers(1, 4)):
            damaged[place()] ^= 1 << int(rng.integers(8))
    elif kind == "replace":
        for _ in range(rng.integers(1, 4)):
            damaged[place()] = int(rng.integers(32, 127) if text else rng.integers(256))
    elif kind == "cut off":
        del damaged[place() :]
    elif kind == "cut out":
        start = place()
        del damaged[start : start + int(rng.integers(1, 64))]
    elif text:
        words = content.split(b" ") if b" " in content else content.split(b"\t")
        one, other = rng.integers(0, len(words), 2)
        words[one], words[other] = words[other], words[one]
        damaged = bytearray((b" " if b" " in content else b"\t").join(words))
    else:
        length = min(int(rng.choice([1, 2, 4, 8, 16])), size // 3)
        one, other = sorted((place(), place()))
        other = min(max(other, one + length), size - length)
        one = min(one, other - length)
        damaged[one : one + length], damaged[other : other + length] = (
            content[other : other + length],
            content[one : one + length],
        )
    return bytes(damaged)


def outcomes(
    path: Path,
    damaged_file: Path,
    n: int,
    *,
    seed: int,
    text: bool,
    front: int,
    read: Callable[[Path], Reading] = read_scan,
    by_hand: Callable[[Path, Reading], None] | None = None,
) -> Counter[str]:
    """Damage ``damaged_file`` n times, read ``path`` each time, and count what came of it.

    - refused: an InputError that names the file
    - right: the numbers of the undamaged file
    - masked: those, but for some that are said to be unknown: NaN, with a class if they are frames
    - another number: the damage has hit a value, which a format without checksums cannot tell. In text every word has
      to be a number still, and ``by_hand`` compares with another program that reads the damaged file.

    Raises
    ------
    AssertionError
        for any other exception, an error that does not name the file, a hang, frames that have become zero.
    """
    whole = damaged_file.read_bytes()
    refused_whole = False
    try:
        right = read(path)
    except InputError:
        right, refused_whole = Reading(), True
    found: Counter[str] = Counter()
    rng = np.random.default_rng(seed)
    for content in _different(whole, rng, n, text, front):
        damaged_file.write_bytes(content)
        started = time.perf_counter()
        try:
            reading = read(path)
        except InputError as error:
            refusal = error
            outcome = "refused"
        else:
            outcome = "another number" if refused_whole else _compare(right, reading)
            if outcome == "another number" and by_hand is not None:
                by_hand(path, reading)
        if outcome == "refused":
            assert path.stem in refusal.where, refusal
            assert refusal.mend, refusal
        seconds = time.perf_counter() - started
        assert seconds < LONGEST_S, f"{seconds:.1f} s"
        found[outcome] += 1
    damaged_file.write_bytes(whole)
    return found


def _different(whole: bytes, rng: np.random.Generator, n: int, text: bool, front: int) -> Iterator[bytes]:
    left = n
    while left:
        content = mutated(whole, rng, text, front)
        if content != whole:
            left -= 1
            yield content


def _compare(right: Reading, found: Reading) -> str:
    pairs = [(right.numbers.get(name, np.empty(0)), values) for name, values in found.numbers.items()]
    pairs += list(zip(right.frames, found.frames, strict=False))
    lit = any(frame[np.isfinite(frame)].any() for frame in right.frames)
    for before, after in zip(right.frames, found.frames, strict=False):
        finite = after[np.isfinite(after)]
        was_lit = before.shape != after.shape or before[np.isfinite(before)].any()
        assert not (lit and was_lit and finite.size and not finite.any()), "frames have become zero"
    if len(right.frames) != len(found.frames) or any(one.shape != other.shape for one, other in pairs):
        return "another number"
    if all(np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in pairs):
        return "right"
    pairs = [pair for name, pair in zip(found.numbers, pairs, strict=False) if "classes" not in name] + pairs[
        len(found.numbers) :
    ]
    known = [(one[~np.isnan(other)], other[~np.isnan(other)]) for one, other in pairs]
    return "masked" if all(np.array_equal(one, other) for one, other in known) else "another number"


def said(name: str, found: Counter[str]) -> str:
    """The counts in a line."""
    kinds = ("refused", "right", "masked", "another number")
    return f"{name}: {sum(found.values())} damaged copies: " + ", ".join(f"{found[kind]} {kind}" for kind in kinds)
