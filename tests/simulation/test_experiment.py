"""Planted effects and variances come back from the truth by textbook estimators, without any imaging."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.simulation.experiment import (
    PLANTED,
    SOC_RANGE,
    centred_cycle,
    choose_field,
    coulometric_soc,
    electrode_effects,
    field_centre_um,
    plant_soc,
    region_effect,
    region_level,
    region_phantom,
)
from stxmdist.simulation.regions import RegionKey, generator, region_keys
from stxmdist.simulation.sizes import LARGE, MEDIUM, SIZES, SMALL

MANY = 4000
# Four standard errors of a standard deviation from 4000 draws.
SD_TOLERANCE = 4.0 / np.sqrt(2.0 * MANY)


def test_random_effects_have_the_planted_spread() -> None:
    intercepts, slopes = np.transpose([electrode_effects(3, RegionKey(i, 1, 0)) for i in range(MANY)])
    regions = np.array([region_effect(3, RegionKey(0, 1, i)) for i in range(MANY)])
    assert intercepts.std() == pytest.approx(PLANTED.electrode_sd, rel=SD_TOLERANCE)
    assert slopes.std() == pytest.approx(PLANTED.electrode_slope_sd_per_100, rel=SD_TOLERANCE)
    assert regions.std() == pytest.approx(PLANTED.region_sd, rel=SD_TOLERANCE)
    assert abs(np.corrcoef(intercepts, slopes)[0, 1]) < 4.0 / np.sqrt(MANY)


def test_particles_have_the_planted_spread_and_slope_over_size() -> None:
    rng = np.random.default_rng(0)
    diameter = rng.lognormal(np.log(0.55), 0.35, 40_000)
    mean, effect = plant_soc(0.5, diameter, rng)
    design = np.column_stack([np.ones(diameter.size), np.log(diameter / PLANTED.reference_diameter_um)])
    coefficients, *_ = np.linalg.lstsq(design, mean, rcond=None)
    # What the limits of soc cut off narrows the spread and flattens the slope by up to two per cent.
    assert coefficients[0] == pytest.approx(0.5, abs=0.004)
    assert coefficients[1] == pytest.approx(PLANTED.log_size_slope, rel=0.05)
    assert effect.std() == pytest.approx(PLANTED.particle_sd, rel=0.02)
    assert mean.min() >= SOC_RANGE[0]
    assert mean.max() <= SOC_RANGE[1]


def test_variance_components_come_back_from_a_nested_analysis() -> None:
    """Balanced nested analysis of variance of 300 electrodes x 4 regions x 30 particles, against what was planted."""
    size = replace(SMALL, cycles=(1,))
    electrodes, regions, particles = 300, 4, 30
    soc = np.empty((electrodes, regions, particles))
    for i in range(electrodes):
        for j in range(regions):
            here = RegionKey(i, 1, j)
            level = region_level(size, 7, here)
            diameter = np.full(particles, PLANTED.reference_diameter_um)
            soc[i, j] = plant_soc(level, diameter, generator(7, here.region_id, "test"))[0]
    within = soc.var(axis=2, ddof=1).mean()
    between_regions = soc.mean(axis=2).var(axis=1, ddof=1).mean() - within / particles
    between_electrodes = soc.mean(axis=(1, 2)).var(ddof=1) - between_regions / regions - within / particles / regions
    # Four standard errors: chi-square with 299, 900 and 34800 degrees of freedom and what is subtracted.
    assert within == pytest.approx(PLANTED.particle_sd**2, rel=0.05)
    assert between_regions == pytest.approx(PLANTED.region_sd**2, rel=0.30)
    assert between_electrodes == pytest.approx(PLANTED.electrode_sd**2, rel=0.40)


def test_level_falls_over_cycles_with_each_electrodes_own_slope() -> None:
    size = replace(SMALL, cycles=(1, 101))
    slopes = []
    for electrode in range(MANY // 4):
        early, late = (RegionKey(electrode, cycle, 0) for cycle in size.cycles)
        no_regions = [region_level(size, 1, key) - region_effect(1, key) for key in (early, late)]
        slopes.append(no_regions[1] - no_regions[0])
    assert np.mean(slopes) == pytest.approx(
        PLANTED.cycle_slope_per_100, abs=4 * PLANTED.electrode_slope_sd_per_100 / 31
    )
    assert centred_cycle(size, 51) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_every_ptychography_field_of_the_demo_holds_three_whole_particles(seed: int) -> None:
    for key in region_keys(SMALL):
        region = region_phantom(SMALL, seed, key)
        setup = SMALL.ptychography
        centre = field_centre_um(seed, key)
        middle, whole = choose_field(region, centre, setup.field_um, 8.0 - setup.field_um - 0.4)
        assert whole >= 3
        inside = [
            max(abs(p.outline.y_um - middle[0]), abs(p.outline.x_um - middle[1])) + p.outline.reach_um
            for p in region.particles
        ]
        assert sum(reach < setup.field_um / 2 for reach in inside) >= whole
        assert max(abs(middle[0] - centre[0]), abs(middle[1] - centre[1])) + setup.field_um / 2 <= 4.0


def test_cyclers_agree_with_the_imaged_mean() -> None:
    """The coulometric value lies within its error of the mass-weighted mean of all planted particles in the field."""
    found = coulometric_soc(SMALL, 5, 1, 100)
    exact = coulometric_soc(SMALL, 5, 1, 100, replace(PLANTED, coulometric_sd=0.0))
    assert 0.0 < abs(found - exact) < 4 * PLANTED.coulometric_sd


def test_generators_depend_on_their_names_only() -> None:
    assert generator(1, "a", 2).random() == generator(1, "a", 2).random()
    assert len({generator(*key).random() for key in [(1, "a", 2), (1, "a", 3), (2, "a", 2), (1, "a/2x")]}) == 4


def test_sizes_are_what_they_are_called() -> None:
    assert set(SIZES) == {"small", "medium", "large", "hard"}
    assert SMALL.n_scans == 12
    assert MEDIUM.n_scans == 48
    frames = [
        size.n_scans
        // 2
        * len(size.ptychography.energy_ev)
        * (round(size.ptychography.field_um / size.ptychography.step_um) + 1) ** 2
        * size.ptychography.detector.n**2
        * 2
        for size in (SMALL, MEDIUM, LARGE)
    ]
    assert frames[2] > 30e9
    # Neighbouring beams overlap by more than 60 % of the diameter.
    for size in (SMALL, MEDIUM, LARGE):
        assert size.ptychography.step_um < 0.4 * 2 * 0.0291 / 2 * size.ptychography.defocus_um
