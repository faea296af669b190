"""How fast an engine's loop runs on this machine, compared with the Fourier transforms that every engine needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels.fourier import padded_copy, transform
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.sweep import margins
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Step
from stxmdist.ptychography.state import State


@dataclass(frozen=True)
class LoopTimes:
    """Times on one thread: the least of several rounds, in which the loop and its transforms took turns."""

    engine: str
    frame_px: int
    n_modes: int
    sub_pixel: bool
    library: str
    """``fftw`` or ``scipy``"""
    us_per_pattern: float
    """Of one frame in one iteration, with object and probe updated"""
    us_two_transforms: float
    """Of the two Fourier transforms of a frame alone, by the plans of the PIE loop"""

    @property
    def ratio(self) -> float:
        """Time of a frame over that of its transforms: 1 would be a loop that costs nothing else."""
        return self.us_per_pattern / self.us_two_transforms


def loop_times(
    frame_px: int = 128,
    *,
    engine: str = "epie",
    n_modes: int = 1,
    sub_pixel: bool = False,
    library: str | None = None,
    positions: int = 200,
    rounds: int = 9,
) -> LoopTimes:
    """Time an engine's iteration over random frames of ``frame_px`` x ``frame_px``, one thread."""
    iterate = _iteration(engine, frame_px, n_modes, sub_pixel, library, positions, threads=1)
    fourier = transform((n_modes, frame_px, frame_px), library)

    def transforms() -> None:
        forward, backward = fourier.forward, fourier.backward
        for _ in range(positions):
            forward()
            backward()

    iterate()  # compiles
    best = [np.inf, np.inf]
    for _ in range(rounds):
        best[0] = min(best[0], _seconds(iterate, time.thread_time))
        # Repeated transforms without normalisation would overflow; zeros take the same time.
        fourier.padded[...] = 0
        best[1] = min(best[1], _seconds(transforms, time.thread_time))
    return LoopTimes(
        engine=engine,
        frame_px=frame_px,
        n_modes=n_modes,
        sub_pixel=sub_pixel,
        library=fourier.library,
        us_per_pattern=best[0] / positions * 1e6,
        us_two_transforms=best[1] / positions * 1e6,
    )


def speed_up(engine: str, frame_px: int = 128, *, positions: int = 1000, rounds: int = 15) -> float:
    """How many times faster an iteration is on two threads than on one, by the least wall times of several rounds."""
    loops = [_iteration(engine, frame_px, 1, False, None, positions, threads) for threads in (1, 2)]
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for number, loop in enumerate(loops):
            best[number] = min(best[number], _seconds(loop, time.perf_counter))
    return best[0] / best[1]


def _seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    function()
    return clock() - begin


def _iteration(
    name: str, frame_px: int, n_modes: int, sub_pixel: bool, library: str | None, positions: int, threads: int
) -> Callable[[], float]:
    problem = _random_problem(frame_px, n_modes, positions)
    state = State(
        object_=np.ones(problem.object_shape, np.complex64),
        probe=padded_copy(problem.probe),
        positions_px=problem.positions_px,
        intensity=np.ones(positions, np.float32),
        background=np.zeros((frame_px, frame_px), np.float32),
        variations=np.zeros(margins(0, (frame_px, frame_px)), np.complex64),
        shares=np.zeros((positions, 0), np.float32),
        sub_pixel=sub_pixel,
    )
    engine = ENGINES[name].load()(FusedSweep(problem, n_modes, threads, library), state, Step(name, 1).parsed())
    rng = np.random.default_rng(0)
    return lambda: engine.iterate(1.0, rng, object_moves=True, probe_moves=True)


def _random_problem(n: int, modes: int, positions: int) -> Problem:
    rng = np.random.default_rng(0)
    scatter = np.exp(-0.5 * ((np.indices((n, n)) - n / 2) ** 2).sum(axis=0) / (n / 8) ** 2)
    probe = (scatter * np.exp(1j * rng.normal(size=(modes, n, n)))).astype(np.complex64)
    frames = rng.poisson(100 * scatter, size=(positions, n, n)).astype(np.uint16)
    return Problem(
        frames=frames,
        good=np.ones((n, n), bool),
        positions_px=rng.uniform(0, 2 * n, size=(positions, 2)),
        probe=probe,
        object_shape=(3 * n + 2, 3 * n + 2),
    )
