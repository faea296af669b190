"""The detectors of an SDF scan: which letter is which, and which of them counts the photons behind the sample.

The header lists them twice, in the order of their letters: with name and unit where it defines the scan, with
``ProcessString`` ("I" behind the sample, "Io" before it) after that. Some microscopes fill in neither.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

from stxmdist.errors import InputError
from stxmdist.readers.sdf.header import Header, structures_of, text_of

COUNTS = re.compile(r"count|pmt|photo|diode|apd|scint|v/f", re.IGNORECASE)
BEAM_OR_VOLTS = re.compile(
    r"^i_?0\b|^io\b|\bi0\b|mesh|ring|monitor|analog|adc|volt|^a[io]\d*$|electron|yield", re.IGNORECASE
)
PROCESS_RANKS = {"i": 0, "io": 2}


@dataclass(frozen=True)
class Channel:
    """One detector."""

    letter: str
    name: str
    unit: str
    process: str
    """``ProcessString`` of the header"""

    @property
    def in_words(self) -> str:
        """Letter and name."""
        return f"{self.letter} ({self.name})" if self.name else self.letter

    @property
    def rank(self) -> tuple[int, int, str]:
        """The lower, the more likely it counts the photons behind the sample."""
        beam = BEAM_OR_VOLTS.search(self.name) is not None or self.unit.strip().lower() in ("v", "volt", "volts", "ma")
        by_name = 2 if beam else 0 if COUNTS.search(self.name) else 1
        return PROCESS_RANKS.get(self.process.strip().lower(), 1), by_name, self.letter


def channels_of(header: Header, letters: Collection[str]) -> tuple[Channel, ...]:
    """The channels whose files are there, by letter."""
    defined, processed = structures_of(header.definition, "Channels"), structures_of(header.content, "Channels")
    found = []
    for letter in sorted(letters):
        place = ascii_lowercase.index(letter)
        said = defined[place] if place < len(defined) else {}
        more = processed[place] if place < len(processed) else {}
        name = text_of(said, "Name").strip() or text_of(more, "Name").strip()
        unit = text_of(said, "Unit") or text_of(more, "UnitName")
        found.append(Channel(letter, name, unit, text_of(more, "ProcessString")))
    return tuple(found)


def chosen(path: Path, channels: tuple[Channel, ...], wanted: str | None) -> tuple[Channel, tuple[str, ...]]:
    """The channel that is read, and a note where there are others.

    Raises
    ------
    InputError
        where none, or more than one, has the name or letter that is wanted.
    """
    channel = min(channels, key=lambda one: one.rank) if wanted is None else _called(path, channels, wanted)
    others = [other.in_words for other in channels if other != channel]
    how = "" if wanted is None else ", as was chosen"
    return channel, (f"channel {channel.in_words} is read{how}, not {', '.join(others)}",) if others else ()


def _called(path: Path, channels: tuple[Channel, ...], wanted: str) -> Channel:
    word = wanted.strip().casefold()
    for found in (
        [channel for channel in channels if channel.name.casefold() == word],
        [channel for channel in channels if channel.letter == word],
    ):
        if len(found) == 1:
            return found[0]
    raise InputError(
        where=path,
        problem="the file holds no channel of this name",
        got=repr(wanted),
        wanted=" or ".join(channel.in_words for channel in channels),
        mend=f"Write {path.name}#{channels[0].letter} into the sample sheet, or ingest: channel: {channels[0].letter}",
    )
