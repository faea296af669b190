"""Passes over the frames of a tile: what engines and refinements ask of all positions, on one core or several.

Positions are dealt to lanes, each with its own buffers and sums; lanes run side by side on as many threads as are lent,
and their sums are added in order. So the number of threads changes nothing, not even the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, F64, I32, I64, Array, Mask, namespace_of
from stxmdist.ptychography.correlation import shifts_by_correlation
from stxmdist.ptychography.kernels import operators
from stxmdist.ptychography.kernels import pie as kernels
from stxmdist.ptychography.kernels import sums as kernels_sums
from stxmdist.ptychography.kernels.fourier import PAD, PAD_ROWS, Transform, aligned_zeros, inside, transform
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

LANES = 2
"""Parts into which every pass is dealt: more threads than these are of no use, fewer wait for nothing."""
_NO_WAVES = np.zeros((0, 1, 1, 1), np.float32)
GROUP_BYTES = 2**19
"""Waves that are transformed in one go: more would leave the second-level cache, fewer cost calls."""


@dataclass(frozen=True)
class Sums:
    """What some positions ask of object and probe."""

    object_: C64
    """(Y', X) sum of conj(P) d"""
    weight: F32
    """(Y', X) sum of |P|^2 over positions and modes"""
    probe: C64
    """(MODE, QY + 2 PAD_ROWS, QX + 2 PAD) sum of conj(O) d, moved back by fractions of a pixel"""
    brightness: F32
    """(QY, QX) sum of |O|^2"""
    misfit: float
    """sum of (sqrt M - sqrt I)^2"""
    rows: slice
    """Rows of the object that ``object_`` and ``weight`` hold: no window reaches the others"""
    brightest: float
    """largest ``weight``"""


@dataclass(frozen=True)
class Direction:
    """Where the object is to go."""

    values: C64
    """(Y', X) on some rows of the object"""
    right: float
    """<direction, sum of conj(P) d>"""
    own: float
    """sum over positions of |P direction|^2"""
    rows: slice

    def whole(self, shape: tuple[int, int]) -> C64:
        """On all rows (Y, X), zero where no window reaches."""
        values: C64 = namespace_of(self.values).zeros(shape, dtype=self.values.dtype)
        values[self.rows] = self.values
        return values


@dataclass(frozen=True)
class Observations:
    """What every position says of itself, object and probe held fixed."""

    normal: F64
    """(POSITION, 6) normal equations of the window's shift, see ``kernels_sums.slopes``"""
    expected_counts: F64
    """(POSITION,)"""
    measured_counts: F64
    """(POSITION,)"""
    surplus: F32
    """(QY, QX) counts by which frames exceed the model, the weighted mean over positions"""
    certainty: F32
    """(QY, QX) weight of that mean: sum over positions of 1 / (M + 1)"""
    variation: F64
    """(POSITION, 2 VARIATION) see ``kernels_sums.vary_probe``"""
    gathered: C64
    """(VARIATION, ...) sum over positions of a sketch times what each asks of the probe"""
    brightness: F32
    """(QY, QX) mean of |O|^2; zero where the probe does not vary, and nobody asks"""
    misfit: float


class _Where(NamedTuple):
    # positions[start : start + n]
    positions: I64
    start: int
    n: int


class _Lane:
    # Buffers and sums of one lane; complex arrays as pairs of floats, which is what kernels get.
    def __init__(self, number: int, fourier: Transform, modes: int, numerator: F32, weight: F32) -> None:
        self.number, self.fourier, self.numerator, self.weight = number, fourier, numerator, weight
        self.psi = fourier.padded.view(np.float32)
        stack, rows, padded = self.psi.shape
        self._group = stack // modes
        self.shifted = aligned_zeros(self.psi.shape, np.float32)
        self.between = aligned_zeros((2, padded), np.float32)
        self.lines = aligned_zeros((4, padded), np.float32)
        self.combined = aligned_zeros((modes, rows, padded), np.float32)
        self.probe = aligned_zeros((modes, rows, padded), np.float32)
        self.brightness = aligned_zeros(fourier.buffer.shape[1:], np.float32)

    def groups(self, index: I64) -> Iterator[_Where]:
        for start in range(0, len(index), self._group):
            yield _Where(index, start, min(self._group, len(index) - start))


class Sweep:
    """The frames of a tile laid out for the kernels, and the passes over them."""

    def __init__(self, problem: Problem, modes: int, threads: int = 1, library: str | None = None) -> None:
        self.modes = modes
        # The calling thread does its part.
        self._others = ThreadPoolExecutor(min(threads, LANES) - 1) if threads > 1 else None
        self.library = library
        self.object_shape = problem.object_shape
        self.frames, self.good, self.counts = laid_out(problem)
        self._make_lanes()

    def _make_lanes(self) -> None:
        rows, columns = self.good.shape
        group = max(1, min(8, GROUP_BYTES // (8 * self.modes * rows * columns)))
        y, x = self.object_shape
        self._numerators = np.zeros((LANES, y, 2 * x), np.float32)
        self._weights = np.zeros((LANES, y, x), np.float32)

        def lane(number: int, group: int) -> _Lane:
            fourier = transform((group * self.modes, rows, columns), self.library)
            return _Lane(number, fourier, self.modes, self._numerators[number], self._weights[number])

        self._lanes = [lane(number, group) for number in range(LANES)]
        self._one = lane(0, 1)

    def with_modes(self, modes: int) -> Sweep:
        """The same frames for another number of modes."""
        if modes == self.modes:
            return self
        other = object.__new__(Sweep)
        other.__dict__.update(self.__dict__)
        other.modes = modes
        other._make_lanes()
        return other

    def adopt(self, state: State) -> None:
        """Take a state's arrays to where the passes run: they are there."""

    def release(self, state: State) -> None:
        """Take them back to numpy."""

    @property
    def everything(self) -> I64:
        """All positions in their order."""
        return np.arange(len(self.frames), dtype=np.int64)

    def gradients(self, state: State, index: I64, *, poisson: bool = False) -> Sums:
        """The sums of some positions (n,) int64 with d = what the modulus asks of the exit waves less these."""
        view = _view(state)

        def after(lane: _Lane, where: _Where) -> None:
            kernels_sums.gradients(
                view.object_, view.probe, lane.shifted, lane.psi, view.corners, view.fractional, *where,
                lane.numerator, lane.weight, lane.brightness,
            )  # fmt: skip

        return self._sums(view, index, _NO_WAVES, poisson, after)

    def projections(self, state: State, waves: C64, beta: float) -> Sums:
        """One step of RAAR (beta < 1) or the difference map (1) for all kept waves (POSITION, MODE, QY, QX), in place.

        The sums are those of d = wave - P O.
        """
        view, kept = _view(state), waves.view(np.float32)

        def after(lane: _Lane, where: _Where) -> None:
            kernels_sums.projections(
                view.object_, view.probe, lane.shifted, lane.psi, view.corners, view.fractional, *where,
                lane.numerator, lane.weight, lane.brightness, kept, beta,
            )  # fmt: skip

        return self._sums(view, self.everything, kept, False, after)

    def _sums(
        self,
        view: _View,
        index: I64,
        kept: F32,
        poisson: bool,
        after: Callable[[_Lane, _Where], None],
    ) -> Sums:
        corners = view.corners[index, 0]
        low, high = int(corners.min()), int(corners.max()) + self.good.shape[0]

        def walk(lane: _Lane, part: I64) -> float:
            for values in (lane.numerator[low:high], lane.weight[low:high], lane.probe, lane.brightness):
                values[...] = 0
            misfit = 0.0
            for where in lane.groups(part):
                self._begin(lane, view, where, kept)
                lane.fourier.forward()
                misfit += self._modulus(lane, view, where, poisson)
                lane.fourier.backward()
                after(lane, where)
                kernels.gather_probe(lane.psi, view.weights, view.fractional, lane.between, *where, lane.probe)
            return misfit

        misfits = self._side_by_side(walk, index)
        largest = self._spread(
            lambda top, bottom: kernels_sums.gather_lanes(self._numerators, self._weights, top, bottom),
            *_bands(low, high),
        )
        rows = slice(low, high)
        return Sums(
            object_=self._numerators[0, rows].view(np.complex64),
            weight=self._weights[0, rows],
            probe=_added(lane.probe for lane in self._lanes).view(np.complex64),
            brightness=_added(lane.brightness for lane in self._lanes),
            misfit=sum(misfits),
            rows=rows,
            brightest=max(largest),
        )

    def object_direction(self, sums: Sums, damping: float) -> Direction:
        """By what the object is to change: the weighted mean of what all positions ask, held back where it is dim.

        ``damping`` is light, as share of the brightest pixel's, at which half of it is left.
        """
        values = np.empty_like(sums.object_)
        top, bottom, out = sums.object_.view(np.float32), sums.weight, values.view(np.float32)

        def walk(low: int, high: int) -> F64:
            found = np.zeros(2)
            kernels_sums.direct(top, bottom, damping * sums.brightest, low, high, out, found)
            return found

        right, own = np.sum(self._spread(walk, *_bands(0, len(values))), axis=0)
        return Direction(values, float(right), float(own), sums.rows)

    def move_object(self, state: State, run: C64, direction: Direction, momentum: float, step: float) -> None:
        """Momentum: run <- momentum run + step direction, object <- object + run; both (Y, X), in place."""
        rows = direction.rows
        values, going, ahead = (part.view(np.float32) for part in (state.object_[rows], run[rows], direction.values))
        bands = _bands(0, len(values))
        self._spread(lambda low, high: kernels_sums.move(values, going, ahead, momentum, step, low, high), *bands)

    def observe(self, state: State, sketch: F32) -> Observations:
        """What all positions say of shift, intensity, background and variation of the probe.

        Parameters
        ----------
        sketch
            (POSITION, VARIATION) float32 weights with which what each asks of the probe is gathered
        """
        view = _view(state)
        count, n_vary = len(self.frames), len(state.variations)
        normal = np.zeros((count, 6))
        expected, measured = np.zeros(count), np.zeros(count)
        variation = np.zeros((count, 2 * n_vary))
        excess = np.zeros((LANES, 2, *self.good.shape), np.float32)
        gathered = np.zeros((LANES, *view.vary.shape), np.float32)

        def walk(lane: _Lane, part: I64) -> float:
            more, sure = excess[lane.number]
            row = np.zeros(self.good.shape[1], np.float32)
            change = np.zeros_like(lane.probe)
            lane.brightness[...] = 0
            misfit = 0.0
            for where in lane.groups(part):
                self._begin(lane, view, where)
                lane.fourier.forward()
                kernels_sums.examine(
                    lane.psi, self.modes, self.frames, *where, self.good, view.background, view.gain, expected,
                    measured, more, sure, row,
                )  # fmt: skip
                misfit += self._modulus(lane, view, where)
                lane.fourier.backward()
                kernels_sums.slopes(
                    view.object_, view.probe, lane.shifted, lane.psi, view.corners, view.fractional, *where, normal
                )
                if not n_vary:
                    continue
                kernels_sums.gradients(
                    view.object_, view.probe, lane.shifted, lane.psi, view.corners, view.fractional, *where,
                    lane.numerator, lane.weight, lane.brightness,
                )  # fmt: skip
                for item in range(where.n):
                    change[...] = 0
                    kernels.gather_probe(
                        lane.psi[item * self.modes :], view.weights, view.fractional, lane.between, where.positions,
                        where.start + item, 1, change,
                    )  # fmt: skip
                    position = where.positions[where.start + item]
                    kernels_sums.vary_probe(
                        view.object_, view.corners[position], change[0], view.vary, position, sketch, variation,
                        gathered[lane.number],
                    )  # fmt: skip
            return misfit

        misfits = self._side_by_side(walk, self.everything)
        more, sure = _added(excess)
        return Observations(
            normal=normal,
            expected_counts=expected,
            measured_counts=measured,
            surplus=more / np.maximum(sure, np.float32(1e-12)),
            certainty=sure,
            variation=variation,
            gathered=_added(gathered).view(np.complex64),
            brightness=_added(lane.brightness for lane in self._lanes) / np.float32(count),
            misfit=sum(misfits),
        )

    def correlate(self, state: State, reach_px: float) -> F64:
        """Shifts (POSITION, 2) by which windows should move, by correlation, see ``shifts_by_correlation``."""
        view, shape = _view(state), self.good.shape
        found = np.zeros((len(self.frames), 2))

        def walk(lane: _Lane, part: I64) -> None:
            for where in lane.groups(part):
                self._begin(lane, view, where)
                lane.fourier.forward()
                self._modulus(lane, view, where)
                lane.fourier.backward()
                index = where.positions[where.start : where.start + where.n]
                stack = (where.n, self.modes, *shape)
                waves = lane.fourier.buffer[: where.n * self.modes].reshape(stack)
                moved = inside(lane.shifted.view(np.complex64))[: where.n * self.modes].reshape(stack)
                light = np.where(view.fractional[index, None, None, None], moved, inside(state.probe))
                windows = operators.windows(state.object_, view.corners[index], shape)
                asked, power = (light.conj() * waves).sum(axis=1), (np.abs(light) ** 2).sum(axis=1)
                found[index] = shifts_by_correlation(windows, asked, power, reach_px)

        self._side_by_side(walk, self.everything)
        return found

    def search(
        self, state: State, object_change: C64, probe_change: C64, *, poisson: bool = False
    ) -> tuple[float, float]:
        """First and second derivative of the misfit along a change of object and probe at once, at no change."""
        view = _view(state)
        along_object = view._replace(object_=object_change.view(np.float32))
        along_probe = view._replace(probe=probe_change.view(np.float32), vary=np.zeros_like(view.vary))

        def walk(lane: _Lane, part: I64) -> F64:
            sums = np.zeros(2)
            field = np.zeros_like(lane.psi)
            for where in lane.groups(part):
                # dF = FT(P dO + O dP), then F, through the one buffer that transforms are planned for.
                self._begin(lane, along_object, where)
                field[...] = lane.psi
                self._begin(lane, along_probe, where)
                lane.psi += field
                lane.fourier.forward()
                field[...] = lane.psi
                self._begin(lane, view, where)
                lane.fourier.forward()
                kernels_sums.search(
                    lane.psi,
                    field,
                    self.modes,
                    self.frames,
                    *where,
                    self.good,
                    view.background,
                    view.gain,
                    poisson,
                    sums,
                )
            return sums

        total = np.sum(self._side_by_side(walk, self.everything), axis=0)
        return float(total[0]), float(total[1])

    def coupling(self, state: State, index: I64, direction: Direction, probe_change: C64) -> float:
        """Sum over positions of Re <P dO, O dP>."""
        view = _view(state)
        changes = direction.values.view(np.float32), probe_change.view(np.float32)

        def walk(lane: _Lane, part: I64) -> float:
            found = kernels_sums.coupling(
                view.object_, changes[0], direction.rows.start, view.probe, changes[1], view.corners, part, 0, len(part)
            )
            return float(found)

        return float(sum(self._side_by_side(walk, index)))

    def one_by_one(self, state: State, order: I64, steps: tuple[float, float, float, float]) -> float:
        """Object and probe corrected pattern after pattern (PIE), in place; returns the misfit, each taken just before.

        Parameters
        ----------
        steps
            object step, object alpha, probe step, probe alpha
        """
        object_step, object_alpha, probe_step, probe_alpha = steps
        view, lane = _view(state), self._one
        brightest = (np.abs(state.probe) ** 2).sum(axis=0).max()
        numbers = np.array([object_step, object_alpha, brightest, probe_step, probe_alpha], np.float32)
        advance, modulus, forward, backward = (
            kernels.advance, kernels.modulus, lane.fourier.forward, lane.fourier.backward,
        )  # fmt: skip
        exits = (
            view.object_, view.probe, view.vary, view.shares, lane.combined, lane.shifted, lane.psi, view.corners,
            view.weights, view.fractional, lane.between, lane.lines, numbers,
        )  # fmt: skip
        psi, modes, frames, good, lines = lane.psi, self.modes, self.frames, self.good, lane.lines
        misfit = 0.0
        done = -1
        for at, position in enumerate(order.tolist()):
            advance(*exits, done, position)
            forward()
            misfit += modulus(psi, modes, frames, order, at, 1, good, view.background, view.gain, False, lines)
            backward()
            done = position
        advance(*exits, done, -1)
        return float(misfit)

    def waves(self, state: State) -> C64:
        """Exit waves P O of all positions (POSITION, MODE, QY, QX) complex64, where projections begin."""
        view, lane = _view(state), self._one
        waves = np.empty((len(self.frames), self.modes, *self.good.shape), np.complex64)
        for where in lane.groups(self.everything):
            self._begin(lane, view, where)
            waves[where.start] = lane.fourier.buffer
        return waves

    def misfit(self, state: State) -> float:
        """Sum over all frames of (sqrt M - sqrt I)^2, one and the same object and probe for all."""
        view = _view(state)

        def walk(lane: _Lane, part: I64) -> float:
            misfit = 0.0
            for where in lane.groups(part):
                self._begin(lane, view, where)
                lane.fourier.forward()
                misfit += self._modulus(lane, view, where)
            return misfit

        return float(sum(self._side_by_side(walk, self.everything)))

    def _begin(self, lane: _Lane, view: _View, where: _Where, kept: F32 = _NO_WAVES) -> None:
        kernels.begin(
            view.object_, view.probe, view.vary, view.shares, lane.combined, lane.shifted, lane.psi, view.corners,
            view.weights, view.fractional, lane.between, kept, *where,
        )  # fmt: skip
        # Of an incomplete group the rest is transformed too: zeros, which do not overflow.
        lane.psi[where.n * self.modes :] = 0

    def _modulus(self, lane: _Lane, view: _View, where: _Where, poisson: bool = False) -> float:
        misfit = kernels.modulus(
            lane.psi, self.modes, self.frames, *where, self.good, view.background, view.gain, poisson, lane.lines
        )
        return float(misfit)

    def _side_by_side(self, walk: Callable[[_Lane, I64], Any], index: I64) -> list[Any]:
        return self._spread(walk, self._lanes, [np.ascontiguousarray(part) for part in np.array_split(index, LANES)])

    def _spread(self, function: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
        first, *others = zip(*arguments, strict=True)
        if self._others is None:
            return [function(*first), *(function(*other) for other in others)]
        under_way = [self._others.submit(function, *other) for other in others]
        return [function(*first), *(one.result() for one in under_way)]


class _View(NamedTuple):
    # A state as the kernels get it: complex arrays as pairs of floats.
    object_: F32
    probe: F32
    vary: F32
    shares: F32
    background: F32
    gain: F32
    corners: I32
    weights: F32
    fractional: Mask


def _view(state: State) -> _View:
    return _View(
        object_=state.object_.view(np.float32),
        probe=state.probe.view(np.float32),
        vary=state.variations.view(np.float32),
        shares=state.shares,
        background=state.background,
        gain=np.asarray(1.0 / state.intensity, np.float32),
        corners=state.placed.corners,
        weights=state.placed.weights,
        fractional=state.placed.fractional,
    )


def _added(parts: Iterable[F32]) -> F32:
    first, *others = parts
    total = first.copy()
    for other in others:
        total += other
    return total


def _bands(low: int, high: int) -> tuple[list[int], list[int]]:
    edges = np.linspace(low, high, LANES + 1).astype(int).tolist()
    return edges[:-1], edges[1:]


def margins(modes: int, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Shape of a stack of windows with the margins that kernels want."""
    return modes, shape[0] + 2 * PAD_ROWS, shape[1] + 2 * PAD


def laid_out(problem: Problem) -> tuple[Array, F32, float]:
    """Frames with zero frequency at [0, 0] and zeros where pixels are not good, the mask likewise, and all counts."""
    good = np.fft.ifftshift(problem.good)
    whole = np.issubdtype(problem.frames.dtype, np.integer) and problem.frames.max() < 2**16
    # Integers stay integers: half the memory traffic of the loop, and of the worker.
    frames = np.empty(problem.frames.shape, np.uint16 if whole else np.float32)
    counts = 0.0
    for target, frame in zip(frames, problem.frames, strict=True):
        target[...] = np.where(good, np.maximum(np.fft.ifftshift(frame), 0), 0)
        counts += float(np.sum(target, dtype=np.float64))
    return frames, good.astype(np.float32), counts
