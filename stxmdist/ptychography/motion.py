"""Beams that move while a frame is taken (fly scans): how far is held against the frames, and the probe made of it.

A frame is the incoherent sum over the way that the beam goes. Where that way is the same in all frames, forward or
backward, this is what a probe with modes leaves, its density matrix being the mean over shifts of that of the beam at
rest. Modes that start small do not find it; modes of a beam that was moved do.

Source: Clark et al., Dynamic sample imaging in coherent diffractive imaging, Optics Letters 36, 1954 (2011); Pelz et
al., On-the-fly scans for X-ray ptychography, Applied Physics Letters 105, 251101 (2014).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import C64, F64, Array
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.gauge import shift_image
from stxmdist.ptychography.linear import vertex
from stxmdist.ptychography.probe import mode_power, orthogonalise
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe
from stxmdist.ptychography.trials import TrialOptions, middle, short_reconstruction

MIXED = 0.05
"""Share of the probe's power in weaker modes from which its beam may have moved: beams at rest leave up to .046"""
LEFT = 0.01
"""The same of the frames' own variation that is not explained"""
ALIGNED = 0.8
"""Moves to the next position follow a line if their mean square along it has this share"""
MOST_STEPS = 4
"""Longest way that is tried, in steps of the scan"""
GAIN = 0.005
"""A way is believed if it lowers the squared residual of trials by this share"""
PARTS = 9
"""Places on the way at which the beam stands"""
MOST_MODES = 6
FAINT = 1e-3
"""Modes with less of the probe's power are left out"""
FRAMES = 64
"""Of a trial, at most: all frames have the same way"""


@dataclass(frozen=True)
class Motion:
    """How far the beam goes while a frame is taken."""

    steps: float
    """In steps of the scan"""
    travel_px: F64
    """(2,) along rows and columns; its sign is not known"""
    probe: C64
    """(MODE, QY, QX) of the beam that moves"""


@dataclass(frozen=True)
class Followed:
    """A reconstruction whose beam moves as far as the frames say."""

    problem: Problem
    found: Reconstruction
    recipe: Recipe
    motion: Motion | None = None
    """As the frames say; None: at rest, or not known"""
    modelled: bool = False
    """Whether the probe of the reconstruction moves so"""

    @property
    def steps_ignored(self) -> float:
        """Steps by which the beam moves and its model does not; 0: not known."""
        return 0.0 if self.motion is None or self.modelled else self.motion.steps


def followed(
    problem: Problem,
    found: Reconstruction,
    recipe: Recipe,
    unexplained: float,
    trials: TrialOptions,
    again: Callable[[Problem, Recipe], Reconstruction],
) -> Followed:
    """Reconstruct once more with a probe that moves, where frames ask for it and that explains them better.

    Parameters
    ----------
    found
        the reconstruction of the problem by the recipe
    unexplained
        share of the frames' own variation that it leaves
    again
        reconstructs a changed problem by a changed recipe. It is not called if the recipe allows only one mode
    """
    at_rest = Followed(problem, found, recipe)
    if found.stopped != "finished" or not may_move(found, unexplained):
        return at_rest
    motion = find_motion(problem, found, trials)
    if motion is None:
        return at_rest
    if recipe.model.n_modes > 1 and not recipe.model.freeze_probe:
        begun, moving = replace(problem, probe=motion.probe), with_moved_beam(recipe, len(motion.probe))
        result = again(begun, moving)
        if result.residual**2 < (1.0 - 0.5 * GAIN) * found.residual**2:
            return Followed(begun, result, moving, motion, modelled=True)
    return replace(at_rest, motion=motion)


def may_move(found: Reconstruction, unexplained: float) -> bool:
    """Whether trials are worth their time; ``unexplained`` is the share of the frames' variation that is left."""
    return float(1.0 - found.mode_power[0]) > MIXED or unexplained > LEFT


def step_along_lines(positions_px: F64) -> F64 | None:
    """Typical move (2,) from a position (POSITION, 2) to the next, without a sign; None where they follow no lines."""
    moves = np.diff(positions_px, axis=0)
    lengths = np.hypot(*moves.T)
    moves = moves[lengths <= 2.0 * np.median(lengths)]  # without the ways back to the next line
    powers, axes = np.linalg.eigh(moves.T @ moves)
    if not powers[1] > ALIGNED * powers.sum():
        return None
    return np.asarray(axes[:, 1] * np.median(np.abs(moves @ axes[:, 1])))


def moved_probe(probe: Array, travel_px: F64) -> C64:
    """Modes (MODE, QY, QX), strongest first, of a probe that moves evenly by ``travel_px`` (2,) about its place.

    The power is that of the probe at rest, less that of modes left out.
    """
    places = (np.arange(PARTS) + 0.5) / PARTS - 0.5
    shifted = [shift_image(mode, place * travel_px) / np.sqrt(PARTS) for place in places for mode in probe]
    modes = orthogonalise(np.stack(shifted))
    kept = int((mode_power(modes) > FAINT).sum())
    return modes[: max(len(probe), min(kept, MOST_MODES))]


def find_motion(problem: Problem, found: Reconstruction, trials: TrialOptions) -> Motion | None:
    """The way of the beam with which short reconstructions explain the frames best; None where none gains anything.

    Parameters
    ----------
    found
        the reconstruction of the problem by a beam at rest, whose probe and positions trials start with
    """
    step_px = step_along_lines(problem.positions_px)
    if step_px is None:
        return None
    sample = middle(replace(problem, positions_px=found.positions_px), min(FRAMES, trials.positions))
    squares: list[float] = []
    while len(squares) <= MOST_STEPS:
        probe = moved_probe(found.probe, len(squares) * step_px)
        here = replace(sample, probe=probe)
        squares.append(short_reconstruction(here, trials, np.random.default_rng(0), len(probe)).residual ** 2)
        if len(squares) > 1 and not squares[-1] < squares[-2]:
            break
    best = int(np.argmin(squares))
    if best == 0 or not squares[best] < (1.0 - GAIN) * squares[0]:
        return None
    steps = float(best)
    if best + 1 < len(squares):
        steps += vertex(*squares[best - 1 : best + 2])
    return Motion(steps, steps * step_px, moved_probe(found.probe, steps * step_px))


def with_moved_beam(recipe: Recipe, modes: int) -> Recipe:
    """The recipe for a start that has all modes of the probe.

    Engines that keep exit waves of every mode are left out, unless there are no others: waves take most of the memory.
    """
    light = tuple(step for step in recipe.schedule if not ENGINES[step.engine].keeps_waves)
    return replace(
        recipe, schedule=light or recipe.schedule, model=replace(recipe.model, n_modes=modes, modes_from=0.0)
    )
