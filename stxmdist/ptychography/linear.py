"""Scale and rotation of all positions, held against the frames: they tell both from how neighbours overlap.

Refinement moves each position by what its own frame asks, and the object gives way to a scale that all positions have
in common: of five per cent it finds a thousandth. Short reconstructions on a few frames, each with positions scaled or
turned by some amount, leave residuals with a minimum where positions are true to the pixels of the frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F64
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.refinement import linear_part
from stxmdist.ptychography.trials import TrialOptions, middle, short_residual

STEPS = (0.04, 0.035)
"""First steps of the logarithm of the scale, and of the rotation in radians: about a pixel at the rim of a beam"""
REACH = 3.0
"""A round moves no farther than so many steps"""
ROUNDS = 6
STILL = 0.02
"""Less than this, in logarithm or radians, trials cannot tell from nothing"""
GAIN = 0.02
"""A map is believed if it lowers the squared residual by this share"""
ATTEMPTS = 3
"""Each begins with the probe of the one before, and sees farther"""
MOST_ROOM = 0.5
"""The object grows by at most this share of its smaller side"""
LEAST_FRAMES = 64
"""Fewer frames do not tell the two numbers"""
LEAST_TRIALS = 5
"""As the file has them, scaled and turned to both sides"""
FRAMES = 64
"""Of a trial, at most: the two numbers are seen by every pair of neighbours"""


@dataclass(frozen=True)
class Linear:
    """Scale and rotation by which positions must be changed to fit the frames."""

    log_scale: float = 0.0
    turn_rad: float = 0.0

    @property
    def matrix(self) -> F64:
        """(2, 2) map of positions (row, column) about their centre."""
        cosine, sine = np.cos(self.turn_rad), np.sin(self.turn_rad)
        return np.asarray(np.exp(self.log_scale) * np.array([[cosine, -sine], [sine, cosine]]))

    @property
    def identity(self) -> bool:
        """Whether positions stay where they are."""
        return self.log_scale == 0.0 and self.turn_rad == 0.0

    def moved(self, positions_px: F64) -> F64:
        """Positions (POSITION, 2) as the frames want them."""
        centre = positions_px.mean(axis=0)
        return np.asarray((positions_px - centre) @ self.matrix.T + centre)


@dataclass(frozen=True)
class Straightened:
    """A reconstruction with positions that are true to the pixels of the frames."""

    problem: Problem
    """With positions scaled and turned, and room around the object for them"""
    found: Reconstruction
    room_px: int
    """Rows and columns by which the object has grown on every side"""
    map: F64
    """(2, 2) linear map by which positions differ from those given, less the identity"""


def straightened(
    problem: Problem,
    found: Reconstruction,
    trials: TrialOptions,
    again: Callable[[Problem], Reconstruction],
) -> Straightened:
    """Scale and turn the positions of a reconstruction until they are true to the frames.

    Parameters
    ----------
    found
        the reconstruction of the problem
    again
        reconstructs a changed problem in the same way. What it returns is kept if it explains the frames better
    """
    best = Straightened(problem, found, 0, found.affine)
    if len(problem.frames) < LEAST_FRAMES or found.stopped != "finished":
        return best

    def attempt(linear: Linear) -> Straightened | None:
        rows, columns = problem.object_shape
        moved = linear.moved(best.found.positions_px - best.room_px)
        high = moved.max(axis=0) + np.array(problem.frames.shape[1:]) + 1 - np.array(problem.object_shape)
        room = int(np.ceil(max(0.0, -moved.min(), high.max())))
        if room > MOST_ROOM * min(rows, columns):
            return None
        changed = replace(
            problem,
            positions_px=moved + room,
            object_shape=(rows + 2 * room, columns + 2 * room),
            object0=None,
            probe=best.found.probe,
        )
        result = again(changed)
        total = linear_part(problem.positions_px, result.positions_px - room - problem.positions_px)[1]
        return Straightened(changed, result, room, total)

    for _ in range(ATTEMPTS):
        here = replace(best.problem, positions_px=best.found.positions_px, probe=best.found.probe[:1])
        wanted = find_linear(here, trials)
        if wanted.identity:
            break
        # As long again without the map: what was not at its end yet must not speak for the map.
        plain, mapped = attempt(Linear()), attempt(wanted)
        if plain is not None and plain.found.residual < best.found.residual:
            best = plain
        if mapped is None or not mapped.found.residual < (1.0 - 0.5 * GAIN) * best.found.residual:
            break
        best = mapped
    return best


def parts_of(map_: F64) -> tuple[float, float]:
    """Of a linear map (2, 2) less the identity: the largest scale or shear, and the rotation in degrees."""
    whole = np.eye(2) + map_
    left, _, right = np.linalg.svd(whole)
    rotation = left @ right
    stretch = rotation.T @ whole - np.eye(2)
    return float(np.abs(np.linalg.eigvalsh(0.5 * (stretch + stretch.T))).max()), float(
        np.rad2deg(np.arctan2(rotation[1, 0], rotation[0, 0]))
    )


def without_room(found: Reconstruction, room_px: int) -> Reconstruction:
    """A reconstruction on the grid of its problem, without the room that scaled positions needed."""
    if room_px == 0:
        return found
    inner = np.s_[room_px:-room_px, room_px:-room_px]
    return replace(
        found,
        object_=np.ascontiguousarray(found.object_[inner]),
        illumination=np.ascontiguousarray(found.illumination[inner]),
        positions_px=found.positions_px - room_px,
    )


def find_linear(problem: Problem, trials: TrialOptions) -> Linear:
    """Scale and rotation with which a short reconstruction explains the frames best; none where that gains nothing.

    The problem's probe is where trials start: the better it is, the finer they tell. A parabola through three trials
    says where the next three lie, for the scale, then for the rotation.
    """
    options = replace(trials, positions=min(FRAMES, trials.positions))
    tried: dict[tuple[float, float], float] = {}

    def square(at: F64) -> float:
        key = (float(at[0]), float(at[1]))
        if key not in tried:
            here = middle(replace(problem, positions_px=Linear(*key).moved(problem.positions_px)), options.positions)
            tried[key] = short_residual(here, options, np.random.default_rng(0)) ** 2
        return tried[key]

    at, steps = np.zeros(2), np.array(STEPS)
    for _ in range(ROUNDS):
        before = at.copy()
        for axis in (0, 1):
            unit = np.eye(2)[axis] * steps[axis]
            at = at + unit * vertex(square(at - unit), square(at), square(at + unit))
        if min(tried.values()) > (1.0 - 0.5 * GAIN) * square(np.zeros(2)):
            return Linear()  # nothing is gained on any side
        moved = np.abs(at - before)
        if (moved < STILL).all():
            break
        steps = np.where(moved < 0.5 * steps, 0.5 * steps, steps)
    at = np.where(np.abs(at) < STILL, 0.0, at)
    if not square(at) < (1.0 - GAIN) * square(np.zeros(2)):
        return Linear()
    return Linear(float(at[0]), float(at[1]))


def vertex(below: float, here: float, above: float) -> float:
    """Where a parabola through values at -1, 0 and 1 has its minimum, at most ``REACH`` away."""
    slope, curvature = 0.5 * (above - below), above - 2.0 * here + below
    if not np.isfinite(slope + curvature):
        return 0.0
    if curvature <= 0.0:
        return -REACH * float(np.sign(slope))
    return float(np.clip(-slope / curvature, -REACH, REACH))
