"""The experiment that is simulated: its electrodes, cycles and regions, and what is planted at each level."""

from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.simulation.conditions import conditions_of
from stxmdist.simulation.crowd import Plate, lay_crowd
from stxmdist.simulation.design import Design, Visit
from stxmdist.simulation.film import Film
from stxmdist.simulation.flaw_drawing import draw_flaws, waiting_flaws
from stxmdist.simulation.flaws import Flaws, Reaction
from stxmdist.simulation.phantom import PATTERNS, Particle, Region, make_particle, random_waves
from stxmdist.simulation.populations import ACTIVE_RANGE, draw_states, neighbour_deviates
from stxmdist.simulation.powder import lay_plates
from stxmdist.simulation.regions import RegionKey, generator
from stxmdist.simulation.sizes import CampaignSize

SOC_RANGE = (0.08, 0.97)
"""Planted particle means are kept inside: both phases must be able to make them up."""
FIRST_VISIT = Visit()
REACTION_LENGTH_UM = 0.15
"""Correlation length of the rate inside a particle."""
FIELD_MARGIN_UM = 0.9
"""Particles are laid this far beyond the field, so that its border cuts some, as it does in a real one."""


@dataclass(frozen=True)
class Planted:
    """Effects on a particle's mean state of charge; the truth of the statistics."""

    level: float = 0.50
    """At the middle of the cycles and the reference size."""
    cycle_slope_per_100: float = -0.08
    """Population slope: change of soc over a hundred cycles."""
    log_size_slope: float = -0.12
    """Change of soc with the natural logarithm of the equivalent diameter: small particles transform first."""
    reference_diameter_um: float = 0.55
    electrode_sd: float = 0.05
    electrode_slope_sd_per_100: float = 0.015
    """Spread of the electrodes' own slopes over cycles."""
    region_sd: float = 0.03
    particle_sd: float = 0.12
    coulometric_sd: float = 0.01
    """Standard error of the cycler's value."""


PLANTED = Planted()


def electrode_effects(seed: int, key: RegionKey, planted: Planted = PLANTED) -> tuple[float, float]:
    """Random intercept and random slope over a hundred cycles of an electrode."""
    rng = generator(seed, key.electrode_id, "effects")
    return (
        float(rng.normal(0.0, planted.electrode_sd)),
        float(rng.normal(0.0, planted.electrode_slope_sd_per_100)),
    )


def region_effect(seed: int, key: RegionKey, planted: Planted = PLANTED) -> float:
    """Random effect of a region."""
    return float(generator(seed, key.region_id, "effects").normal(0.0, planted.region_sd))


def centred_cycle(size: CampaignSize, cycle: int) -> float:
    """Hundreds of cycles from the middle of the design."""
    return (cycle - float(np.mean(size.cycles))) / 100.0


def region_level(size: CampaignSize, seed: int, key: RegionKey, planted: Planted = PLANTED) -> float:
    """Mean state of charge of a region's particles of the reference size, before their own effects."""
    intercept, slope = electrode_effects(seed, key, planted)
    cycle = centred_cycle(size, key.cycle)
    drift = (planted.cycle_slope_per_100 + slope) * cycle
    level = planted.level + intercept + drift + region_effect(seed, key, planted)
    return level if size.design.is_benign else level + conditions_of(size, seed, key).soc_shift


def plant_soc(
    level: float,
    diameter_um: F64,
    rng: np.random.Generator,
    planted: Planted = PLANTED,
    further: F64 | float = 0.0,
) -> tuple[F64, F64]:
    """Mean soc and own effect (PARTICLE,) of particles: level, slope over log size, and a normal deviate.

    ``further`` (PARTICLE,) is added to the level: effects of other properties of the particles.

    A deviate that would leave ``SOC_RANGE`` is drawn again; where the level itself leaves it, the mean is the limit.
    """
    fixed = level + planted.log_size_slope * np.log(np.asarray(diameter_um) / planted.reference_diameter_um)
    fixed = fixed + further
    effect = rng.normal(0.0, planted.particle_sd, fixed.shape)
    for _ in range(20):
        bad = (fixed + effect < SOC_RANGE[0]) | (fixed + effect > SOC_RANGE[1])
        if not bad.any():
            break
        effect[bad] = rng.normal(0.0, planted.particle_sd, int(bad.sum()))
    mean = np.clip(fixed + effect, *SOC_RANGE)
    return mean, mean - fixed


