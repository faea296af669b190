"""Whether a distribution has one mode, without saying what shape it has: Hartigan's dip."""

import numpy as np

from stxmdist.arrays import F64, I64

CHANCES = np.array([0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001])
"""How often uniform numbers dip more than the rows of ``DIPS`` say"""
SIZES = np.array([4, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 3000, 10000])
"""Numbers of values of the rows of ``DIPS``"""
# fmt: off
DIPS = np.array([
    [0.2500, 0.3150, 0.3742, 0.4141, 0.4470, 0.4627, 0.4740, 0.4881],
    [0.3020, 0.3662, 0.3899, 0.4035, 0.4405, 0.4714, 0.4967, 0.5387],
    [0.3138, 0.3535, 0.3991, 0.4342, 0.4692, 0.4892, 0.5063, 0.5476],
    [0.3092, 0.3755, 0.4123, 0.4414, 0.4782, 0.5065, 0.5308, 0.5704],
    [0.3237, 0.3857, 0.4267, 0.4598, 0.4987, 0.5263, 0.5484, 0.5970],
    [0.3281, 0.3955, 0.4348, 0.4707, 0.5126, 0.5423, 0.5663, 0.6220],
    [0.3371, 0.4057, 0.4466, 0.4837, 0.5265, 0.5581, 0.5873, 0.6433],
    [0.3455, 0.4160, 0.4583, 0.4955, 0.5397, 0.5711, 0.5999, 0.6595],
    [0.3548, 0.4275, 0.4722, 0.5110, 0.5572, 0.5888, 0.6198, 0.6823],
    [0.3616, 0.4357, 0.4814, 0.5210, 0.5698, 0.6025, 0.6336, 0.7009],
    [0.3673, 0.4431, 0.4877, 0.5279, 0.5767, 0.6114, 0.6479, 0.7229],
    [0.3708, 0.4452, 0.4920, 0.5334, 0.5837, 0.6170, 0.6490, 0.7119],
    [0.3741, 0.4512, 0.5007, 0.5440, 0.6005, 0.6412, 0.6680, 0.7207],
    [0.3754, 0.4541, 0.5027, 0.5447, 0.5984, 0.6317, 0.6558, 0.7379],
])
# fmt: on
"""(SIZE, CHANCE) dips of uniform numbers times the root of their number, from 4,000 to 100,000 draws each"""


def dip(values: F64) -> float:
    """Largest distance of the distribution of (PARTICLE,) values from the nearest one with a single mode.

    Left of its mode a distribution function is convex, right of it concave. The interval in which the mode may lie
    shrinks: the greatest convex minorant and the least concave majorant of the steps are drawn over it, the place where
    they are farthest apart gives the next interval, and what the steps differ from them outside of it is the dip.
    It is at least 1/(2 n), and 1/4 at most. NaN of no values.

    Source: Hartigan, Hartigan, Ann. Stat. 13, 70 (1985), section 4.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan")
    x, counts = np.unique(values, return_counts=True)
    upper = np.cumsum(counts).astype(np.float64)
    lower = upper - counts
    low, high, found = 0, len(x) - 1, 1.0
    while low < high:
        span = np.arange(low, high + 1)
        convex = low + _convex_hull(x[span], lower[span])
        concave = low + _convex_hull(x[span], -upper[span])
        below = np.interp(x[span], x[convex], lower[convex])
        above = np.interp(x[span], x[concave], upper[concave])
        apart = above - below
        one, other = apart[convex - low], apart[concave - low]
        if one.max() > other.max():
            first = int(convex[np.argmax(one)])
            last = int(concave[np.searchsorted(concave, first)])
        else:
            last = int(concave[np.argmax(other)])
            first = int(convex[np.searchsorted(convex, last, side="right") - 1])
        if apart.max() <= found:
            break
        # The ends of the new interval may be the mode itself, where a distribution with one mode can jump.
        left = upper[low:first] - below[: first - low]
        right = above[last + 1 - low :] - lower[last + 1 : high + 1]
        found = max(found, float(left.max(initial=0.0)), float(right.max(initial=0.0)))
        if (first, last) == (low, high):
            break
        low, high = first, last
    return found / (2.0 * len(values))


def dip_p(found: float, n: int) -> float:
    """How often ``n`` numbers of the uniform distribution dip as much: of all with one mode, it dips most.

    Noise fills dips, so that numbers with noise are judged too mildly. At least 0.001 and at most 1; NaN of fewer than
    four numbers.

    Source: Hartigan, Hartigan 1985, section 3.
    """
    if n < SIZES[0] or not np.isfinite(found):
        return float("nan")
    row = np.array([np.interp(np.log(n), np.log(SIZES), column) for column in DIPS.T])
    scaled = found * np.sqrt(n)
    if scaled <= row[0]:
        return float(np.interp(scaled, [0.5 * row[0], row[0]], [1.0, 0.5]))
    # Chances fall by a constant factor for equal steps, nearly.
    return float(np.exp(np.interp(scaled, row, np.log(CHANCES))))


def _convex_hull(x: F64, y: F64) -> I64:
    """Indices of the vertices of the greatest convex function below points, x ascending."""
    hull: list[int] = []
    for index in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[index] - x[a]) < (y[index] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(index)
    return np.array(hull, dtype=np.int64)
