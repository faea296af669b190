"""Whether boundaries inside particles keep to their particles' long axes, whatever the field prefers."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, I64

UNKNOWN = float("nan")


@dataclass(frozen=True)
class AxisTest:
    """How far angles between two axes of each particle agree over particles."""

    resultant: float
    """Length of the mean vector of doubled angles: 0 none is preferred, 1 all are alike"""
    angle_deg: float
    """The angle that is preferred, 0 to 180"""
    null_high: float
    """95th percentile of the resultant where axes are shuffled among particles"""
    p: float
    """How often shuffling gives as much"""


def axis_test(axis_deg: F64, long_axis_deg: F64, group: I64, rng: np.random.Generator, permutations: int) -> AxisTest:
    """Resultant R = abs(<exp(2 i phi)>) of phi = axis less long axis, against axes shuffled within groups.

    Axes that a whole field prefers (the stage, the polarisation, drift) stay where particles of one field change them
    among one another, so only what follows the particles' own shape is found.

    Parameters
    ----------
    axis_deg, long_axis_deg
        (PARTICLE,) float64, degrees; axes, so that 180 degrees more are the same
    group
        (PARTICLE,) codes of the scans within which particles are shuffled
    permutations
        number of shufflings

    Source: Mardia, Jupp, Directional Statistics (2000), 2.2 and 9.5 (doubled angles); Good, Permutation Tests (2000).
    """
    if not len(axis_deg):
        return AxisTest(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
    first, second = (np.exp(2j * np.radians(angle)) for angle in (axis_deg, long_axis_deg))
    mean = complex((first * second.conj()).mean())
    order = np.argsort(group, kind="stable")
    group, first, second = group[order], first[order], second[order]
    null = np.empty(permutations)
    for draw in range(permutations):
        # Sorted by group and then by chance: a shuffling within each group.
        shuffled = np.lexsort((rng.random(len(group)), group))
        null[draw] = abs((first[shuffled] * second.conj()).mean())
    # Equal sums may round apart.
    as_much = int((null >= abs(mean) - 1e-12).sum())
    p = (1.0 + as_much) / (1.0 + permutations)
    return AxisTest(abs(mean), float(np.degrees(np.angle(mean)) / 2.0 % 180.0), float(np.quantile(null, 0.95)), p)