def field_centre_um(seed: int, key: RegionKey) -> tuple[float, float]:
    """(y, x) of the middle of the region in the stage's coordinates."""
    rng = generator(seed, key.region_id, "stage")
    y, x = np.round(rng.uniform(-400.0, 400.0, 2), 1)
    return float(y), float(x)


@dataclass(frozen=True, eq=False)
class PlantedPlates:
    """The plates of a region and what is planted in each."""

    plates: tuple[Plate, ...]
    soc: F64
    """(PARTICLE,) planted mean at the first look"""
    effect: F64
    """(PARTICLE,) what the mean has of this particle alone"""
    active: Mask
    """(PARTICLE,) whether it reacts"""
    flaws: tuple[Flaws | None, ...]
    """Grains, cracks and third phase of each"""


def region_plates(
    size: CampaignSize, seed: int, key: RegionKey, rng: np.random.Generator, planted: Planted = PLANTED
) -> PlantedPlates:
    """Outlines of a region's particles, their planted mean soc and their own effects."""
    design = size.design
    centre = field_centre_um(seed, key)
    half = 0.5 * size.stxm.n_px * size.stxm.pixel_nm * 1e-3 + FIELD_MARGIN_UM
    low, high = (centre[0] - half, centre[1] - half), (centre[0] + half, centre[1] + half)
    if design.is_benign:
        plates = [Plate(outline, outline.diameter_um) for outline in lay_plates(low, high, size.powder, rng)]
    else:
        plates = lay_crowd(low, high, size.powder, design, rng)
    flaws = tuple(_flaws_of(size, seed, key, index, plate) for index, plate in enumerate(plates))
    faces_um = np.array([plate.face_um for plate in plates])
    level = region_level(size, seed, key, planted)
    if not design.is_mosaic and design.neighbour_share == 0.0:
        soc, effect = plant_soc(level, faces_um, rng, planted, flaw_effects(flaws, size.design))
        return PlantedPlates(tuple(plates), soc, effect, np.ones(soc.size, dtype=bool), flaws)
    fixed = (
        level + flaw_effects(flaws, design) + planted.log_size_slope * np.log(faces_um / planted.reference_diameter_um)
    )
    places = np.array([(plate.outline.y_um, plate.outline.x_um) for plate in plates]).reshape(-1, 2)
    deviates = neighbour_deviates(places, design.neighbour_share, design.neighbour_length_um, rng)
    active, waiting = draw_states(fixed, design.active_share(conditions_of(size, seed, key).c_rate), rng)
    limits = ACTIVE_RANGE if design.is_mosaic else SOC_RANGE
    moving = np.clip(fixed + planted.particle_sd * deviates, *limits)
    soc = np.where(active, moving, waiting)
    return PlantedPlates(tuple(plates), soc, soc - fixed, active, flaws)


def _flaws_of(size: CampaignSize, seed: int, key: RegionKey, index: int, plate: Plate) -> Flaws | None:
    if size.design.is_benign:
        return None
    rng = generator(seed, key.region_id, "flaws", index)
    return draw_flaws(plate.outline, size.design, rng, edge_on=plate.edge_on)


def flaw_effects(flaws: tuple[Flaws | None, ...], design: Design) -> F64:
    """Planted effect (PARTICLE,) of having cracks, and of consisting of grains, on the mean state of charge."""
    effects = np.zeros(len(flaws))
    for index, flaw in enumerate(flaws):
        if flaw is not None and flaw.cracks is not None:
            effects[index] += design.cracked_soc
        if flaw is not None and flaw.grains is not None:
            effects[index] += design.grained_soc
    return effects


def region_phantom(
    size: CampaignSize, seed: int, key: RegionKey, planted: Planted = PLANTED, visit: Visit = FIRST_VISIT
) -> Region:
    """All particles of a region at a look: the same for every instrument that looks at it."""
    rng = generator(seed, key.region_id, "phantom")
    laid = region_plates(size, seed, key, rng, planted)
    patterns = rng.choice(PATTERNS, size=len(laid.plates), p=size.pattern_shares)
    design = size.design
    particles: list[Particle] = []
    for index, plate in enumerate(laid.plates):
        flaws = laid.flaws[index]
        if flaws is not None and not laid.active[index]:
            flaws = waiting_flaws(flaws)
        # What waits at an end-member is one phase.
        pattern = str(patterns[index]) if laid.active[index] else PATTERNS[0]
        particle = make_particle(
            index + 1,
            plate.outline,
            pattern,
            float(laid.soc[index]),
            rng,
            float(laid.effect[index]),
            design.interior,
            flaws,
        )
        if not design.is_benign:
            particle = _reacting(particle, plate, bool(laid.active[index]), size, seed, key, visit)
        particles.append(particle)
    if design.film_od == 0.0:
        return Region(tuple(particles))
    waves = random_waves(design.film_length_um, generator(seed, key.region_id, "film"))
    return Region(tuple(particles), Film(design.film_od, waves))


