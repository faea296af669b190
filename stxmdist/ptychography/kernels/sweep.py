"""Passes over the frames of a tile: what engines and refinements ask of all positions.

Two classes offer them: ``fused_sweep`` in compiled loops on the CPU, ``array_sweep`` in plain array code that any array
library runs, on a GPU if it has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stxmdist.arrays import C64, F32, F64, I64, Array, namespace_of
from stxmdist.ptychography.kernels.fourier import PAD, PAD_ROWS
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State


@dataclass(frozen=True)
class Sums:
    """What some positions ask of object and probe, added up."""

    object_: C64
    """(Y', X) sum of conj(P) d"""
    weight: F32
    """(Y', X) sum of |P|^2 over positions and modes"""
    probe: C64
    """(MODE, QY + 2 PAD_ROWS, QX + 2 PAD) sum of conj(O) d, moved back by fractions of a pixel"""
    brightness: F32
    """(QY, QX) sum of |O|^2"""
    misfit: float
    """Sum of (sqrt M - sqrt I)^2"""
    rows: slice
    """Rows of the object that ``object_`` and ``weight`` hold: no window reaches the others"""
    brightest: float
    """Largest ``weight``"""


@dataclass(frozen=True)
class Direction:
    """Where the object is to go."""

    values: C64
    """(Y', X) on some rows of the object"""
    right: float
    """<direction, sum of conj(P) d>"""
    own: float
    """Sum over positions of |P direction|^2"""
    rows: slice

    def whole(self, shape: tuple[int, int]) -> C64:
        """On all rows (Y, X), zero where no window reaches."""
        values: C64 = namespace_of(self.values).zeros(shape, dtype=self.values.dtype)
        values[self.rows] = self.values
        return values


@dataclass(frozen=True)
class Observations:
    """What every position says of the other unknowns, object and probe held fixed."""

    normal: F64
    """(POSITION, 6) normal equations of the window's shift, see ``sums.slopes``"""
    expected_counts: F64
    """(POSITION,)"""
    measured_counts: F64
    """(POSITION,)"""
    surplus: F32
    """(QY, QX) counts by which frames exceed the model, the weighted mean over positions"""
    certainty: F32
    """(QY, QX) weight of that mean: sum over positions of 1 / (M + 1)"""
    variation: F64
    """(POSITION, 2 VARIATION), see ``sums.vary_probe``"""
    gathered: C64
    """(VARIATION, ...) sum over positions of a sketch times what each asks of the probe"""
    brightness: F32
    """(QY, QX) mean of |O|^2; zero where the probe does not vary, because nothing needs it then"""
    misfit: float


class Sweep(Protocol):
    """The frames of a tile laid out for one kind of passes, and the passes over them.

    Arrays of the state, and those that passes take and return, lie in the memory of the passes' array library. Types
    name numpy's arrays, which those of other libraries behave like.
    """

    modes: int
    """Of the probe"""
    object_shape: tuple[int, int]
    frames: Array
    """(POSITION, QY, QX) counts, zero frequency at [0, 0]"""
    good: F32
    """(QY, QX) in numpy's memory: 1 for pixels that may be used, 0 for others"""
    counts: float
    """Of all frames together, on good pixels"""

    def with_modes(self, modes: int) -> Sweep:
        """The same frames for another number of modes."""
        ...

    def adopt(self, state: State) -> None:
        """Move a state's arrays to where the passes run."""
        ...

    def release(self, state: State) -> None:
        """Move them back to numpy."""
        ...

    @property
    def everything(self) -> I64:
        """All positions in their order."""
        ...

    def gradients(self, state: State, index: I64, *, poisson: bool = False) -> Sums:
        """The sums of some positions (n,) with d = exit waves of the measured modulus less those of the model."""
        ...

    def projections(self, state: State, waves: C64, beta: float) -> Sums:
        """One step of RAAR (beta < 1) or the difference map (1) for all kept waves (POSITION, MODE, QY, QX), in place.

        The sums are those of d = wave - P O.
        """
        ...

    def object_direction(self, sums: Sums, damping: float) -> Direction:
        """By what the object is to change: the weighted mean of what all positions ask, reduced where it is dim.

        ``damping`` is light, as share of the brightest pixel's, at which half of it is left. The direction, as the sums
        of a pass, may lie in memory that the next one overwrites.
        """
        ...

    def move_object(self, state: State, run: C64, direction: Direction, momentum: float, step: float) -> None:
        """Momentum: run <- momentum run + step direction, object <- object + run; both (Y, X), in place."""
        ...

    def observe(self, state: State, sketch: F32) -> Observations:
        """What all positions say of shift, intensity, background and variation of the probe, in numpy arrays.

        Parameters
        ----------
        sketch
            (POSITION, VARIATION) float32 weights with which what each asks of the probe is gathered
        """
        ...

    def correlate(self, state: State, reach_px: float) -> F64:
        """Shifts (POSITION, 2) by which windows should move, by correlation, see ``shifts_by_correlation``."""
        ...

    def search(
        self, state: State, object_change: C64, probe_change: C64, *, poisson: bool = False
    ) -> tuple[float, float]:
        """First and second derivative of the misfit along a change of object and probe at once, at no change."""
        ...

    def coupling(self, state: State, index: I64, direction: Direction, probe_change: C64) -> float:
        """Sum over positions of Re <P dO, O dP>; fractions of a pixel are left out: they move both alike."""
        ...

    def one_by_one(self, state: State, order: I64, steps: tuple[float, float, float, float]) -> float:
        """Object and probe corrected frame after frame (PIE), in place; returns the misfit, each taken just before.

        Parameters
        ----------
        steps
            object step, object alpha, probe step, probe alpha
        """
        ...

    def waves(self, state: State) -> C64:
        """Exit waves P O of all positions (POSITION, MODE, QY, QX) complex64, where projections start."""
        ...

    def misfit(self, state: State) -> float:
        """Sum over all frames of (sqrt M - sqrt I)^2, with one and the same object and probe for all."""
        ...


def margins(modes: int, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Shape of a stack of windows with the margins that the loops want."""
    return modes, shape[0] + 2 * PAD_ROWS, shape[1] + 2 * PAD


LEAST_COUNT = np.float32(1e-20)
"""Stands for no count where so many are known to be there at least: zero has no sign"""


def laid_out(problem: Problem) -> tuple[Array, F32, float]:
    """Frames with zero frequency at [0, 0] and zeros where pixels are not good, the mask likewise, and all counts.

    Counts that are only known to be so many at least are negative.
    """
    good, least = np.fft.ifftshift(problem.good), problem.at_least
    whole = least is None and np.issubdtype(problem.frames.dtype, np.integer) and problem.frames.max() < 2**16
    # Integers stay integers: half the memory traffic of the loop, and of the worker.
    frames = np.empty(problem.frames.shape, np.uint16 if whole else np.float32)
    counts = 0.0
    for number, (target, frame) in enumerate(zip(frames, problem.frames, strict=True)):
        target[...] = np.where(good, np.maximum(np.fft.ifftshift(frame), 0), 0)
        counts += float(np.sum(target, dtype=np.float64))
        if least is not None:
            limits = np.fft.ifftshift(least[number]) & good
            target[limits] = -np.maximum(target[limits], LEAST_COUNT)
    return frames, good.astype(np.float32), counts
