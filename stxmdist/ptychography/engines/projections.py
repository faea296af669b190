"""Projection engines: every frame keeps an exit wave, and object and probe are fitted to all of them."""

from dataclasses import dataclass

import numpy as np

from stxmdist.ptychography.engines.directions import probe_direction, steps
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.state import State, refuse_unless


@dataclass(frozen=True)
class ProjectionOptions:
    """Options of the projection engines."""

    beta: float | None = None
    """Relaxation: 1 is the difference map, below 1 it is RAAR; None: 1 for the difference map, 0.8 for RAAR"""
    damping: float = 0.01
    """Pixels with less light than this share of the brightest pixel's change little"""

    def __post_init__(self) -> None:
        beta = 1.0 if self.beta is None else self.beta
        refuse_unless(
            self,
            beta=(0.5 <= beta <= 1.0, "0.5 to 1"),
            damping=(0.0 < self.damping < 1.0, "between 0 and 1"),
        )


class Raar:
    """Relaxed averaged alternating reflections (Luke, Inverse Problems 21, 37, 2005) of modulus and overlap."""

    beta = 0.8

    def __init__(self, sweep: Sweep, state: State, options: ProjectionOptions) -> None:
        self.sweep, self.state, self.options = sweep, state, options
        self._waves = sweep.waves(state)

    def iterate(self, progress: float, rng: np.random.Generator, *, object_moves: bool, probe_moves: bool) -> float:
        """One reflection of all waves, then the object and the probe that fit them best; returns the misfit."""
        state, beta = self.state, self.options.beta or self.beta
        sums = self.sweep.projections(state, self._waves, beta)
        object_ = self.sweep.object_direction(sums, self.options.damping)
        probe = probe_direction(sums, self.options.damping)
        a, b = steps(self.sweep, state, self.sweep.everything, sums, object_, probe, object_moves, probe_moves)
        state.object_[object_.rows] += a * object_.values
        state.probe += b * probe
        return sums.misfit


class DifferenceMap(Raar):
    """The difference map (Thibault et al., Ultramicroscopy 109, 338, 2009)."""

    beta = 1.0
