"""How many particles, regions and electrodes a wanted interval or effect takes: the design of the next beamtime."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64

UNREACHABLE = float("inf")


@dataclass(frozen=True)
class Spread:
    """Variances of an endpoint over the levels of a design, of which a mean over electrodes is made."""

    electrode: float
    region: float
    particle: float
    noise: float
    """Variance of the measurement of one particle"""

    def of_electrode_mean(self, regions: float, particles: float) -> float:
        """Variance of an electrode's mean over regions of so many particles each, the electrode's own part in it."""
        return self.electrode + self.of_estimate(regions, particles)

    def of_estimate(self, regions: float, particles: float) -> float:
        """Variance with which an electrode's mean is known: region/R + (particle + noise)/(R m)."""
        return (self.region + (self.particle + self.noise) / particles) / regions


@dataclass(frozen=True)
class Costs:
    """Beamtime that each takes, in minutes."""

    electrode: float = 60.0
    """To mount it and to come back to vacuum or helium"""
    region: float = 20.0
    """To find it, to focus and to measure the incident beam"""
    particle: float = 0.5
    """Of the scan, its share for one particle"""


@dataclass(frozen=True)
class Design:
    """A number of electrodes, of regions of each, and of particles in each region."""

    electrodes: int
    regions: int
    particles: int

    @property
    def n_particles(self) -> int:
        """Of all electrodes together."""
        return self.electrodes * self.regions * self.particles

    def minutes(self, costs: Costs) -> float:
        """Beamtime."""
        of_region = costs.region + self.particles * costs.particle
        return self.electrodes * (costs.electrode + self.regions * of_region)


def half_width(spread: Spread, design: Design, level: float = 0.95) -> float:
    """Half of the interval of the mean over electrodes in one condition, root mean square over such campaigns.

    Student's with one degree of freedom less than there are electrodes; infinite for one electrode.

    Source: Cochran, Sampling Techniques (1977), 10.3.
    """
    if design.electrodes < 2:
        return UNREACHABLE
    variance = spread.of_electrode_mean(design.regions, design.particles) / design.electrodes
    return _quantile(design.electrodes - 1, level) * float(np.sqrt(variance))


def floor(spread: Spread, electrodes: int, level: float = 0.95) -> float:
    """What no number of regions and particles can make narrower: the half-width from electrode/J alone."""
    if electrodes < 2:
        return UNREACHABLE
    return _quantile(electrodes - 1, level) * float(np.sqrt(spread.electrode / electrodes))


def _quantile(degrees: int, level: float) -> float:
    return float(stats.t.ppf(0.5 + level / 2.0, degrees))


def optimal_particles(spread: Spread, costs: Costs) -> float:
    """Particles for each region at which beamtime gives most: sqrt(c_r/c_p (1 - ICC)/ICC); infinite if ICC is 0.

    ICC is the share of the region in the variance of a measured particle of an electrode.

    Source: Cochran, Sampling Techniques (1977), 10.6.
    """
    own = spread.particle + spread.noise
    if spread.region <= 0 or costs.particle <= 0:
        return UNREACHABLE
    return float(np.sqrt(costs.region / costs.particle * own / spread.region))


@dataclass(frozen=True)
class Limits:
    """Within which designs are sought."""

    electrodes: int = 40
    regions: int = 20
    particles: int = 500
    """In a region: no more lie in a field of view"""


def designs_for(
    spread: Spread, wanted: float, costs: Costs, limits: Limits | None = None, level: float = 0.95
) -> list[Design]:
    """For each number of electrodes that can reach a wanted half-width, the design that does with least beamtime."""
    limits = limits or Limits()
    found = []
    for electrodes in range(2, limits.electrodes + 1):
        allowed = electrodes * (wanted / _quantile(electrodes - 1, level)) ** 2 - spread.electrode
        design = _cheapest(spread, electrodes, allowed, costs, limits)
        if design is not None:
            found.append(design)
    return found


def designs_within(minutes: float, costs: Costs, particles: int, limits: Limits | None = None) -> list[Design]:
    """For each number of electrodes that fits into so much beamtime, the most regions of so many particles that do."""
    limits = limits or Limits()
    of_region = costs.region + particles * costs.particle
    found = []
    for electrodes in range(1, limits.electrodes + 1):
        # Rounding must not take away a region that fits exactly.
        regions = int((minutes / electrodes - costs.electrode) / of_region * (1.0 + 1e-12)) if of_region > 0 else 0
        if regions < 1:
            break
        found.append(Design(electrodes, min(regions, limits.regions), particles))
    return found


def _cheapest(spread: Spread, electrodes: int, allowed: float, costs: Costs, limits: Limits) -> Design | None:
    """The cheapest regions and particles with which each electrode's mean has at most the allowed variance."""
    best: Design | None = None
    for regions in range(1, limits.regions + 1):
        left = regions * allowed - spread.region
        if left <= 0:
            continue
        # Rounding must not ask for one particle more than the equation does.
        particles = max(1, int(np.ceil((spread.particle + spread.noise) / left * (1.0 - 1e-12))))
        design = Design(electrodes, regions, particles)
        if particles <= limits.particles and (best is None or design.minutes(costs) < best.minutes(costs)):
            best = design
    return best


def power(spread: Spread, design: Design, effect: float, *, paired: bool = False, level: float = 0.95) -> float:
    """Probability that a two-sided t test over electrodes finds a difference between two conditions.

    Parameters
    ----------
    design
        its electrodes are those of each condition; ``paired``: the same ones in both
    effect
        difference of the means of the conditions
    paired
        the electrodes' own part then drops out. Electrodes that change differently count as ``region``, as they do in
        the partition of variance

    Source: Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 2 (1995), 31 (noncentral t).
    """
    n = design.electrodes
    if n < 2:
        return 0.0
    known_to = spread.of_estimate(design.regions, design.particles)
    variance = 2.0 * (known_to if paired else known_to + spread.electrode) / n
    degrees = n - 1 if paired else 2 * n - 2
    if variance <= 0:
        return 1.0 if effect else 1.0 - level
    shift = abs(effect) / float(np.sqrt(variance))
    limit = _quantile(degrees, level)
    # The distribution far from its middle is not given by scipy as a number, but as NaN: nothing is missed there.
    found = float(stats.nct.sf(limit, degrees, shift) + stats.nct.cdf(-limit, degrees, shift))
    return found if np.isfinite(found) else 1.0


def power_curve(
    spread: Spread,
    electrodes: Sequence[int],
    effect: float,
    *,
    regions: int,
    particles: int,
    paired: bool = False,
    level: float = 0.95,
) -> F64:
    """(ELECTRODES,) power over the number of electrodes in each condition, regions and particles held."""
    designs = [Design(n, regions, particles) for n in electrodes]
    return np.array([power(spread, design, effect, paired=paired, level=level) for design in designs])


def electrodes_for_power(
    spread: Spread,
    effect: float,
    wanted: float,
    *,
    regions: int,
    particles: int,
    paired: bool = False,
    most: int = 200,
) -> int | None:
    """Fewest electrodes in each condition that give a wanted power; None if so many do not."""
    low, high = 1, most
    if power(spread, Design(most, regions, particles), effect, paired=paired) < wanted:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(spread, Design(middle, regions, particles), effect, paired=paired) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def photons_for(sigma: float, photons: float, wanted: float) -> float:
    """Photons that bring a standard error from ``sigma`` at ``photons`` to what is wanted: the square of the ratio."""
    return photons * (sigma / wanted) ** 2
