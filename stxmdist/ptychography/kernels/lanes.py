"""Lanes: parts into which every pass of compiled loops is dealt, each with buffers and sums of its own.

Lanes run side by side on as many threads as are lent, and their sums are added in a fixed order: the number of threads
changes nothing, not even the last bit.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, I32, I64
from stxmdist.ptychography.kernels.fourier import Transform, aligned_zeros
from stxmdist.ptychography.kernels.interpolation import coefficients, coefficients_adjoint
from stxmdist.ptychography.kernels.layout import Buffers, Detector, LaneSums, Light, Windows
from stxmdist.ptychography.state import Placed, State

LANES = 2
"""More threads than lanes are of no use."""


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
        detector=Detector(frames, good, alike(state.background), np.asarray(1.0 / state.intensity, np.float32)),
    )


def alike(rows: F32) -> F32:
    """One row of (QY, QX) where all are alike, because of one number; all rows otherwise."""
    return rows[:1] if rows.min() == rows.max() else rows


def as_moved(probe: C64, placed: Placed) -> F32:
    """A probe as the loops want it: itself, or its coefficients where it is moved."""
    return (coefficients(probe) if placed.moved and len(probe) else probe).view(np.float32)


def as_asked(asked: F32, placed: Placed) -> C64:
    """What is asked of the probe, from what the loops gathered: adjoint of :func:`as_moved`."""
    values = asked.view(np.complex64)
    return coefficients_adjoint(values) if placed.moved else values


class Share(NamedTuple):
    """What one lane is dealt of a pass."""

    positions: I64
    start: int
    """First row that its windows reach"""
    end: int
    """Row after the last"""
    border: int
    """As in ``layout.LaneSums``"""


class Lane:
    """Buffers and sums of one lane."""

    def __init__(self, number: int, fourier: Transform, numerators: F32, weights: F32) -> None:
        self.number, self.fourier = number, fourier
        psi = fourier.padded.view(np.float32)
        padded = psi.shape[2]
        self.buffers = Buffers(
            psi=psi,
            shifted=aligned_zeros(psi.shape, np.float32),
            combined=aligned_zeros(psi.shape, np.float32),
            between=aligned_zeros((2, padded + 32), np.float32),
            lines=aligned_zeros((4, padded), np.float32),
        )
        bright = aligned_zeros(fourier.buffer.shape[1:], np.float32)
        self.sums = LaneSums(numerators, weights, number, 0, bright, aligned_zeros(psi.shape, np.float32))

    def light(self, view: View) -> F32:
        """Where the probe lies as the waves of this lane see it: moved, or as it is."""
        return self.buffers.shifted if view.windows.moved else view.light.probe

    def clear(self, share: Share) -> None:
        """Set to zero the sums of what this lane was dealt, and the rows that no window reaches before them."""
        self.sums = self.sums._replace(border=share.border)
        for sums in (self.sums.numerators, self.sums.weights):
            sums[0, share.border or share.start : share.end] = 0
            sums[self.number, share.start : min(share.border, share.end)] = 0
        self.sums.brightness[...] = 0
        self.sums.probe[...] = 0


def dealt(index: I64, corners: I32, rows: int) -> list[Share]:
    """Positions (n,) dealt to all lanes by rows of the object: neighbours stay in caches, and lanes share few rows."""
    shares: list[Share] = []
    border = 0
    for positions in np.array_split(index[np.argsort(corners[index, 0], kind="stable")], LANES):
        reached = corners[positions, 0]
        start, end = (int(reached[0]), int(reached[-1]) + rows) if len(reached) else (border, border)
        shares.append(Share(np.ascontiguousarray(positions), start, end, border))
        border = max(border, end)
    return shares


def added(parts: Iterable[F32]) -> F32:
    """The sum of arrays, in their order."""
    first, *others = parts
    total = first.copy()
    for other in others:
        total += other
    return total


def bands(low: int, high: int) -> tuple[list[int], list[int]]:
    """Rows low to high cut into one band for each lane: first rows, and rows after the last."""
    edges = [low + (high - low) * lane // LANES for lane in range(LANES + 1)]
    return edges[:-1], edges[1:]
