"""The design of the next beamtime: what a pilot's variances, its scans and a wish make of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.errors import InputError
from stxmdist.heterogeneity.design import (
    Costs,
    Design,
    Limits,
    Spread,
    designs_for,
    electrodes_for_power,
    floor,
    optimal_particles,
    power_curve,
)
from stxmdist.heterogeneity.pilot import PilotSpread
from stxmdist.planning.pilot import PilotScans

CURVE_ELECTRODES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30)
USUAL_PARTICLE_MINUTES = 0.5
"""Where the files do not say how long a pixel took: 100 particles in 50 minutes"""
PLAIN, BEST, WORST = "pilot", "at best", "at worst"


@dataclass(frozen=True)
class Wish:
    """What is asked of the next beamtime.

    Examples
    --------
    >>> Wish(half_width=0.02, effect=0.05).power
    0.8
    """

    half_width: float = 0.03
    """Of the 95 % interval of the mean over electrodes in one condition"""
    effect: float | None = None
    """Difference between two conditions"""
    power: float = 0.8
    paired: bool = False
    """The same electrodes are seen in both conditions"""
    soc_error: float | None = None
    """Of a particle; None: as the pilot's"""
    electrode_minutes: float = 60.0
    region_minutes: float = 20.0
    particle_minutes: float | None = None
    """None: by the pilot's dwell times"""
    electrode_sd: float | None = None
    """What electrodes are expected to differ by; None: as the pilot's do"""

    def checked(self) -> "Wish":
        """Itself.

        Raises
        ------
        InputError
            for what is not positive, and a power that is not between 0.05 and 1.
        """
        for name in ("half_width", "effect", "soc_error", "region_minutes", "particle_minutes"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < np.inf:
                raise _refusal(name, value, "a number above 0")
        if not 0.05 < self.power < 1.0:
            raise _refusal("power", self.power, "a probability between 0.05 and 1, such as 0.8")
        for name in ("electrode_minutes", "electrode_sd"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < np.inf:
                raise _refusal(name, value, "0 or more")
        return self


def _refusal(name: str, value: float, wanted: str) -> InputError:
    option = "--" + name.replace("_", "-")
    return InputError(
        where="design", problem=f"{option} is not possible", got=f"{value:g}", wanted=wanted, mend=f"Correct {option}"
    )


@dataclass(frozen=True)
class Case:
    """A plan for one set of variances."""

    name: str
    """``pilot``, or one end of what the pilot cannot know"""
    spread: Spread
    optimal_particles: float
    """In each region; infinite where regions do not differ"""
    designs: tuple[Design, ...]
    """One for each number of electrodes that can reach the wanted interval"""
    proposed: Design | None
    """The one with least beamtime"""
    floor: float
    """Half-width that so many electrodes leave however many regions and particles are measured"""
    electrodes_for_power: int | None = None
    """In each condition; None where no effect is asked for, or where 200 electrodes do not find it"""
    power: tuple[float, ...] = ()
    """Over ``CURVE_ELECTRODES``"""


@dataclass(frozen=True)
class NextBeamtime:
    """The plan, with what it assumes."""

    costs: Costs
    cases: tuple[Case, ...]
    regions: int
    """Of each electrode, to which the power belongs"""
    particles: int
    """In each region, likewise"""
    assumed: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """Whether each case has a design."""
        return all(case.proposed is not None for case in self.cases)


def next_beamtime(pilot: PilotSpread, scans: PilotScans, wish: Wish, limits: Limits) -> NextBeamtime:
    """Find the designs that reach a wish.

    A wanted error of particles other than the pilot's changes the noise, and the beamtime of a particle with the
    inverse of its variance: photons are counted.
    """
    wish.checked()
    assumed = []
    ends = {PLAIN: pilot.estimate} if not pilot.unknown else {BEST: pilot.low, WORST: pilot.high}
    scale = 1.0
    if wish.soc_error is not None:
        if np.isfinite(scans.soc_se) and scans.soc_se > 0:
            scale = (scans.soc_se / wish.soc_error) ** 2
        ends = {name: replace(spread, noise=wish.soc_error**2) for name, spread in ends.items()}
    particle_minutes = wish.particle_minutes
    if particle_minutes is None and np.isfinite(scans.minutes_per_particle):
        particle_minutes = scans.minutes_per_particle * scale
    elif particle_minutes is None:
        particle_minutes = USUAL_PARTICLE_MINUTES
        assumed.append(f"The files do not say the dwell times: {particle_minutes:g} min for a particle are assumed.")
    costs = Costs(wish.electrode_minutes, wish.region_minutes, particle_minutes)
    assumed.append(
        f"Mounting an electrode takes {costs.electrode:g} min, finding a region {costs.region:g} min "
        f"(--electrode-minutes, --region-minutes); a particle {costs.particle:.3g} min."
    )
    cases = [_case(name, spread, wish, costs, limits) for name, spread in ends.items()]
    regions, particles = _measured(cases, scans)
    if particles > scans.particles_per_scan:
        assumed.append(
            f"Fields hold up to {particles} particles, larger or fuller than the pilot's with "
            f"{scans.particles_per_scan:.0f}."
        )
    if wish.effect is not None:
        cases = [_with_power(case, wish, regions, particles) for case in cases]
    return NextBeamtime(costs, tuple(cases), regions, particles, tuple(assumed))


def _case(name: str, spread: Spread, wish: Wish, costs: Costs, limits: Limits) -> Case:
    designs = designs_for(spread, wish.half_width, costs, limits)
    proposed = min(designs, key=lambda design: design.minutes(costs), default=None)
    electrodes = limits.electrodes if proposed is None else proposed.electrodes
    return Case(name, spread, optimal_particles(spread, costs), tuple(designs), proposed, floor(spread, electrodes))


def _measured(cases: Sequence[Case], scans: PilotScans) -> tuple[int, int]:
    """Regions and particles of the plan that is proposed; where none is, two regions as full as the pilot's."""
    proposed = [case.proposed for case in cases if case.proposed is not None]
    if proposed:
        return max(one.regions for one in proposed), max(one.particles for one in proposed)
    return 2, max(1, round(scans.particles_per_scan)) if np.isfinite(scans.particles_per_scan) else 30


def _with_power(case: Case, wish: Wish, regions: int, particles: int) -> Case:
    assert wish.effect is not None
    curve = power_curve(
        case.spread, CURVE_ELECTRODES, wish.effect, regions=regions, particles=particles, paired=wish.paired
    )
    found = electrodes_for_power(
        case.spread, wish.effect, wish.power, regions=regions, particles=particles, paired=wish.paired
    )
    return replace(case, electrodes_for_power=found, power=tuple(curve.tolist()))


def shown_designs(case: Case, most: int) -> list[Design]:
    """Designs of a case, about the one that is proposed."""
    if case.proposed is None:
        return []
    at = case.designs.index(case.proposed)
    first = max(0, min(at - most // 2, len(case.designs) - most))
    return list(case.designs[first : first + most])
