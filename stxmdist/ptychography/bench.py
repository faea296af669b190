"""How fast this machine runs a PIE engine's loop, beside the Fourier transforms that it cannot do without."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stxmdist.ptychography.pie import PieOptions, prepared_loop
from stxmdist.ptychography.problem import Problem


@dataclass(frozen=True)
class LoopTimes:
    """Times of one thread, the least of several rounds in which both took turns."""

    engine: str
    frame_px: int
    n_modes: int
    sub_pixel: bool
    library: str
    """``fftw`` or ``scipy``"""
    us_per_pattern: float
    """one pattern in one iteration, object and probe updated"""
    us_two_transforms: float
    """the two Fourier transforms of a pattern alone, by the same plans"""

    @property
    def ratio(self) -> float:
        """Pattern over its transforms: 1 would be a loop that costs nothing else."""
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
    """Time the loop of ``epie`` or ``rpie`` over random frames of ``frame_px`` x ``frame_px``, one thread."""
    problem = _random_problem(frame_px, n_modes, positions)
    options = PieOptions(n_modes=n_modes, sub_pixel=sub_pixel, probe_start_iteration=0)
    loop, fourier = prepared_loop(problem, options, 1.0 if engine == "epie" else 0.1, library)

    def transforms() -> None:
        forward, backward = fourier.forward, fourier.backward
        for _ in range(positions):
            forward()
            backward()

    loop()  # compiles
    best = [np.inf, np.inf]
    for _ in range(rounds):
        best[0] = min(best[0], _seconds(loop))
        # Repeated transforms without normalisation would overflow; zeros take the same time.
        fourier.padded[...] = 0
        best[1] = min(best[1], _seconds(transforms))
    return LoopTimes(
        engine=engine,
        frame_px=frame_px,
        n_modes=n_modes,
        sub_pixel=sub_pixel,
        library=fourier.library,
        us_per_pattern=best[0] / positions * 1e6,
        us_two_transforms=best[1] / positions * 1e6,
    )


def _seconds(function: Callable[[], object]) -> float:
    begin = time.thread_time()
    function()
    return time.thread_time() - begin


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
