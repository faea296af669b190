"""Lanes: parts into which every pass of compiled loops is dealt, each with buffers and sums of its own.

Lanes run side by side on as many threads as are lent, and their sums are added in a fixed order: the number of threads
changes nothing, not even the last bit.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, I64
from stxmdist.ptychography.kernels.fourier import Transform, aligned_zeros
from stxmdist.ptychography.kernels.interpolation import coefficients, coefficients_adjoint
from stxmdist.ptychography.kernels.layout import Buffers, Detector, LaneSums, Light, Part, Windows
from stxmdist.ptychography.state import Placed, State

LANES = 2
"""More threads than lanes are of no use."""
GROUP_BYTES = 2**19
"""Waves that are transformed in one go: more would not fit the second-level cache, fewer would cost calls."""


class View(NamedTuple):
    """A state, and the frames, as compiled loops take them."""

    object_: F32
    """(Y, 2 X)"""
    light: Light
    windows: Windows
    detector: Detector


def view_of(state: State, frames: np.ndarray, good: F32) -> View:
    """The arrays of a state, complex ones as pairs of floats."""
    placed = state.placed
    return View(
        object_=state.object_.view(np.float32),
        light=Light(as_moved(state.probe, placed), as_moved(state.variations, placed), state.shares),
        windows=Windows(placed.corners, placed.weights, placed.back, placed.moved),
        detector=Detector(frames, good, state.background, np.asarray(1.0 / state.intensity, np.float32)),
    )


def as_moved(probe: C64, placed: Placed) -> F32:
    """A probe as the loops want it: itself, or its coefficients where it is moved."""
    return (coefficients(probe) if placed.moved else probe).view(np.float32)


def as_asked(asked: F32, placed: Placed) -> C64:
    """What is asked of the probe, from what the loops gathered: adjoint of :func:`as_moved`."""
    values = asked.view(np.complex64)
    return coefficients_adjoint(values) if placed.moved else values


class Lane:
    """Buffers and sums of one lane."""

    def __init__(self, number: int, fourier: Transform, modes: int, numerator: F32, weight: F32) -> None:
        self.number, self.fourier = number, fourier
        psi = fourier.padded.view(np.float32)
        stack, rows, padded = psi.shape
        self._group = stack // modes
        self.buffers = Buffers(
            psi=psi,
            shifted=aligned_zeros(psi.shape, np.float32),
            combined=aligned_zeros((modes, rows, padded), np.float32),
            between=aligned_zeros((2, padded), np.float32),
            lines=aligned_zeros((4, padded), np.float32),
        )
        self.sums = LaneSums(numerator, weight, aligned_zeros(fourier.buffer.shape[1:], np.float32))
        self.probe = aligned_zeros((modes, rows, padded), np.float32)
        """What the probe is asked to change by"""

    def groups(self, index: I64) -> Iterator[Part]:
        """Positions that are transformed in one go, one part after another."""
        for start in range(0, len(index), self._group):
            yield Part(index, start, min(self._group, len(index) - start))


def added(parts: Iterable[F32]) -> F32:
    """The sum of arrays, in their order."""
    first, *others = parts
    total = first.copy()
    for other in others:
        total += other
    return total


def bands(low: int, high: int) -> tuple[list[int], list[int]]:
    """Rows low to high cut into one band for each lane: first rows, and rows after the last."""
    edges = [int(edge) for edge in np.linspace(low, high, LANES + 1)]
    return edges[:-1], edges[1:]
