"""Passes over the frames of a tile in plain array code; ``fused_sweep`` does the same in loops on the CPU.

``device_sweep`` is this with its longest chains fused to kernels, for libraries that compile them.

Frames stay in the array library's memory as whole numbers; many positions are computed in one launch. Beside its speed
on a GPU this is an independent check of the compiled loops: the tests compare every pass of one with the other. Types
name numpy's arrays, which those of other libraries behave like.

Run so far: with numpy, and with an array library of the tests that refuses numpy's arrays. Not yet run with cupy, for
lack of a GPU: ``operators.add_windows``, ``arrays.numpy_of`` and ``device.found_cupy`` have branches for cupy, whose
logic was tested with stand-ins; all else is the same code. On a GPU sums are added in no fixed order, so that the last
bits may differ from run to run, which they never do on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from types import ModuleType

import numpy as np

from stxmdist.arrays import C64, F32, F64, I64, Array, numpy_of
from stxmdist.ptychography.correlation import shifts_by_correlation
from stxmdist.ptychography.kernels import operators
from stxmdist.ptychography.kernels.fourier import inside, padded_copy
from stxmdist.ptychography.kernels.seen import Added, Seen, Source
from stxmdist.ptychography.kernels.sweep import Direction, Observations, Sums, laid_out
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

BUDGET = 2**30
"""Bytes that one launch may fill: more positions at once than these hold are no faster on any GPU."""
_COPIES = 8  # stacks of waves that a pass holds at the same time
_TINY = 1e-6  # counts; as in the compiled loops
_MOVED = ("object_", "probe", "background", "variations")  # arrays of a state that lie where the passes run


class ArraySweep:
    """The frames of a tile in an array library's memory, and the passes over them: see ``sweep.Sweep``.

    Parameters
    ----------
    namespace
        numpy, cupy, or any array library of that kind with Fourier transforms
    budget
        bytes that the waves of one launch may fill
    """

    def __init__(self, problem: Problem, modes: int, namespace: ModuleType, *, budget: int = BUDGET) -> None:
        self.modes, self.namespace, self.budget = modes, namespace, budget
        self.object_shape = problem.object_shape
        frames, self.good, self.counts = laid_out(problem)
        self.frames, self._use = namespace.asarray(frames), namespace.asarray(self.good)

    def with_modes(self, modes: int) -> ArraySweep:
        """The same frames for another number of modes."""
        other = copy(self)
        other.modes = modes
        return other

    def adopt(self, state: State) -> None:
        """Move a state's arrays to where the passes run."""
        for name in _MOVED:
            setattr(state, name, self.namespace.asarray(getattr(state, name)))

    def release(self, state: State) -> None:
        """Move them back to numpy."""
        for name in _MOVED:
            setattr(state, name, numpy_of(getattr(state, name)))

    @property
    def everything(self) -> I64:
        """All positions in their order."""
        return np.arange(len(self.frames), dtype=np.int64)

    def gradients(self, state: State, index: I64, *, poisson: bool = False) -> Sums:
        """The sums of some positions (n,) with d = exit waves of the measured modulus less those of the model."""

        def ask(seen: Seen) -> tuple[C64, float]:
            field, misfit = self._revised(state, operators.propagate(seen.wave), seen, poisson)
            return operators.propagate_adjoint(field), misfit

        return self._sums(state, index, ask)

    def projections(self, state: State, waves: C64, beta: float) -> Sums:
        """One step of RAAR (beta < 1) or the difference map (1) for all kept waves (POSITION, MODE, QY, QX), in place.

        The sums are those of d = wave - P O.
        """

        def ask(seen: Seen) -> tuple[C64, float]:
            here = slice(int(seen.which[0]), int(seen.which[-1]) + 1)
            field, misfit = self._revised(state, operators.propagate(2.0 * seen.wave - waves[here]), seen)
            waves[here] = beta * (waves[here] + operators.propagate_adjoint(field)) + (1.0 - 2.0 * beta) * seen.wave
            return waves[here], misfit

        return self._sums(state, self.everything, ask)

    def _sums(self, state: State, index: I64, ask: Callable[[Seen], tuple[C64, float]]) -> Sums:
        # ``ask`` says what the exit waves are to be, and the misfit: d is by how much they differ.
        xp, shape = self.namespace, self.good.shape
        reached = state.placed.corners[index, 0]
        rows = slice(int(reached.min()), int(reached.max()) + shape[0])
        band = (rows.stop - rows.start, self.object_shape[1])
        added = Added(
            object_=xp.zeros(band, dtype=xp.complex64),
            weight=xp.zeros(band, dtype=xp.float32),
            probe=xp.zeros_like(_as_moved(inside(state.probe), state)),
            brightness=xp.zeros(shape, dtype=xp.float32),
        )
        misfit = 0.0
        for seen in self._all_seen(state, index):
            wanted, more = ask(seen)
            misfit += more
            self._add(state, seen, wanted, added, rows.start)
        probe, weight = padded_copy(_as_asked(added.probe, state)), added.weight
        return Sums(added.object_, weight, probe, added.brightness, float(misfit), rows, float(weight.max()))

    def _add(self, state: State, seen: Seen, wanted: C64, added: Added, first_row: int) -> None:
        change = wanted - seen.wave
        corners = seen.corners - np.array([first_row, 0], np.int32)
        operators.add_windows(added.object_, (self.namespace.conj(seen.light) * change).sum(axis=1), corners)
        operators.add_windows(added.weight, _power(seen.light).sum(axis=1), corners)
        back = _moved_back(self.namespace.conj(seen.window)[:, None] * change, seen.weights)
        added.probe[...] += back.sum(axis=0)
        added.brightness[...] += _power(seen.window).sum(axis=0)

    def object_direction(self, sums: Sums, damping: float) -> Direction:
        """By what the object is to change: the weighted mean of what all positions ask, reduced where it is dim.

        ``damping`` is light, as share of the brightest pixel's, at which half of it is left.
        """
        inverse = 1.0 / (sums.weight + damping * sums.brightest)
        square = _power(sums.object_) * inverse
        right, own = self._total(square), self._total(square * sums.weight * inverse)
        return Direction(sums.object_ * inverse, float(right), float(own), sums.rows)

    def move_object(self, state: State, run: C64, direction: Direction, momentum: float, step: float) -> None:
        """Momentum: run <- momentum run + step direction, object <- object + run; both (Y, X), in place."""
        rows = direction.rows
        run[rows] = momentum * run[rows] + step * direction.values
        state.object_[rows] += run[rows]

    def observe(self, state: State, sketch: F32) -> Observations:
        """What all positions say of shift, intensity, background and variation of the probe, in numpy arrays.

        Parameters
        ----------
        sketch
            (POSITION, VARIATION) float32 weights with which what each asks of the probe is gathered
        """
        xp, shape, vary = self.namespace, self.good.shape, inside(state.variations)
        count, n_vary, turn = len(self.frames), len(state.variations), _as_moved(vary, state)
        normal, variation = np.zeros((count, 6)), np.zeros((count, 2 * n_vary))
        expected, measured = np.zeros(count), np.zeros(count)
        surplus, certainty, brightness = (xp.zeros(shape, dtype=xp.float32) for _ in range(3))
        gathered = xp.zeros_like(turn)
        misfit = 0.0
        for seen in self._all_seen(state, self.everything):
            field = operators.propagate(seen.wave)
            light = _power(field).sum(axis=1)
            model = light / seen.gain + state.background
            counts, sure = operators.reading(seen.counts, model), 1.0 / (model + 1.0)
            surplus, certainty = surplus + (sure * (counts - model)).sum(axis=0), certainty + sure.sum(axis=0)
            expected[seen.which] = self._totals(self._use * light)
            measured[seen.which] = self._totals(self._use * (counts - state.background))
            field, more = self._revised(state, field, seen)
            misfit += more
            change = operators.propagate_adjoint(field) - seen.wave
            normal[seen.which] = np.stack([self._totals(_dot(a, b)) for a, b in _slopes(seen, change)], axis=1)
            brightness += (bright := _power(seen.window)).sum(axis=0)
            if n_vary:
                asked = _moved_back(xp.conj(seen.window)[:, None] * change[:, :1], seen.weights)[:, 0]
                weights = xp.asarray(sketch[seen.which])[..., None, None]
            for number in range(n_vary):
                variation[seen.which, 2 * number] = self._totals(_dot(turn[number], asked))
                variation[seen.which, 2 * number + 1] = self._totals(bright * _power(vary[number]))
                gathered[number] += (weights[:, number] * asked).sum(axis=0)
        return Observations(
            normal=normal,
            expected_counts=expected,
            measured_counts=measured,
            surplus=numpy_of(surplus / certainty),
            certainty=numpy_of(certainty),
            variation=variation,
            gathered=numpy_of(padded_copy(_as_asked(gathered, state))),
            brightness=numpy_of(brightness / count),
            misfit=float(misfit),
        )

    def correlate(self, state: State, reach_px: float) -> F64:
        """Shifts (POSITION, 2) by which windows should move, by correlation, in numpy: this is seldom asked."""
        found = np.zeros((len(self.frames), 2))
        for seen in self._all_seen(state, self.everything):
            wave = operators.propagate_adjoint(self._revised(state, operators.propagate(seen.wave), seen)[0])
            asked = (self.namespace.conj(seen.light) * wave).sum(axis=1)
            power = numpy_of(_power(seen.light).sum(axis=1))
            found[seen.which] = shifts_by_correlation(numpy_of(seen.window), numpy_of(asked), power, reach_px)
        return found

    def search(
        self, state: State, object_change: C64, probe_change: C64, *, poisson: bool = False
    ) -> tuple[float, float]:
        """First and second derivative of the misfit along a change of object and probe at once, at no change."""
        xp = self.namespace
        slope, curve, turn = 0.0, 0.0, _as_moved(inside(probe_change), state)
        for seen in self._all_seen(state, self.everything):
            ahead = operators.windows(object_change, seen.corners, self.good.shape)[:, None] * seen.light
            ahead += seen.window[:, None] * _moved(self._stack(turn, len(seen.which)), seen.weights)
            field, change = operators.propagate(seen.wave), operators.propagate(ahead)
            expected, measured = self._compared(state, field, seen)
            first, second = 2.0 * _dot(field, change).sum(axis=1), 2.0 * _power(change).sum(axis=1)
            if poisson:  # as far as the gradient follows the likelihood: to twice the amplitude
                expected = xp.maximum(expected, 0.25 * measured)
                ratio = measured / expected
                bent = ratio * first * first / expected
            else:
                ratio = xp.sqrt(measured / expected)
                bent = 0.5 * ratio * first * first / expected
            slope += self._total(self._use * (1.0 - ratio) * first)
            curve += self._total(self._use * (bent + (1.0 - ratio) * second))
        return float(slope), float(curve)

    def coupling(self, state: State, index: I64, direction: Direction, probe_change: C64) -> float:
        """Sum over positions of Re <P dO, O dP>; fractions of a pixel are left out: they move both alike."""
        shape, corners = self.good.shape, state.placed.corners
        probe, change = inside(state.probe), inside(probe_change)
        total = 0.0
        for part in self._parts(index):
            new = operators.windows(direction.values, corners[part] - np.array([direction.rows.start, 0]), shape)
            here = operators.windows(state.object_, corners[part], shape)
            total += self._total(_dot(new[:, None] * probe, here[:, None] * change))
        return float(total)

    def one_by_one(self, state: State, order: I64, steps: tuple[float, float, float, float]) -> float:
        """Object and probe corrected frame after frame (PIE), in place; returns the misfit, each taken just before.

        Parameters
        ----------
        steps
            object step, object alpha, probe step, probe alpha
        """
        object_step, object_alpha, probe_step, probe_alpha = steps
        xp, placed = self.namespace, state.placed
        floor = object_alpha * float(_power(state.probe).sum(axis=0).max())
        misfit, source = 0.0, self._source(state)
        for start in range(len(order)):
            seen = self._seen(state, order[start : start + 1], source)
            field, more = self._revised(state, operators.propagate(seen.wave), seen)
            misfit += more
            change = operators.propagate_adjoint(field) - seen.wave
            weight = (1.0 - object_alpha) * _power(seen.light).sum(axis=1) + floor
            ahead = object_step * (xp.conj(seen.light) * change).sum(axis=1) / weight
            operators.add_windows(state.object_, ahead, seen.corners)
            light = _power(seen.window)
            least = max(probe_alpha * float(light.max()), 1e-12)
            ahead = xp.conj(seen.window) / ((1.0 - probe_alpha) * light + least)
            asked = ahead[:, None] * change
            if placed.moved:
                asked = operators.step_back(asked, *self._weights(placed.back[seen.which]))
            source.probe[...] += probe_step * asked.sum(axis=0)
        if probe_step:
            inside(state.probe)[...] = operators.samples(source.probe) if placed.moved else source.probe
        return float(misfit)

    def waves(self, state: State) -> C64:
        """Exit waves P O of all positions (POSITION, MODE, QY, QX) complex64, where projections start."""
        xp = self.namespace
        waves: C64 = xp.zeros((len(self.frames), self.modes, *self.good.shape), dtype=xp.complex64)
        for seen in self._all_seen(state, self.everything):
            waves[int(seen.which[0]) : int(seen.which[-1]) + 1] = seen.wave
        return waves

    def misfit(self, state: State) -> float:
        """Sum over all frames of (sqrt M - sqrt I)^2, with one and the same object and probe for all."""
        misfit = 0.0
        for seen in self._all_seen(state, self.everything):
            misfit += self._revised(state, operators.propagate(seen.wave), seen)[1]
        return float(misfit)

    def _parts(self, index: I64) -> Iterator[I64]:
        count = max(1, self.budget // (_COPIES * 8 * self.modes * self.good.size))
        for start in range(0, len(index), count):
            yield index[start : start + count]

    def _all_seen(self, state: State, index: I64) -> Iterator[Seen]:
        source = self._source(state)
        for part in self._parts(index):
            yield self._seen(state, part, source)

    def _source(self, state: State) -> Source:
        return Source(*(_as_moved(inside(probe), state).copy() for probe in (state.probe, state.variations)))

    def _weights(self, weights: F32) -> tuple[F32, F32]:
        return self.namespace.asarray(weights[:, 0]), self.namespace.asarray(weights[:, 1])

    def _seen(self, state: State, index: I64, source: Source) -> Seen:
        xp, placed = self.namespace, state.placed
        weights = self._weights(placed.weights[index]) if placed.moved else None
        light = self._stack(source.probe, len(index))
        for number, mode in enumerate(source.variations):
            light[:, 0] += xp.asarray(state.shares[index, number])[:, None, None] * mode
        light = _moved(light, weights)
        window = operators.windows(state.object_, placed.corners[index], self.good.shape)
        return Seen(
            which=index,
            corners=placed.corners[index],
            weights=weights,
            window=window,
            light=light,
            wave=window[:, None] * light,
            counts=xp.take(self.frames, xp.asarray(index), axis=0).astype(xp.float32),
            gain=xp.asarray(np.asarray(1.0 / state.intensity[index], np.float32))[:, None, None],
        )

    def _stack(self, probe: C64, count: int) -> C64:
        # A probe once for each position.
        stack: C64 = self.namespace.zeros((count, *probe.shape), dtype=probe.dtype)
        stack[...] = probe
        return stack

    def _compared(self, state: State, field: Array, seen: Seen) -> tuple[F32, F32]:
        # What the model and what the detector count, both brought to even intensity.
        expected = _power(field).sum(axis=1) + state.background * seen.gain + _TINY
        return expected, operators.reading(seen.counts * seen.gain, expected)

    def _revised(self, state: State, field: Array, seen: Seen, poisson: bool = False) -> tuple[C64, float]:
        # Far fields with the measured modulus on good pixels, and the misfit before.
        xp = self.namespace
        expected, measured = self._compared(state, field, seen)
        ratio = xp.sqrt(measured / expected)
        change = ratio - 1.0
        misfit = self._total(self._use * expected * change**2 / seen.gain)
        if poisson:  # half its likelihood's gradient, straight on above twice the amplitude
            change = xp.where(ratio < 2.0, 0.5 * (ratio**2 - 1.0), 1.5 * change)
        return field * (1.0 + self._use * change)[:, None], misfit

    def _total(self, values: Array) -> float:
        return float(values.sum(dtype=self.namespace.float64))

    def _totals(self, values: Array) -> F64:
        # Of each position.
        sums: F64 = numpy_of(values.reshape(len(values), -1).sum(axis=1, dtype=self.namespace.float64))
        return sums


def _power(values: Array) -> F32:
    power: F32 = values.real**2 + values.imag**2
    return power


def _dot(one: Array, other: Array) -> F32:
    product: F32 = one.real * other.real + one.imag * other.imag
    return product


def _as_moved(probe: C64, state: State) -> C64:
    # Itself, or its coefficients where it is moved.
    return operators.coefficients(probe) if state.placed.moved else probe


def _as_asked(asked: C64, state: State) -> C64:
    # The adjoint.
    return operators.coefficients_adjoint(asked) if state.placed.moved else asked


def _moved(light: C64, weights: tuple[F32, F32] | None) -> C64:
    return light if weights is None else operators.interpolate(light, *weights)


def _moved_back(change: C64, weights: tuple[F32, F32] | None) -> C64:
    return change if weights is None else operators.interpolate_adjoint(change, *weights)


def _slopes(seen: Seen, change: C64) -> list[tuple[Array, Array]]:
    # What the normal equations of a window's shift multiply; the window's rim is left out.
    window, light, change = seen.window, seen.light[:, :, 1:-1, 1:-1], change[:, :, 1:-1, 1:-1]
    down = 0.5 * (window[:, 2:, 1:-1] - window[:, :-2, 1:-1])[:, None] * light
    along = 0.5 * (window[:, 1:-1, 2:] - window[:, 1:-1, :-2])[:, None] * light
    return [(down, down), (down, along), (along, along), (down, change), (along, change), (change, change)]
