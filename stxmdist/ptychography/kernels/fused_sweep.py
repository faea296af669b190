"""Passes over the frames of a tile in compiled loops on the CPU, on one core or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TypeVar

import numpy as np

from stxmdist.arrays import C64, F32, F64, I64
from stxmdist.ptychography.correlation import shifts_by_correlation
from stxmdist.ptychography.kernels import interpolation, modulus, object_steps, operators, passes, sums, waves
from stxmdist.ptychography.kernels.fourier import inside, transform
from stxmdist.ptychography.kernels.lanes import (
    LANES,
    Lane,
    Share,
    View,
    added,
    alike,
    as_asked,
    as_moved,
    bands,
    dealt,
    view_of,
)
from stxmdist.ptychography.kernels.layout import Light
from stxmdist.ptychography.kernels.passes import BLOCK
from stxmdist.ptychography.kernels.sweep import Direction, Observations, Sums, laid_out
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import Placed, State

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")

_NO_WAVES = np.zeros((0, 1, 1, 1), np.float32)


class FusedSweep:
    """The frames of a tile laid out for compiled loops, and the passes over them: see ``sweep.Sweep``.

    Parameters
    ----------
    threads
        cores that may be used; they change nothing but the time
    library
        of Fourier transforms, see ``fourier.transform``
    """

    def __init__(self, problem: Problem, modes: int, threads: int = 1, library: str | None = None) -> None:
        self.modes = modes
        # The calling thread does its part.
        self._others = ThreadPoolExecutor(min(threads, LANES) - 1) if threads > 1 else None
        self.library = library
        self.object_shape = problem.object_shape
        self.frames, self.good, self.counts = laid_out(problem)
        self._use = alike(self.good)
        self._make_lanes()

    def _make_lanes(self) -> None:
        y, x = self.object_shape
        self._numerators = np.zeros((LANES, y, 2 * x), np.float32)
        self._weights = np.zeros((LANES, y, x), np.float32)
        self._ahead = np.zeros((y, x), np.complex64)
        shape = (self.modes, *self.good.shape)
        self._lanes = [
            Lane(number, transform(shape, self.library), self._numerators, self._weights) for number in range(LANES)
        ]

    def with_modes(self, modes: int) -> FusedSweep:
        """The same frames for another number of modes."""
        if modes == self.modes:
            return self
        other = copy(self)
        other.modes = modes
        other._make_lanes()
        return other

    def adopt(self, state: State) -> None:
        """Move a state's arrays to where the passes run: they are there already."""

    def release(self, state: State) -> None:
        """Move them back to numpy: they are numpy's."""

    @property
    def everything(self) -> I64:
        """All positions in their order."""
        return np.arange(len(self.frames), dtype=np.int64)

    def _view(self, state: State) -> View:
        return view_of(state, self.frames, self._use)

    def gradients(self, state: State, index: I64, *, poisson: bool = False) -> Sums:
        """The sums of some positions (n,) with d = exit waves of the measured modulus less those of the model."""
        view = self._view(state)

        return self._sums(view, state.placed, index, poisson=poisson)

    def projections(self, state: State, waves: C64, beta: float) -> Sums:
        """One step of RAAR (beta < 1) or the difference map (1) for all kept waves (POSITION, MODE, QY, QX), in place.

        The sums are those of d = wave - P O.
        """
        view, kept = self._view(state), waves.view(np.float32)
        return self._sums(view, state.placed, self.everything, kept=kept, beta=beta)

    def _sums(
        self,
        view: View,
        placed: Placed,
        index: I64,
        *,
        kept: F32 = _NO_WAVES,
        beta: float = 0.0,
        poisson: bool = False,
    ) -> Sums:
        """Sums of conj(P) d, conj(O) d and so on."""
        rows = self.good.shape[0]
        shares = dealt(index, placed.corners, rows)

        def walk(lane: Lane, share: Share) -> float:
            lane.clear(share)
            misfit = 0.0
            for some in _blocks(share.positions):
                calls, own = lane.fourier.calls, lane.sums
                misfit += passes.gradients(calls, *view, lane.buffers, own, kept, beta, poisson, some)
                lane.fourier.callback.raise_again()
            return misfit

        misfits = self._spread(walk, self._lanes, shares)
        low, high = shares[0].start, max(share.end for share in shares)
        starts, borders = (np.array(edges) for edges in zip(*((s.start, s.border) for s in shares), strict=True))
        largest = self._spread(
            lambda top, bottom: object_steps.add_lanes(self._numerators, self._weights, starts, borders, top, bottom),
            *bands(low, high),
        )
        return Sums(
            object_=self._numerators[0, low:high].view(np.complex64),
            weight=self._weights[0, low:high],
            probe=as_asked(added(lane.sums.probe for lane in self._lanes), placed),
            brightness=added(lane.sums.brightness for lane in self._lanes),
            misfit=sum_of(misfits),
            rows=slice(low, high),
            brightest=max(largest),
        )

    def object_direction(self, sums: Sums, damping: float) -> Direction:
        """By what the object is to change: the weighted mean of what all positions ask, reduced where it is dim.

        ``damping`` is light, as share of the brightest pixel's, at which half of it is left.
        """
        values = self._ahead[sums.rows]
        top, bottom, out = sums.object_.view(np.float32), sums.weight, values.view(np.float32)

        def walk(low: int, high: int) -> F64:
            found = np.zeros(2)
            object_steps.object_direction(top, bottom, damping * sums.brightest, low, high, out, found)
            return found

        right, own = np.sum(self._spread(walk, *bands(0, len(values))), axis=0)
        return Direction(values, float(right), float(own), sums.rows)

    def move_object(self, state: State, run: C64, direction: Direction, momentum: float, step: float) -> None:
        """Momentum: run <- momentum run + step direction, object <- object + run; both (Y, X), in place."""
        rows = direction.rows
        values, going, ahead = (part.view(np.float32) for part in (state.object_[rows], run[rows], direction.values))

        def walk(low: int, high: int) -> None:
            object_steps.move_object(values, going, ahead, momentum, step, low, high)

        self._spread(walk, *bands(0, len(values)))

    def observe(self, state: State, sketch: F32) -> Observations:
        """What all positions say of shift, intensity, background and variation of the probe.

        Parameters
        ----------
        sketch
            (POSITION, VARIATION) float32 weights with which what each asks of the probe is gathered
        """
        view = self._view(state)
        object_, light, vary = view.object_, view.light, state.variations.view(np.float32)
        count, n_vary = len(self.frames), len(state.variations)
        normal = np.zeros((count, 6))
        expected, measured = np.zeros(count), np.zeros(count)
        variation = np.zeros((count, 2 * n_vary))
        excess = np.zeros((LANES, 2, *self.good.shape), np.float32)
        gathered = np.zeros((LANES, *light.vary.shape), np.float32)

        corners, weights, _, moved = view.windows

        def walk(lane: Lane, share: Share) -> float:
            (more, sure), own = excess[lane.number], gathered[lane.number]
            row = np.zeros(self.good.shape[1], np.float32)
            light, psi, between = lane.light(view), lane.buffers.psi, lane.buffers.between
            change = lane.sums.probe
            lane.clear(share)
            misfit = 0.0
            for position in share.positions.tolist():
                self._begin(lane, view, position)
                lane.fourier.forward()
                sums.examine(psi, *view.detector, position, expected, measured, more, sure, row)
                misfit += modulus.modulus(psi, *view.detector, position, False, lane.buffers.lines)
                lane.fourier.backward()
                sums.slopes(object_, light, corners, psi, normal, position)
                if not n_vary:
                    continue
                change[...] = 0
                sums.gradients(object_, light, corners, moved, psi, *lane.sums, position)
                waves.interpolate_adjoint(psi, weights[position, 0], weights[position, 1], between, change)
                corner = corners[position]
                sums.vary_probe(object_, corner, change[0], vary, view.light.vary, position, sketch, variation, own)
            return misfit

        misfits = self._side_by_side(walk, state, self.everything)
        more, sure = added(excess)
        return Observations(
            normal=normal,
            expected_counts=expected,
            measured_counts=measured,
            surplus=more / np.maximum(sure, np.float32(1e-12)),
            certainty=sure,
            variation=variation,
            gathered=as_asked(added(gathered), state.placed),
            brightness=added(lane.sums.brightness for lane in self._lanes) / np.float32(count),
            misfit=sum_of(misfits),
        )

    def correlate(self, state: State, reach_px: float) -> F64:
        """Shifts (POSITION, 2) by which windows should move, by correlation, see ``shifts_by_correlation``."""
        view, shape = self._view(state), (self.good.shape[0], self.good.shape[1])
        found = np.zeros((len(self.frames), 2))

        def walk(lane: Lane, share: Share) -> None:
            light = inside(lane.light(view).view(np.complex64))
            for position in share.positions.tolist():
                self._revise(lane, view, position)
                window = operators.window(state.object_, view.windows.corners[position], shape)
                asked, power = (light.conj() * lane.fourier.buffer).sum(axis=0), (np.abs(light) ** 2).sum(axis=0)
                found[position] = shifts_by_correlation(window[None], asked[None], power[None], reach_px)[0]

        self._side_by_side(walk, state, self.everything)
        return found

    def search(
        self, state: State, object_change: C64, probe_change: C64, *, poisson: bool = False
    ) -> tuple[float, float]:
        """First and second derivative of the misfit along a change of object and probe at once, at no change."""
        view = self._view(state)
        vary, shares = view.light.vary, view.light.shares
        along_object = view._replace(object_=object_change.view(np.float32))
        along_probe = view._replace(light=Light(as_moved(probe_change, state.placed), np.zeros_like(vary), shares))

        def walk(lane: Lane, share: Share) -> F64:
            found = np.zeros(2)
            psi = lane.buffers.psi
            field = np.zeros_like(psi)
            for position in share.positions.tolist():
                # dF = FT(P dO + O dP), then F, through the one buffer that transforms are planned for.
                self._begin(lane, along_object, position)
                field[...] = psi
                self._begin(lane, along_probe, position)
                psi += field
                lane.fourier.forward()
                field[...] = psi
                self._begin(lane, view, position)
                lane.fourier.forward()
                modulus.search(psi, field, *view.detector, position, poisson, found)
            return found

        total = np.sum(self._side_by_side(walk, state, self.everything), axis=0)
        return float(total[0]), float(total[1])

    def coupling(self, state: State, index: I64, direction: Direction, probe_change: C64) -> float:
        """Sum over positions of Re <P dO, O dP>; fractions of a pixel are left out: they move both alike."""
        object_, probe = state.object_.view(np.float32), state.probe.view(np.float32)
        ahead, turn = direction.values.view(np.float32), probe_change.view(np.float32)
        corners = state.placed.corners

        def walk(_: Lane, share: Share) -> float:
            positions, first = share.positions, direction.rows.start
            return float(sums.coupling(object_, ahead, first, probe, turn, corners, positions))

        return sum_of(self._side_by_side(walk, state, index))

    def one_by_one(self, state: State, order: I64, steps: tuple[float, float, float, float]) -> float:
        """Object and probe corrected frame after frame (PIE), in place; returns the misfit, each taken just before.

        Parameters
        ----------
        steps
            object step, object alpha, probe step, probe alpha
        """
        object_step, object_alpha, probe_step, probe_alpha = steps
        view, lane = self._view(state), self._lanes[0]
        brightest = object_steps.brightest(state.probe.view(np.float32))
        numbers = np.array([object_step, object_alpha, brightest, probe_step, probe_alpha], np.float32)
        misfit = 0.0
        for some in _blocks(order):
            misfit += passes.one_by_one(lane.fourier.calls, *view, lane.buffers, numbers, some)
            lane.fourier.callback.raise_again()
        if view.windows.moved and probe_step:
            still = interpolation.still_weights()
            waves.interpolate(view.light.probe, still, still, lane.buffers.between, state.probe.view(np.float32))
        return misfit

    def waves(self, state: State) -> C64:
        """Exit waves P O of all positions (POSITION, MODE, QY, QX) complex64, where projections start."""
        view, lane = self._view(state), self._lanes[0]
        kept = np.empty((len(self.frames), self.modes, *self.good.shape), np.complex64)
        for position in self.everything.tolist():
            self._begin(lane, view, position)
            kept[position] = lane.fourier.buffer
        return kept

    def misfit(self, state: State) -> float:
        """Sum over all frames of (sqrt M - sqrt I)^2, with one and the same object and probe for all."""
        view = self._view(state)

        def walk(lane: Lane, share: Share) -> float:
            misfit = 0.0
            for position in share.positions.tolist():
                self._begin(lane, view, position)
                lane.fourier.forward()
                misfit += modulus.modulus(lane.buffers.psi, *view.detector, position, False, lane.buffers.lines)
            return misfit

        return sum_of(self._side_by_side(walk, state, self.everything))

    def _begin(self, lane: Lane, view: View, position: int) -> None:
        combined, shifted, psi = lane.buffers.combined, lane.buffers.shifted, lane.buffers.psi
        corners, weights, _, moved = view.windows
        between = lane.buffers.between
        waves.begin(
            view.object_, *view.light, combined, shifted, psi, corners, weights, moved, between, _NO_WAVES, position,
        )  # fmt: skip

    def _revise(self, lane: Lane, view: View, position: int) -> None:
        """Waves of one position with the measured modulus into the lane's psi."""
        self._begin(lane, view, position)
        lane.fourier.forward()
        modulus.modulus(lane.buffers.psi, *view.detector, position, False, lane.buffers.lines)
        lane.fourier.backward()

    def _side_by_side(self, walk: Callable[[Lane, Share], R], state: State, index: I64) -> list[R]:
        return self._spread(walk, self._lanes, dealt(index, state.placed.corners, self.good.shape[0]))

    def _spread(self, walk: Callable[[A, B], R], ones: Sequence[A], others: Sequence[B]) -> list[R]:
        """Call a function with each pair of arguments, side by side where threads are lent; results in their order."""
        first, *rest = zip(ones, others, strict=True)
        if self._others is None:
            return [walk(*first), *(walk(*pair) for pair in rest)]
        under_way = [self._others.submit(walk, *pair) for pair in rest]
        return [walk(*first), *(one.result() for one in under_way)]


def _blocks(positions: I64) -> list[I64]:
    """Positions of one call of a compiled loop after the other: in between an interrupt is heard."""
    return [positions[first : first + BLOCK] for first in range(0, len(positions), BLOCK)]


def sum_of(numbers: Sequence[float]) -> float:
    """Of numbers, in their order."""
    return float(sum(numbers))
