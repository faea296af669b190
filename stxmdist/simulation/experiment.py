"""The experiment that is simulated: its electrodes, cycles and regions, and what is planted at each level."""

import hashlib
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.phantom import PATTERNS, Outline, Particle, Region, make_particle
from stxmdist.simulation.powder import lay_plates
from stxmdist.simulation.sizes import CampaignSize

SOC_RANGE = (0.08, 0.97)
"""Planted particle means are kept inside: both phases must be able to make them up."""
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


@dataclass(frozen=True)
class RegionKey:
    """One region of one electrode at one cycle."""

    electrode: int
    cycle: int
    region: int

    @property
    def electrode_id(self) -> str:
        """Unique in the campaign."""
        return f"E{self.electrode + 1:02d}"

    @property
    def region_id(self) -> str:
        """Unique in the campaign."""
        return f"{self.electrode_id}-c{self.cycle:03d}-r{self.region + 1}"


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A random generator that depends on the campaign's seed and a name, and on nothing that ran before."""
    words = hashlib.sha256("/".join(str(key) for key in keys).encode()).digest()[:16]
    return np.random.default_rng([seed, *np.frombuffer(words, dtype="<u4").tolist()])


def region_keys(size: CampaignSize) -> tuple[RegionKey, ...]:
    """Every region of the campaign, in the order of measurement."""
    return tuple(
        RegionKey(electrode, cycle, region)
        for electrode in range(size.n_electrodes)
        for cycle in size.cycles
        for region in range(size.n_regions)
    )


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
    return planted.level + intercept + drift + region_effect(seed, key, planted)


def plant_soc(level: float, diameter_um: F64, rng: np.random.Generator, planted: Planted = PLANTED) -> tuple[F64, F64]:
    """Mean soc and own effect (PARTICLE,) of particles: level, slope over log size, and a normal deviate.

    A deviate that would leave ``SOC_RANGE`` is drawn again; where the level itself leaves it, the mean is the limit.
    """
    fixed = level + planted.log_size_slope * np.log(np.asarray(diameter_um) / planted.reference_diameter_um)
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


def region_plates(
    size: CampaignSize, seed: int, key: RegionKey, rng: np.random.Generator, planted: Planted = PLANTED
) -> tuple[list[Outline], F64, F64]:
    """Outlines of a region's particles, their planted mean soc (PARTICLE,) and their own effects (PARTICLE,)."""
    centre = field_centre_um(seed, key)
    half = 0.5 * size.stxm.n_px * size.stxm.pixel_nm * 1e-3 + FIELD_MARGIN_UM
    outlines: list[Outline] = lay_plates(
        (centre[0] - half, centre[1] - half), (centre[0] + half, centre[1] + half), size.powder, rng
    )
    diameters = np.array([outline.diameter_um for outline in outlines])
    mean, effect = plant_soc(region_level(size, seed, key, planted), diameters, rng, planted)
    return outlines, mean, effect


def region_phantom(size: CampaignSize, seed: int, key: RegionKey, planted: Planted = PLANTED) -> Region:
    """All particles of a region: the same for every instrument that looks at it."""
    rng = generator(seed, key.region_id, "phantom")
    outlines, mean, effect = region_plates(size, seed, key, rng, planted)
    patterns = rng.choice(PATTERNS, size=len(outlines), p=size.pattern_shares)
    particles: list[Particle] = [
        make_particle(index + 1, outline, str(patterns[index]), float(mean[index]), rng, float(effect[index]))
        for index, outline in enumerate(outlines)
    ]
    return Region(tuple(particles))


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


def coulometric_soc(size: CampaignSize, seed: int, electrode: int, cycle: int, planted: Planted = PLANTED) -> float:
    """State of charge of an electrode by its cycler: the mean by mass of its imaged particles, with an error."""
    mass, charge = 0.0, 0.0
    half = 0.5 * size.stxm.n_px * size.stxm.pixel_nm * 1e-3
    for number in range(size.n_regions):
        where = RegionKey(electrode, cycle, number)
        centre = field_centre_um(seed, where)
        plates = region_plates(size, seed, where, generator(seed, where.region_id, "phantom"), planted)
        for outline, soc in zip(plates[0], plates[1], strict=True):
            if abs(outline.y_um - centre[0]) < half and abs(outline.x_um - centre[1]) < half:
                weight = outline.thickness_nm * outline.diameter_um**2
                mass += weight
                charge += weight * float(soc)
    rng = generator(seed, RegionKey(electrode, cycle, 0).electrode_id, cycle, "coulometry")
    return charge / mass + float(rng.normal(0.0, planted.coulometric_sd))
