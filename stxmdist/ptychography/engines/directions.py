"""Directions from the sums of a pass, and least-squares steps along them, for engines that step after many frames."""

import numpy as np

from stxmdist.arrays import C64, I64, namespace_of
from stxmdist.ptychography.kernels import object_steps
from stxmdist.ptychography.kernels.fourier import aligned_zeros, inside, padded_copy
from stxmdist.ptychography.kernels.sweep import Direction, Sums, Sweep
from stxmdist.ptychography.state import State

_DISTINCT = 1e-3
"""Smallest determinant of the normal matrix, as share of its diagonal: below it object and probe ask for the same."""

SAMPLE = 8
"""One position of so many is asked how much both directions have in common: it hardly differs between positions."""


def probe_direction(sums: Sums, damping: float) -> C64:
    """Direction of the probe (MODE, QY + 2 PAD_ROWS, QX + 2 PAD), margins zero; damped as that of the object."""
    floor = damping * float(sums.brightness.max())
    if not isinstance(sums.probe, np.ndarray):
        return padded_copy(inside(sums.probe) / (sums.brightness + floor))
    direction: C64 = aligned_zeros(sums.probe.shape, np.complex64)
    object_steps.probe_direction(sums.probe.view(np.float32), sums.brightness, floor, direction.view(np.float32))
    return direction


def along(one: C64, other: C64) -> float:
    """Re <one, other>."""
    return float(namespace_of(one).vdot(one, other).real)


def joint_steps(
    sweep: Sweep, state: State, index: I64, sums: Sums, object_: Direction, probe: C64
) -> tuple[float, float]:
    """Steps (a, b) along both directions that minimise sum over positions of |d - a P dO - b O dP|^2.

    Solved together, because object and probe can both explain the same difference: alone each would take the full step.

    Source: Odstrcil, Menzel and Guizar-Sicairos, Opt. Express 26, 3108 (2018), equation 22, summed over positions.
    """
    right = np.array([object_.right, along(probe, sums.probe)])
    own = np.array([object_.own, weighted_power(sums, probe)])
    sample = index[::SAMPLE]
    both = sweep.coupling(state, sample, object_, probe) * len(index) / len(sample)
    determinant = own[0] * own[1] - both**2
    if determinant > _DISTINCT * own[0] * own[1]:
        a = (own[1] * right[0] - both * right[1]) / determinant
        b = (own[0] * right[1] - both * right[0]) / determinant
        if a > 0.0 and b > 0.0:
            return float(a), float(b)
    a, b = 0.5 * right / np.where(own > 0.0, own, np.inf)
    return float(a), float(b)


def step_alone(right: float, own: float) -> float:
    """The step along one direction, the other unknown held fixed."""
    return right / own if own > 0.0 else 0.0


def weighted_power(sums: Sums, probe: C64) -> float:
    """Sum over positions of |O dP|^2."""
    if isinstance(probe, np.ndarray):
        return float(object_steps.weighted_power(probe.view(np.float32), sums.brightness))
    values = inside(probe)
    power = (values.real**2 + values.imag**2).sum(axis=0)
    return float((sums.brightness * power).sum(dtype=namespace_of(power).float64))


def steps(
    sweep: Sweep,
    state: State,
    index: I64,
    sums: Sums,
    object_: Direction,
    probe: C64,
    object_moves: bool,
    probe_moves: bool,
) -> tuple[float, float]:
    """Steps of object and probe, as :func:`joint_steps` where both move; 0 for one that does not."""
    if object_moves and probe_moves:
        return joint_steps(sweep, state, index, sums, object_, probe)
    if object_moves:
        return step_alone(object_.right, object_.own), 0.0
    if probe_moves:
        return 0.0, step_alone(along(probe, sums.probe), weighted_power(sums, probe))
    return 0.0, 0.0
