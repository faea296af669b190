"""Maximum likelihood by conjugate gradients: each step follows all frames, with its length by the likelihood."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import namespace_of
from stxmdist.ptychography.engines.directions import probe_direction
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import NOISE, State, refuse_unless

_RISE = 1.05
"""Largest rise of the misfit in a step: the likelihood of counts is not quite the misfit of amplitudes."""
_SMALLEST = 1e-3


@dataclass(frozen=True)
class ConjugateGradientOptions:
    """Options of maximum likelihood by conjugate gradients."""

    noise: Literal["gaussian", "poisson"] = "poisson"
    """Which likelihood: of amplitudes that all have the same error, or of counts"""
    damping: float = 0.02
    """Gradients are reduced at pixels with less light than this share of the brightest pixel's"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            noise=(self.noise in NOISE, " or ".join(NOISE)),
            damping=(0.0 < self.damping < 1.0, "between 0 and 1"),
        )


class ConjugateGradient:
    """Maximum likelihood (Thibault and Guizar-Sicairos, New J. Phys. 14, 063004, 2012), preconditioned by the light.

    Polak and Ribiere's directions; the step is Newton's along the direction, from the far fields of its derivatives.
    """

    def __init__(self, sweep: Sweep, state: State, options: ConjugateGradientOptions) -> None:
        self.sweep, self.state, self.options = sweep, state, options
        xp = namespace_of(state.object_)
        self._object, self._probe = xp.zeros_like(state.object_), xp.zeros_like(state.probe)
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._norm, self._step, self._misfit = 0.0, 0.0, np.inf

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """One step along a conjugate direction; returns the misfit before it."""
        state, poisson = self.state, self.options.noise == "poisson"
        sums = self.sweep.gradients(state, self.sweep.everything, poisson=poisson)
        while sums.misfit > _RISE * self._misfit and self._step > _SMALLEST:
            # The step by the curvature was too long: it is halved until the misfit agrees.
            self._step *= 0.5
            state.object_ -= self._step * self._object
            state.probe -= self._step * self._probe
            sums = self.sweep.gradients(state, self.sweep.everything, poisson=poisson)
        self._misfit = sums.misfit
        gradient = (namespace_of(state.object_).zeros_like(state.object_), sums.probe * float(probe_moves))
        gradient[0][sums.rows] = sums.object_ * float(object_moves)
        ahead = (
            self.sweep.object_direction(sums, self.options.damping).whole(self.sweep.object_shape)
            * float(object_moves),
            probe_direction(sums, self.options.damping) * float(probe_moves),
        )
        norm = _along(ahead, gradient)
        share = 0.0
        if self._last is not None and self._norm > 0.0:
            share = max(0.0, (norm - _along(ahead, self._last)) / self._norm)
        self._object = ahead[0] + share * self._object
        self._probe = ahead[1] + share * self._probe
        slope, curvature = self.sweep.search(state, self._object, self._probe, poisson=poisson)
        if slope > 0.0:  # the direction leads upward: start again with steepest descent
            self._object, self._probe = ahead
            slope, curvature = self.sweep.search(state, *ahead, poisson=poisson)
        self._step = -slope / curvature if curvature > 0.0 else 1.0
        state.object_ += self._step * self._object
        state.probe += self._step * self._probe
        self._last, self._norm = gradient, norm
        return sums.misfit


def _along(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    return float(sum(namespace_of(a).vdot(a, b).real for a, b in zip(one, other, strict=True)))
