"""Stacks that are larger than memory, one frame or one band of rows at a time."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, SupportsIndex, overload

import numpy as np

from storage.output import Output
from stxmdist.arrays import F32


class FramesOnDemand(Sequence[F32]):
    """Frames (Y, X) of a stack, one for each energy, of which each is made or read when it is asked for."""

    @abstractmethod
    def frame_at(self, place: int) -> F32:
        """The frame (Y, X) at a place from 0 to the length less one."""

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> F32: ...
    @overload
    def __getitem__(self, place: slice, /) -> Sequence[F32]: ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> F32 | Sequence[F32]:
        places = range(len(self))
        if isinstance(place, slice):
            return [self.frame_at(one) for one in places[place]]
        return self.frame_at(places[place])


class StoredFrames(FramesOnDemand):
    """The frames (Y, X) of a stack in the store, read one at a time."""

    def __init__(self, output: Output, name: str) -> None:
        self._length = output.layout(name).shape[0]
        self._read = output.opened(name)

    def __len__(self) -> int:
        return self._length

    def frame_at(self, place: int) -> F32:
        """Read a frame."""
        return self._read((place, slice(None), slice(None)))


class MappedFrames(FramesOnDemand):
    """Frames of another sequence, each changed by a function of it and its energy when it is read."""

    def __init__(self, frames: Sequence[F32], change: Callable[[F32, int], F32]) -> None:
        self._frames, self._change = frames, change

    def __len__(self) -> int:
        return len(self._frames)

    def frame_at(self, place: int) -> F32:
        """Read a frame and change it."""
        return self._change(self._frames[place], place)


class ScratchStack(FramesOnDemand):
    """A stack (ENERGY, Y, X) float32 in a file that is deleted at the end: written by frames, read by frames or rows.

    Shards hold all energies of some rows, but frames come one energy after the other. A memory-mapped file would count
    as memory of the worker.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._path, self.shape = path, shape

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w+b")
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
        # The folder stays if other units have something there, or write it now.
        with suppress(OSError):
            self._path.parent.rmdir()

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, energy: int, frame: F32, /) -> None:
        self._file.seek(int(energy) * frame.nbytes)
        self._file.write(np.ascontiguousarray(frame, dtype=np.float32).data)

    def frame_at(self, place: int) -> F32:
        """Read a frame back."""
        return self._read(place, slice(0, self.shape[1]))

    def rows(self, part: slice) -> F32:
        """Some rows of all frames (ENERGY, Y, X)."""
        found = np.empty((self.shape[0], part.stop - part.start, self.shape[2]), np.float32)
        for energy in range(len(self)):
            found[energy] = self._read(energy, part)
        return found

    def _read(self, energy: int, part: slice) -> F32:
        _, rows, columns = self.shape
        self._file.seek(4 * columns * (energy * rows + part.start))
        count = (part.stop - part.start) * columns
        values = np.frombuffer(self._file.read(4 * count), np.float32)
        return values.reshape(-1, columns)
