"""Least-squares maximum likelihood: each batch of frames gives directions of object and probe, and steps along them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import namespace_of
from stxmdist.ptychography.engines.directions import probe_direction, steps
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import NOISE, State, refuse_unless


@dataclass(frozen=True)
class LeastSquaresOptions:
    """Options of LSQ-ML."""

    batch: int = 150
    """Positions from one step to the next; which, is drawn for each iteration"""
    least_steps: int = 8
    """Least number of steps in an iteration, for scans of few positions"""
    noise: Literal["gaussian", "poisson"] = "gaussian"
    """Which likelihood: of amplitudes that all have the same error, or of counts"""
    object_step: float = 1.0
    """Share of the step that least squares propose"""
    probe_step: float = 1.0
    """The same for the probe"""
    final_step: float = 0.1
    """Over the second half of the iterations both steps shrink to this share"""
    damping: float = 0.3
    """Pixels with less light than this share of the brightest pixel's change little"""
    momentum: float = 0.6
    """Share of the last step that is added to each step, from a third of the iterations on; less before"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            batch=(self.batch >= 1, "at least 1"),
            least_steps=(self.least_steps >= 1, "at least 1"),
            noise=(self.noise in NOISE, " or ".join(NOISE)),
            object_step=(0.0 < self.object_step <= 2.0, "above 0, at most 2"),
            probe_step=(0.0 <= self.probe_step <= 2.0, "0 to 2"),
            final_step=(0.0 < self.final_step <= 1.0, "above 0, at most 1"),
            damping=(0.0 < self.damping < 1.0, "between 0 and 1"),
            momentum=(0.0 <= self.momentum < 1.0, "0 or more, below 1"),
        )


class LeastSquares:
    """LSQ-ML (Odstrcil, Menzel and Guizar-Sicairos, Opt. Express 26, 3108, 2018), one pair of steps for each batch.

    The steps of object and probe minimise sum |d - a P dO - b O dP|^2 over the batch. That needs only sums that are
    there already, so that no frame is visited twice.
    """

    def __init__(self, sweep: Sweep, state: State, options: LeastSquaresOptions) -> None:
        self.sweep, self.state, self.options = sweep, state, options
        xp = namespace_of(state.object_)
        self._object_run, self._probe_run = xp.zeros_like(state.object_), xp.zeros_like(state.probe)

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """One pass over all frames; returns the misfit, each batch taken before its step."""
        options, state = self.options, self.state
        calm = options.final_step ** max(0.0, 2.0 * progress - 1.0)
        # The first steps are long: carried on they would mislead.
        momentum = options.momentum * min(1.0, 3.0 * progress)
        order = rng.permutation(len(self.sweep.frames))
        misfit = 0.0
        count = min(len(order), max(options.least_steps, round(len(order) / options.batch)))
        for batch in np.array_split(order, count):
            sums = self.sweep.gradients(state, batch, poisson=options.noise == "poisson")
            misfit += sums.misfit
            object_ = self.sweep.object_direction(sums, options.damping)
            probe = probe_direction(sums, options.damping)
            a, b = steps(self.sweep, state, batch, sums, object_, probe, object_moves, probe_moves)
            if object_moves:
                length = calm * options.object_step * a
                self.sweep.move_object(state, self._object_run, object_, momentum, length)
            if probe_moves:
                self._probe_run *= momentum
                self._probe_run += calm * options.probe_step * b * probe
                state.probe += self._probe_run
        return misfit
