"""The PIE family: object and probe corrected frame after frame, or batch after batch, in a new order each iteration."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import I64, namespace_of
from stxmdist.ptychography.engines.directions import probe_direction
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import State, refuse_unless

_ALL = 1.0 - 1e-6
"""Used for an alpha of 1, so that 1 - alpha is not zero; single precision does not see the difference"""


@dataclass(frozen=True)
class PieOptions:
    """Options of the PIE engines."""

    object_step: float = 1.5
    """Share of the step that the engine proposes for the object: above 1 large structures settle sooner"""
    probe_step: float = 0.3
    """The same for the probe"""
    final_step: float = 0.1
    """Over the second half of the iterations both steps shrink to this share, which averages over frames"""
    object_alpha: float | None = None
    """Regularisation of the step of the object: 1 divides by max |P|^2 (ePIE), 0 by |P|^2; None: 1 for ePIE, 0.5 for
    rPIE
    """
    probe_alpha: float = 1.0
    """The same for the probe"""
    momentum: float = 0.0
    """Share of the change of the object in one iteration with which the next starts"""
    batch: int = 1
    """Positions from one step of object and probe to the next: 1 goes farthest in an iteration; some tens use several
    cores, or a GPU
    """

    def __post_init__(self) -> None:
        alpha = 1.0 if self.object_alpha is None else self.object_alpha
        refuse_unless(
            self,
            object_step=(0.0 < self.object_step <= 2.0, "above 0, at most 2"),
            probe_step=(0.0 <= self.probe_step <= 2.0, "0 to 2"),
            final_step=(0.0 < self.final_step <= 1.0, "above 0, at most 1"),
            object_alpha=(0.0 < alpha <= 1.0, "above 0, at most 1"),
            probe_alpha=(0.0 < self.probe_alpha <= 1.0, "above 0, at most 1"),
            momentum=(0.0 <= self.momentum < 1.0, "0 or more, below 1"),
            batch=(self.batch >= 1, "at least 1"),
        )


class Epie:
    """Extended PIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009), with incoherent modes."""

    alpha = 1.0

    def __init__(self, sweep: Sweep, state: State, options: PieOptions) -> None:
        self.sweep, self.state, self.options = sweep, state, options
        self._change = namespace_of(state.object_).zeros_like(state.object_) if options.momentum else None

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """One pass over all frames; returns the misfit."""
        options, state = self.options, self.state
        calm = options.final_step ** max(0.0, 2.0 * progress - 1.0)
        before = state.object_.copy() if self._change is not None else None
        if self._change is not None and object_moves:
            state.object_ += options.momentum * self._change
        steps = (
            calm * options.object_step * object_moves,
            options.object_alpha or self.alpha,
            calm * options.probe_step * probe_moves,
            options.probe_alpha,
        )
        order = rng.permutation(len(self.sweep.frames))
        misfit = self.sweep.one_by_one(state, order, steps) if options.batch == 1 else self._in_batches(order, steps)
        if before is not None:
            self._change = state.object_ - before
        return misfit

    def _in_batches(self, order: I64, steps: tuple[float, float, float, float]) -> float:
        # As frame after frame, with sums over a batch in numerator and denominator: n / ((1 - a) w + a max w).
        object_step, object_alpha, probe_step, probe_alpha = steps
        object_share, probe_share = min(object_alpha, _ALL), min(probe_alpha, _ALL)
        state = self.state
        step = namespace_of(state.object_).zeros_like(state.object_)
        misfit = 0.0
        for batch in np.array_split(order, max(1, round(len(order) / self.options.batch))):
            sums = self.sweep.gradients(state, batch)
            misfit += sums.misfit
            ahead = self.sweep.object_direction(sums, object_share / (1.0 - object_share))
            self.sweep.move_object(state, step, ahead, 0.0, object_step / (1.0 - object_share))
            state.probe += probe_step / (1.0 - probe_share) * probe_direction(sums, probe_share / (1.0 - probe_share))
        return misfit


class Rpie(Epie):
    """Regularised PIE (Maiden, Johnson and Li, Optica 4, 736, 2017): dim parts of the probe have a larger weight.

    With an alpha of 0.5, the inside of particles wider than the beam settles in half the iterations of ePIE; with a
    smaller alpha noise grows.
    """

    alpha = 0.5
