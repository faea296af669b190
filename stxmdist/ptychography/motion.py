"""Beams that move while a frame is taken (fly scans): how far is held against the frames, and the probe made of it.

A frame is the incoherent sum over the way that the beam goes. Where that way is the same in all frames, forward or
backward, this is what a probe with modes leaves, its density matrix being the mean over shifts of that of the beam at
rest. Modes that start small do not find it; modes of a beam that was moved do.

Source: Clark et al., Dynamic sample imaging in coherent diffractive imaging, Optics Letters 36, 1954 (2011); Pelz et
al., On-the-fly scans for X-ray ptychography, Applied Physics Letters 105, 251101 (2014).
"""

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
GAIN = 0.02
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
    steps = best + (float(np.clip(vertex(*squares[best - 1 : best + 2]), -1.0, 1.0)) if best + 1 < len(squares) else 0.0)
    return Motion(steps, steps * step_px, moved_probe(found.probe, steps * step_px))


def with_moved_beam(recipe: Recipe, modes: int) -> Recipe:
    """The recipe for a start that has all modes of the probe.

    Engines that keep exit waves of every mode are left out, unless there are no others: waves take most of the memory.
    """
    light = tuple(step for step in recipe.schedule if not ENGINES[step.engine].keeps_waves)
    return replace(
        recipe, schedule=light or recipe.schedule, model=replace(recipe.model, n_modes=modes, modes_from=0.0)
    )
