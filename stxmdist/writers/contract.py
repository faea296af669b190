"""What every writer of wide-field scans promises, and the facts by which the program and the tests ask for one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from numpy.typing import ArrayLike

from stxmdist.arrays import Array
from stxmdist.errors import InputError
from stxmdist.registry import Entry

FrameOf = Callable[[int], Array]
"""Energy index to counts (Y, X)"""


class Writer(Protocol):
    """What the module of a format holds."""

    def write_stack(
        self,
        path: str | Path,
        frame_of: FrameOf,
        energy_ev: ArrayLike,
        y_um: ArrayLike,
        x_um: ArrayLike,
        dwell_ms: ArrayLike,
        ring_current_ma: ArrayLike,
        *,
        start_time: datetime | None = None,
        frames: Iterable[int] | None = None,
    ) -> tuple[Path, ...]:
        """Write an image stack, one frame in memory at a time; every path written, that of the file to be read first.

        Parameters
        ----------
        energy_ev
            (ENERGY,)
        y_um, x_um
            (Y,), (X,) pixel centres, ascending or descending
        dwell_ms, ring_current_ma
            (ENERGY,) or one number, NaN where it is not known
        start_time
            None leaves all times out
        frames
            energy indices that were measured before the scan was aborted; None: all

        Raises
        ------
        InputError
            for frames that do not fit the axes, and for what the format cannot hold.
        """


@dataclass(frozen=True)
class Fidelity:
    """What of a scan reads back as it was."""

    counts: tuple[str, ...]
    """Types in which whole counts are kept; a count that none of them holds exactly is refused."""
    ring_current: bool = False
    """Whether the ring current has a place in the format."""
    uneven_axes: bool = True
    """Whether every coordinate is written. Otherwise the first and last are, and axes that are not even are refused."""
    conditions_exactly: bool = True
    """Whether dwell time and ring current read back to the last bit. Otherwise they are written in another unit."""


@dataclass(frozen=True)
class WriterEntry(Entry[Writer]):
    """A format of wide-field scans, and where its writer is."""

    ending: str
    """Of the file to be read"""
    keeps: Fidelity
    dialects: Mapping[str, Fidelity] = field(default_factory=dict)
    """The format as several beamlines write it, chosen with ``dialect=``; without it the first is written."""


def checked_shape(counts: Array, shape: tuple[int, ...], where: object) -> Array:
    """A frame (Y, X), refused where its shape is not that of the axes."""
    if counts.shape != shape:
        raise InputError(
            where=where,
            problem="the frame does not fit the axes",
            got=f"shape {counts.shape}",
            wanted=f"{shape}",
            mend="Give frames of the shape that y_um and x_um say",
        )
    return counts


__all__ = ["Fidelity", "FrameOf", "Writer", "WriterEntry", "checked_shape"]
