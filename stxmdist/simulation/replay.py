"""A finished scan written once more at the pace of a beamline, so that what follows scans can be tried without one.

Counts are those of the scan that is replayed; only when they appear is simulated.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from stxmdist import readers
from stxmdist.arrays import Array
from stxmdist.errors import InputError
from stxmdist.readers.recording import StxmRecording


@dataclass(frozen=True)
class Pace:
    """How fast a scan is measured."""

    row_s: float = 0.2
    """From one row to the next, of a frame"""
    energy_s: float = 2.0
    """From the last row of a frame to the first of the next, while optics move"""


@dataclass(frozen=True)
class Written:
    """What has just been written."""

    energy: int
    """Index in the order of measurement"""
    rows: int
    """Of the frame, so far"""
    whole: bool
    """Whether this was the last row of its energy"""


def replay(
    source: Path, target: Path, *, order: Sequence[int] | None = None, stop_after: int | None = None
) -> Iterator[Written]:
    """Write a wide-field scan again, a row or, of SDF, a frame at each step; whoever takes the steps keeps the time.

    Parameters
    ----------
    source
        an SDF header with its frames, or an HDF5 file of NXstxm or pystxmcontrol
    target
        the file to write, of the same kind
    order
        energy indices of the file in the order in which they are measured; None: as they stand in the file
    stop_after
        steps after which the scan is aborted; None: never

    Raises
    ------
    InputError
        for a file that is no wide-field scan.
    """
    found = readers.read_scan((source,))
    if not isinstance(found, StxmRecording):
        raise InputError(
            where=source,
            problem="only wide-field scans can be replayed",
            got="a ptychography scan",
            wanted="an image stack",
            mend="Name another file",
        )
    steps = _sdf(found, source, target, order) if found.format == "sdf" else _hdf5(found, source, target, order)
    for number, written in enumerate(steps, 1):
        yield written
        if number == stop_after:
            return


def at_pace(steps: Iterator[Written], pace: Pace, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Written]:
    """The steps of a replay, each after the time that its measurement takes."""
    for written in steps:
        yield written
        sleep(pace.energy_s if written.whole else pace.row_s)


def _sdf(found: StxmRecording, source: Path, target: Path, order: Sequence[int] | None) -> Iterator[Written]:
    """The header first, then one frame after another, each with its rows as the control program flushes them."""
    frames = found.files[1:]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    for energy in range(len(frames)) if order is None else order:
        lines = frames[energy].read_bytes().splitlines(keepends=True)
        path = target.with_name(target.stem + frames[energy].name.removeprefix(source.stem))
        with path.open("wb", buffering=0) as file:
            for number, line in enumerate(lines, 1):
                # Half a row, and then the rest of it: that is what somebody who looks in between finds.
                file.write(line[: len(line) // 2])
                file.write(line[len(line) // 2 :])
                yield Written(energy, number, whole=number == len(lines))


def _hdf5(found: StxmRecording, source: Path, target: Path, order: Sequence[int] | None) -> Iterator[Written]:
    """The whole file without its counts first, then row by row, to readers of a file that is being written (SWMR)."""
    shape = (len(found.energy_ev), len(found.y_um), len(found.x_um))
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(source, "r") as whole, h5py.File(target, "w", libver="latest") as file:
        _copy(whole, file)
        names = _stacks(whole, shape)
        counts: dict[str, Array] = {name: whole[name][()] for name in names}
        for name in names:
            file[name][...] = np.nan if counts[name].dtype.kind == "f" and "control" not in str(source) else 0
        file.swmr_mode = True
        for energy in range(shape[0]) if order is None else order:
            for row in range(shape[1]):
                for name in names:
                    file[name][energy, row] = counts[name][energy, row]
                    file[name].flush()
                yield Written(energy, row + 1, whole=row + 1 == shape[1])


def _copy(whole: "h5py.File", file: "h5py.File") -> None:
    for key, value in whole.attrs.items():
        file.attrs[key] = value
    for name in whole:
        with suppress(KeyError):
            whole.copy(name, file)


def _stacks(whole: "h5py.File", shape: tuple[int, int, int]) -> list[str]:
    names: list[str] = []

    def note(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.shape == shape and node.dtype.kind in "iuf":
            names.append(name)

    whole.visititems(note)
    if not names:
        raise InputError(
            where=whole.filename,
            problem="no dataset holds the images of the scan as energy, row, column",
            got="another layout",
            wanted=f"a dataset of shape {shape}",
            mend="Replay another file",
        )
    return names


__all__ = ["Pace", "Written", "at_pace", "replay"]