def _reacting(
    particle: Particle, plate: Plate, active: bool, size: CampaignSize, seed: int, key: RegionKey, visit: Visit
) -> Particle:
    """The particle at the time of a look, with its crystal's axis where light sees it."""
    design = size.design
    rng = generator(seed, key.region_id, "reaction", particle.particle_id)
    pace = float(np.exp(rng.normal(0.0, design.rate_sd_log) - 0.5 * design.rate_sd_log**2))
    waves = random_waves(REACTION_LENGTH_UM, rng)
    axis = float(rng.uniform(0.0, np.pi))
    reaction = None
    if active and design.rate_per_h != 0.0:
        sign = 1.0 if conditions_of(size, seed, key).direction == "charge" else -1.0
        reaction = Reaction(
            visit.time_h, sign * design.rate_per_h * pace, design.autocatalysis, waves, design.rate_spread
        )
    return replace(
        particle,
        reaction=reaction,
        edge_on=plate.edge_on,
        is_active=active,
        axis_rad=axis if design.dichroism else None,
    )


def choose_field(
    region: Region, centre_um: tuple[float, float], field_um: float, window_um: float
) -> tuple[tuple[float, float], int]:
    """Where to put the ptychography: the square of ``field_um`` that holds most whole particles, and how many it holds.

    Parameters
    ----------
    centre_um
        middle of the STXM field
    window_um
        side of the square in which the ptychography's middle may lie

    A particle that the square cuts counts against it, at three tenths.
    """
    outlines = [particle.outline for particle in region.particles]
    places_um = np.array([(outline.y_um, outline.x_um) for outline in outlines]).reshape(-1, 2)
    reach = np.array([outline.reach_um for outline in outlines])
    steps = np.linspace(-0.5, 0.5, 25) * window_um
    middles = np.stack(np.meshgrid(centre_um[0] + steps, centre_um[1] + steps, indexing="ij"), axis=-1).reshape(-1, 2)
    from_middle = np.abs(places_um - middles[:, None]).max(axis=2)
    half = field_um / 2.0
    whole = (from_middle + reach < half - 0.05).sum(axis=1)
    cut = ((from_middle - reach < half) & (from_middle + reach >= half - 0.05)).sum(axis=1)
    best = int(np.argmax(whole - 0.3 * cut))
    return (float(middles[best, 0]), float(middles[best, 1])), int(whole[best])


def coulometric_soc(
    size: CampaignSize, seed: int, electrode: int, cycle: int, planted: Planted = PLANTED, visit: Visit = FIRST_VISIT
) -> float:
    """State of charge of an electrode by its cycler: the mean by mass of its imaged particles, with an error."""
    mass, charge = 0.0, 0.0
    half = 0.5 * size.stxm.n_px * size.stxm.pixel_nm * 1e-3
    for number in range(size.n_regions):
        where = RegionKey(electrode, cycle, number)
        centre = field_centre_um(seed, where)
        if visit.time_h == 0.0:
            laid = region_plates(size, seed, where, generator(seed, where.region_id, "phantom"), planted)
            outlines, means = [plate.outline for plate in laid.plates], laid.soc
        else:
            particles = region_phantom(size, seed, where, planted, visit).particles
            outlines = [particle.outline for particle in particles]
            means = np.array([sampled_mean(particle) for particle in particles])
        for outline, soc in zip(outlines, means, strict=True):
            if abs(outline.y_um - centre[0]) < half and abs(outline.x_um - centre[1]) < half:
                weight = outline.thickness_nm * outline.diameter_um**2
                mass += weight
                charge += weight * float(soc)
    rng = generator(seed, RegionKey(electrode, cycle, 0).electrode_id, cycle, "coulometry")
    return charge / mass + float(rng.normal(0.0, planted.coulometric_sd))


def sampled_mean(particle: Particle, samples: int = 61) -> float:
    """Mean state of charge by mass from a coarse grid over the plate."""
    outline = particle.outline
    steps = np.linspace(-outline.reach_um, outline.reach_um, samples)
    thickness, soc = particle.sample(outline.y_um + steps[:, None], outline.x_um + steps[None, :])
    return float((thickness * soc).sum() / thickness.sum())
