"""How much more of an electrode must be measured until the interval of its mean is as narrow as wanted."""

from dataclasses import dataclass

import numpy as np

from stxmdist.heterogeneity.design import Spread

NEVER = float("inf")
MOST = 10**6
"""More particles or regions than that are none that anybody measures"""


@dataclass(frozen=True)
class Measured:
    """What is known of the mean of an electrode in one condition."""

    regions: int
    particles: int
    """Of all regions together"""
    half_width: float
    """Of its interval"""


@dataclass(frozen=True)
class More:
    """What is still to be measured; infinite where no number of them suffices."""

    particles: float
    """In the regions that there are"""
    regions: float
    """Each with as many particles as those that there are have in the mean"""

    @property
    def reached(self) -> bool:
        """Whether the interval is narrow enough as it is."""
        return self.particles == 0


def narrowed(spread: Spread, now: Measured, regions: float, particles: float) -> float:
    """Half-width that the interval would have with other numbers of regions and particles.

    The interval as it is, times the square root of the ratio of variances ``region/R + (particle + noise)/n`` then and
    now: what the interval holds beyond that of a mean of equal regions, such as unequal masses, is taken to shrink in
    the same ratio.

    Source: Cochran, Sampling Techniques (1977), 10.3.
    """
    before = spread.of_estimate(now.regions, now.particles / now.regions)
    after = spread.of_estimate(regions, particles / regions)
    return now.half_width * float(np.sqrt(after / before)) if before > 0 else now.half_width


def more_for(spread: Spread, now: Measured, wanted: float) -> More:
    """Fewest further particles, and fewest further regions, with which the half-width is no more than wanted.

    Parameters
    ----------
    spread
        variances of the endpoint; that of electrodes plays no part
    wanted
        half-width, positive
    """
    if now.half_width <= wanted:
        return More(0.0, 0.0)
    own = spread.particle + spread.noise
    allowed = spread.of_estimate(now.regions, now.particles / now.regions) * (wanted / now.half_width) ** 2
    # Rounding must not ask for one more than the equation does.
    left = allowed - spread.region / now.regions
    particles = _up(own / left) - now.particles if left > 0 else NEVER
    per_region = now.particles / now.regions
    regions = _up((spread.region + own / per_region) / allowed) - now.regions if allowed > 0 else NEVER
    return More(*(NEVER if number > MOST else float(max(number, 1.0)) for number in (particles, regions)))


def _up(number: float) -> float:
    return float(np.ceil(number * (1.0 - 1e-12)))
