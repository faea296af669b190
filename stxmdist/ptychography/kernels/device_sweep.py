"""Passes over the frames of a tile by kernels for GPUs: those of ``array_sweep``, its longest chains of code fused.

The kernels are in ``device_kernels.cu``. Array code reads and writes all waves of a launch once for every operation;
these do so once for light and exit waves, once for the modulus, and once for each of the sums. Transforms are the array
library's. A library that compiles source at run time (cupy's ``RawModule``) has them; the tests compile the same source
for the CPU, where every pass is compared with those of the compiled loops, and with NVRTC for GPUs.

Not yet run on a GPU. Sums over windows are added there in no fixed order, so that their last bits may differ from run
to run; sums over positions are always added in the same one.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from stxmdist.arrays import C64, F32, I64, Array
from stxmdist.ptychography.kernels import operators
from stxmdist.ptychography.kernels.array_sweep import BUDGET, ArraySweep
from stxmdist.ptychography.kernels.interpolation import TAPS
from stxmdist.ptychography.kernels.seen import Added, Seen, Source
from stxmdist.ptychography.kernels.sweep import Sums
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

SOURCE = Path(__file__).with_name("device_kernels.cu")
OPTIONS = ("--std=c++11",)
THREADS = 256
"""Of a block: many enough to hide the memory's delay, few enough for several blocks on a multiprocessor"""
MOST_BLOCKS = 2**16
"""Threads then take several pixels each"""


def compiles(namespace: ModuleType) -> bool:
    """Whether an array library compiles kernels from source."""
    return hasattr(namespace, "RawModule")


class DeviceSweep(ArraySweep):
    """As `ArraySweep`, with fused kernels.

    Parameters
    ----------
    namespace
        cupy, or a library with its ``RawModule``
    """

    def __init__(self, problem: Problem, modes: int, namespace: ModuleType, *, budget: int = BUDGET) -> None:
        super().__init__(problem, modes, namespace, budget=budget)
        self._module = namespace.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=OPTIONS)
        self._functions: dict[str, Any] = {}

    def projections(self, state: State, waves: C64, beta: float) -> Sums:
        """See ``sweep.Sweep``."""
        empty_like = self.namespace.empty_like

        def ask(seen: Seen) -> tuple[C64, float]:
            here = waves[int(seen.which[0]) : int(seen.which[-1]) + 1]
            reflected, numbers = empty_like(seen.wave), 2 * seen.wave.size
            self._launch("reflect", numbers, reflected, seen.wave, here, np.int64(numbers))
            field, misfit = self._revised(state, operators.propagate(reflected), seen)
            back = operators.propagate_adjoint(field)
            self._launch("relax", numbers, here, back, seen.wave, np.float32(beta), np.int64(numbers))
            return here, misfit

        return self._sums(state, self.everything, ask)

    def _seen(self, state: State, index: I64, source: Source) -> Seen:
        xp, placed, shape = self.namespace, state.placed, self.good.shape
        count, variations = len(index), len(state.variations)
        weights = self._weights(placed.weights[index]) if placed.moved else None
        stack = (count, self.modes, *shape)
        light, wave = xp.empty(stack, dtype=xp.complex64), xp.empty(stack, dtype=xp.complex64)
        window = xp.empty((count, *shape), dtype=xp.complex64)
        corners = placed.corners[index]
        shares = state.shares[index] if variations else np.zeros((1, 1), np.float32)
        self._launch(
            "exit_waves", count * self.good.size, light, wave, window, source.probe,
            source.variations if variations else source.probe, xp.asarray(np.ascontiguousarray(shares)), state.object_,
            xp.asarray(corners), self._taps(state, index), *map(np.int32, (count, self.modes, variations, *shape)),
            np.int32(self._count_of_taps(state)), np.int32(self.object_shape[1]),
        )  # fmt: skip
        return Seen(
            which=index,
            corners=corners,
            weights=weights,
            window=window,
            light=light,
            wave=wave,
            counts=xp.take(self.frames, xp.asarray(index), axis=0).astype(xp.float32),
            gain=xp.asarray(np.asarray(1.0 / state.intensity[index], np.float32))[:, None, None],
        )

    def _revised(self, state: State, field: Array, seen: Seen, poisson: bool = False) -> tuple[C64, float]:
        count, pixels = len(field), self.good.size
        misfit = self.namespace.empty(count, dtype=self.namespace.float64)
        self._launch(
            "revise", count * THREADS, field, misfit, seen.counts, self._use, state.background, seen.gain,
            *map(np.int32, (count, self.modes, pixels, poisson)),
        )  # fmt: skip
        return field, self._total(misfit)

    def _add(self, state: State, seen: Seen, wanted: C64, added: Added, first_row: int) -> None:
        xp, shape, count = self.namespace, self.good.shape, len(seen.which)
        sizes = tuple(map(np.int32, (count, self.modes, *shape)))
        self._launch(
            "ask_object", count * self.good.size, added.object_, added.weight, seen.light, wanted, seen.wave,
            xp.asarray(seen.corners - np.array([first_row, 0], np.int32)), *sizes, np.int32(self.object_shape[1]),
        )  # fmt: skip
        self._launch(
            "ask_probe", added.probe.size, added.probe, added.brightness, seen.window, wanted, seen.wave,
            self._taps(state, seen.which), *sizes, np.int32(self._count_of_taps(state)),
        )  # fmt: skip

    def _count_of_taps(self, state: State) -> int:
        return TAPS if state.placed.moved else 1

    def _taps(self, state: State, index: I64) -> F32:
        # Weights (n, 2, taps) in the library's memory.
        placed = state.placed
        weights = placed.weights[index] if placed.moved else np.ones((len(index), 2, 1), np.float32)
        taps: F32 = self.namespace.asarray(np.ascontiguousarray(weights))
        return taps

    def _launch(self, name: str, work: int, *arguments: Any) -> None:
        # One thread for each piece of work, or for some.
        if name not in self._functions:
            self._functions[name] = self._module.get_function(name)
        blocks = int(min(MOST_BLOCKS, -(-work // THREADS)))
        self._functions[name]((blocks,), (THREADS,), arguments)


__all__ = ["OPTIONS", "SOURCE", "DeviceSweep", "compiles"]
