"""Designs close on simulated campaigns: power and half-width predicted against realised."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from stxmdist.heterogeneity.design import (
    Costs,
    Design,
    Limits,
    Spread,
    designs_for,
    designs_within,
    electrodes_for_power,
    floor,
    half_width,
    optimal_particles,
    photons_for,
    power,
    power_curve,
)

SPREAD = Spread(electrode=0.03**2, region=0.02**2, particle=0.15**2, noise=0.04**2)
RUNS = 4000
POWER_TOLERANCE = 0.03
"""Four standard errors of that many runs"""


def electrode_means(
    rng: np.random.Generator, spread: Spread, design: Design, electrode: np.ndarray | None = None
) -> np.ndarray:  # type: ignore[type-arg]
    """(RUNS, ELECTRODE) means of what a campaign measures, drawn level by level."""
    shape = (RUNS, design.electrodes, design.regions, design.particles)
    own = rng.normal(0.0, np.sqrt(spread.electrode), shape[:2]) if electrode is None else electrode
    regions = rng.normal(0.0, np.sqrt(spread.region), shape[:3])
    # Particle and noise are independent of all else: their mean over a region is drawn as one number.
    particles = rng.normal(0.0, np.sqrt((spread.particle + spread.noise) / design.particles), shape[:3])
    return np.asarray(own + (regions + particles).mean(axis=2))


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("design", [Design(3, 2, 20), Design(4, 1, 60), Design(8, 3, 30), Design(12, 2, 10)])
def test_power_is_what_simulated_campaigns_have(design: Design, paired: bool) -> None:
    rng = np.random.default_rng(5)
    effect = 0.05
    one = electrode_means(rng, SPREAD, design)
    if paired:
        own = rng.normal(0.0, np.sqrt(SPREAD.electrode), (RUNS, design.electrodes))
        one = electrode_means(rng, SPREAD, design, own)
        other = electrode_means(rng, SPREAD, design, own) + effect
        p = stats.ttest_rel(one, other, axis=1).pvalue
    else:
        p = stats.ttest_ind(one, electrode_means(rng, SPREAD, design) + effect, axis=1).pvalue
    realised = float((p < 0.05).mean())
    predicted = power(SPREAD, design, effect, paired=paired)
    print(f"\n{design} {'paired' if paired else 'unpaired'}: power {predicted:.3f} predicted, {realised:.3f} simulated")
    assert predicted == pytest.approx(realised, abs=POWER_TOLERANCE)


@pytest.mark.parametrize("design", [Design(2, 2, 20), Design(3, 2, 20), Design(8, 3, 30)])
def test_half_width_is_what_simulated_campaigns_have(design: Design) -> None:
    rng = np.random.default_rng(6)
    means = electrode_means(rng, SPREAD, design)
    n = design.electrodes
    halves = stats.t.ppf(0.975, n - 1) * means.std(axis=1, ddof=1) / np.sqrt(n)
    realised, predicted = float(np.sqrt((halves**2).mean())), half_width(SPREAD, design)
    covered = float((np.abs(means.mean(axis=1)) <= halves).mean())
    print(f"\n{design}: half-width {predicted:.4f} predicted, {realised:.4f} realised, coverage {covered:.3f}")
    # Four standard errors of a root mean square of that many chi-squares.
    assert predicted == pytest.approx(realised, rel=4 * np.sqrt(0.5 / (n - 1) / RUNS))
    assert 0.92 <= covered <= 0.97


def test_power_is_that_of_statsmodels() -> None:
    design = Design(6, 2, 25)
    sd = np.sqrt(SPREAD.of_electrode_mean(2, 25))
    expected = TTestIndPower().power(effect_size=0.05 / sd, nobs1=6, alpha=0.05)
    assert power(SPREAD, design, 0.05) == pytest.approx(expected, abs=1e-6)
    needed = TTestIndPower().solve_power(effect_size=0.05 / sd, power=0.8, alpha=0.05)
    assert electrodes_for_power(SPREAD, 0.05, 0.8, regions=2, particles=25) == int(np.ceil(needed))


def test_power_without_an_effect_is_the_level_and_grows_with_all_else() -> None:
    assert power(SPREAD, Design(5, 2, 20), 0.0) == pytest.approx(0.05, abs=1e-6)
    assert power(SPREAD, Design(5, 2, 20), -0.04) == pytest.approx(power(SPREAD, Design(5, 2, 20), 0.04))
    curve = power_curve(SPREAD, (1, 2, 3, 5, 9, 20, 400), 0.05, regions=2, particles=20)
    assert curve[0] == 0.0
    assert (np.diff(curve) > 0).all() or curve[-1] == 1.0
    assert power(Spread(0.0, 0.0, 0.0, 0.0), Design(3, 1, 1), 0.1) == 1.0
    assert electrodes_for_power(SPREAD, 1e-4, 0.8, regions=2, particles=20) is None


def test_the_optimum_gives_the_smallest_variance_for_the_beamtime() -> None:
    costs = Costs(electrode=0.0, region=30.0, particle=0.5)
    best = optimal_particles(SPREAD, costs)
    icc = SPREAD.region / (SPREAD.region + SPREAD.particle + SPREAD.noise)
    assert best == pytest.approx(np.sqrt(30.0 / 0.5 * (1.0 - icc) / icc))
    m = np.arange(1, 400)
    # Regions that a day allows, and the variance that they leave.
    variance = SPREAD.of_estimate(1440.0 / (costs.region + m * costs.particle), m)
    assert m[np.argmin(variance)] == pytest.approx(best, abs=1.0)
    assert optimal_particles(Spread(0.1, 0.0, 0.1, 0.0), costs) == np.inf


def test_designs_reach_what_is_wanted_with_least_beamtime() -> None:
    costs = Costs(60.0, 20.0, 0.5)
    designs = designs_for(SPREAD, 0.03, costs)
    assert designs
    for design in designs:
        assert half_width(SPREAD, design) <= 0.03 * (1.0 + 1e-9)
        assert floor(SPREAD, design.electrodes) < half_width(SPREAD, design)
    first = designs[0]
    cheaper = [
        Design(first.electrodes, regions, particles)
        for regions in range(1, 12)
        for particles in range(1, 300)
        if Design(first.electrodes, regions, particles).minutes(costs) < first.minutes(costs) - 1e-9
    ]
    assert all(half_width(SPREAD, design) > 0.03 for design in cheaper)
    # Electrodes that differ too much for a few of them leave no design.
    assert designs_for(Spread(0.2**2, 0.0, 0.01, 0.0), 0.03, costs, Limits(electrodes=10)) == []
    assert half_width(SPREAD, Design(1, 5, 50)) == np.inf


def test_photons_are_counted() -> None:
    assert photons_for(0.02, 1e4, 0.01) == pytest.approx(4e4)


@pytest.mark.parametrize("hours", [1.0, 8.0, 24.0, 100.0])
@pytest.mark.parametrize("costs", [Costs(), Costs(electrode=0.0, region=5.0, particle=1.0)])
def test_designs_within_a_time_fit_and_one_region_more_does_not(hours: float, costs: Costs) -> None:
    limits = Limits(regions=10_000)
    found = designs_within(60.0 * hours, costs, 30, limits)
    for design in found:
        more = Design(design.electrodes, design.regions + 1, design.particles)
        assert design.minutes(costs) <= 60.0 * hours * (1 + 1e-9) < more.minutes(costs)
    # The first number of electrodes that is not named does not fit with one region each.
    first = Design(len(found) + 1, 1, 30)
    assert first.electrodes > limits.electrodes or first.minutes(costs) > 60.0 * hours


def test_a_time_that_fits_exactly_is_used() -> None:
    design = Design(3, 4, 30)
    assert design in designs_within(design.minutes(Costs()), Costs(), 30)
