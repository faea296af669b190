"""The state of a reconstruction under way, kept in a file: one that was interrupted goes on from there."""

import os
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np

from stxmdist.arrays import numpy_of
from stxmdist.ptychography.refinement import Refinement
from stxmdist.ptychography.state import State

_PARTS = tuple(entry.name for entry in fields(State) if entry.init and entry.name not in ("error", "sub_pixel"))


class Checkpoint:
    """The file in which the state is kept, and how often it is written."""

    def __init__(self, path: Path, every_s: float = 60.0, *, keep: bool = False) -> None:
        """Keep a state in a file; ``keep`` leaves the last one there when the reconstruction ends."""
        self.path, self.every_s, self.keep = path, every_s, keep
        self._last = time.monotonic()

    def part(self, number: int) -> "Checkpoint":
        """That of one of several reconstructions in a row, kept until all of them have ended."""
        return Checkpoint(self.path.with_stem(f"{self.path.stem}-part-{number}"), self.every_s, keep=True)

    def save(self, state: State, errors: list[float], refinement: Refinement) -> None:
        """Write the state after an iteration, if the last is old enough; a reader never sees half a file."""
        if time.monotonic() - self._last >= self.every_s:
            self._write(state, errors, refinement, "finished")

    def end(self, state: State, errors: list[float], refinement: Refinement, stopped: str) -> None:
        """The reconstruction ends, for the reason ``stopped``: leave its state, or nothing."""
        if self.keep:
            self._write(state, errors, refinement, stopped)
        else:
            self.clear()

    def _write(self, state: State, errors: list[float], refinement: Refinement, stopped: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with partial.open("wb") as file:
            arrays = {name: numpy_of(getattr(state, name)) for name in _PARTS}
            np.savez(
                file,
                error=state.error,
                errors=np.array(errors),
                start_px=refinement.start_px,
                affine=refinement.affine,
                gave_up=refinement.gave_up,
                stopped=stopped,
                **arrays,
            )
        partial.replace(self.path)
        self._last = time.monotonic()

    def load(self, like: State, refinement: Refinement) -> tuple[State, list[float], str] | None:
        """State, errors of all iterations and why it stopped, as last written; None if there is no file, or one of
        another problem.

        The refinement goes on as it was.
        """
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as kept:
            same = kept["object_"].shape == like.object_.shape and np.array_equal(kept["start_px"], refinement.start_px)
            if not same:
                return None
            state = State(**{name: kept[name] for name in _PARTS}, error=float(kept["error"]), sub_pixel=like.sub_pixel)
            refinement.resume(state, bool(kept["gave_up"]), kept["affine"])
            return state, kept["errors"].tolist(), str(kept["stopped"])

    def clear(self) -> None:
        """Remove the file, and its folder if that is empty now: the reconstruction is done."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder does not exist, or other reconstructions keep their files in it
            self.path.parent.rmdir()
