"""Stacks that are larger than memory, one frame or one band of rows at a time."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from storage.output import Output
from stxmdist.arrays import F32


class StoredFrames(Sequence[F32]):
    """The frames (Y, X) of a stack in the store, read one at a time."""

    def __init__(self, output: Output, name: str) -> None:
        self._output, self._name = output, name
        self._length = output.array(name).shape[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, energy: Any) -> Any:
        return self._output.read(self._name, (int(energy), slice(None), slice(None)))


class MappedFrames(Sequence[F32]):
    """Frames of another sequence, each changed by a function of it and its energy when it is read."""

    def __init__(self, frames: Sequence[F32], change: Callable[[F32, int], F32]) -> None:
        self._frames, self._change = frames, change

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, energy: Any) -> Any:
        return self._change(self._frames[int(energy)], int(energy))


class ScratchStack(Sequence[F32]):
    """A stack (ENERGY, Y, X) float32 in a file that goes with it: written by frames, read by frames or rows.

    Shards hold all energies of some rows, frames come one energy after the other. A mapped file would count as memory.
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
        # Others may have something there, or write it now.
        with suppress(OSError):
            self._path.parent.rmdir()

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, energy: int, frame: F32) -> None:
        self._file.seek(int(energy) * frame.nbytes)
        self._file.write(np.ascontiguousarray(frame, dtype=np.float32).data)

    def __getitem__(self, energy: Any) -> Any:
        return self._read(int(energy), slice(0, self.shape[1]))

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
