"""The pay-off of calibrating many particles by a few: its standard error is theory's, and its interval covers."""

import numpy as np
import pytest

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.double_sampling import (
    Sample,
    Slope,
    clustered_mean,
    pooled_slope,
    two_phase_by_region,
)

THEORY = 0.10
"""C11 of the closure tests: the standard error is within a tenth of theory's."""

COVERAGE = (0.92, 0.97)
"""Of 95 % intervals, with pairs in a few regions."""
RUNS = 500
DOUBT = 2.0 * np.sqrt(0.95 * 0.05 / RUNS)
"""Two binomial standard errors, by which a true coverage of 97 % may be passed."""


def textbook(cheap: F64, x: F64, y: F64) -> tuple[float, float]:
    """Mean and standard error when particles are drawn one by one: Cochran, Sampling Techniques (1977), 12.6."""
    slope, intercept = np.polyfit(x, y, 1)
    residual = ((y - slope * x - intercept) ** 2).sum() / (len(x) - 2)
    explained = max(y.var(ddof=1) - residual, 0.0)
    return float(slope * cheap.mean() + intercept), float(np.sqrt(residual / len(x) + explained / len(cheap)))


def test_particles_drawn_one_by_one_give_the_textbooks_estimate_and_cover() -> None:
    rng = np.random.default_rng(4)
    rho, n, total, runs = 0.9, 50, 1000, 1500
    estimates, ses, of_textbook, covered = [], [], [], 0
    each, one = np.arange(total), np.ones(total)
    for _ in range(runs):
        y = rng.normal(0.5, 0.2, total)
        x = rho * y + np.sqrt(1 - rho**2) * rng.normal(0, 0.2, total)
        slope = pooled_slope(x[:n], y[:n], np.zeros(n, np.int64))
        two = two_phase_by_region(Sample(x, each, one), Sample(x[:n], each[:n], one[:n]), y[:n], slope)
        mean, se = textbook(x, x[:n], y[:n])
        assert two.mean.estimate == pytest.approx(mean)
        estimates.append(mean)
        ses.append(two.se)
        of_textbook.append(se)
        covered += two.mean.low <= 0.5 <= two.mean.high
    theory = 0.2 * np.sqrt((1 - rho**2) / n + rho**2 / total)
    print(f"\ntwo-phase, no regions: SE {np.mean(ses):.5f}, textbook {np.mean(of_textbook):.5f}, theory {theory:.5f}")
    print(f"coverage {covered / runs:.3f}")
    assert np.std(estimates) == pytest.approx(theory, rel=THEORY)
    assert np.mean(ses) == pytest.approx(theory, rel=THEORY)
    assert np.mean(ses) == pytest.approx(np.mean(of_textbook), rel=THEORY)
    assert covered / runs == pytest.approx(0.95, abs=0.02)
    assert two.se / two.se_accurate_only < 0.7
    assert 0.2**2 / theory**2 == pytest.approx(217, abs=1)


def electrode(
    rng: np.random.Generator, regions: int, per_region: int, paired: tuple[int, int], icc: float, x_noise: float
) -> tuple[Sample, Sample, F64]:
    """All particles, and the pairs in the first regions: soc .5 +- .2, of the variance a share between regions."""
    region: I64 = np.repeat(np.arange(regions), per_region)
    truth = 0.5 + 0.2 * np.sqrt(icc) * rng.normal(size=regions)[region]
    truth += 0.2 * np.sqrt(1 - icc) * rng.normal(size=region.size)
    cheap = 0.1 + 0.8 * truth + x_noise * rng.normal(size=region.size)
    accurate = truth + 0.02 * rng.normal(size=region.size)
    seen = np.flatnonzero((region < paired[0]) & (np.tile(np.arange(per_region), regions) < paired[1]))
    one = np.ones(region.size)
    return Sample(cheap, region, one), Sample(cheap[seen], region[seen], one[seen]), accurate[seen]


def test_standard_error_by_region_is_theorys_for_particles_that_have_no_regions() -> None:
    rng = np.random.default_rng(11)
    runs, estimates, ses, only = 400, [], [], []
    x_noise, n, total = 0.1, 60, 600
    for _ in range(runs):
        cheap, paired, accurate = electrode(rng, 60, 10, (60, 1), 0.0, x_noise)
        two = two_phase_by_region(cheap, paired, accurate, pooled_slope(paired.value, accurate, np.zeros(n, np.int64)))
        estimates.append(two.mean.estimate)
        ses.append(two.se)
        only.append(two.se_accurate_only)
    rho2 = (0.8 * 0.2**2) ** 2 / ((0.8 * 0.2) ** 2 + x_noise**2) / (0.2**2 + 0.02**2)
    theory = np.sqrt(0.2**2 + 0.02**2) * np.sqrt((1 - rho2) / n + rho2 / total)
    print(
        f"\ntwo-phase: SE said {np.mean(ses):.5f}, found {np.std(estimates):.5f}, theory {theory:.5f}; "
        f"over ptychography alone {np.mean(ses) / np.mean(only):.3f}, theory {theory / np.sqrt(0.0404 / n):.3f}"
    )
    assert np.mean(ses) == pytest.approx(theory, rel=THEORY)
    assert np.std(estimates) == pytest.approx(theory, rel=THEORY)
    assert np.mean(ses) / np.mean(only) == pytest.approx(theory / np.sqrt((0.2**2 + 0.02**2) / n), rel=THEORY)


@pytest.mark.parametrize(("icc", "regions_paired"), [(0.0, 4), (0.1, 4), (0.3, 6), (0.5, 3), (0.5, 2), (0.2, 8)])
def test_intervals_cover_where_pairs_lie_in_a_few_regions(icc: float, regions_paired: int) -> None:
    rng = np.random.default_rng([12, int(10 * icc)])
    covered, bias = 0, []
    for _ in range(RUNS):
        cheap, paired, accurate = electrode(rng, 8, 30, (regions_paired, 8), icc, 0.05)
        group = np.zeros(accurate.size, np.int64)
        two = two_phase_by_region(cheap, paired, accurate, pooled_slope(paired.value, accurate, group))
        covered += two.mean.low <= 0.5 <= two.mean.high
        bias.append(two.mean.estimate - 0.5)
    print(f"\ntwo-phase, ICC {icc}, {regions_paired} regions with pairs: coverage {covered / RUNS:.3f}")
    assert COVERAGE[0] <= covered / RUNS <= COVERAGE[1] + DOUBT
    assert abs(np.mean(bias)) < 4 * np.std(bias) / np.sqrt(RUNS)


def test_pairs_of_one_region_say_that_they_are() -> None:
    rng = np.random.default_rng(13)
    cheap, paired, accurate = electrode(rng, 1, 40, (1, 12), 0.0, 0.05)
    two = two_phase_by_region(cheap, paired, accurate, pooled_slope(paired.value, accurate, np.zeros(12, np.int64)))
    assert "one region" in two.note
    assert 0 < two.se < two.se_accurate_only
    assert np.isnan(clustered_mean(cheap)[1])


def test_too_few_pairs_are_refused() -> None:
    few = Sample(np.arange(2.0), np.arange(2), np.ones(2))
    assert "2 pairs" in two_phase_by_region(few, few, np.arange(2.0), Slope(1.0, 0.0)).note
    three = Sample(np.ones(3), np.arange(3), np.ones(3))
    flat = pooled_slope(three.value, np.arange(3.0), np.zeros(3, np.int64))
    assert "slope" in two_phase_by_region(three, three, np.arange(3.0), flat).note


def test_weights_of_regions_set_the_mean() -> None:
    region = np.array([0, 0, 0, 1])
    sample = Sample(np.array([1.0, 1.0, 1.0, 3.0]), region, 1.0 / np.bincount(region)[region])
    assert clustered_mean(sample)[0] == pytest.approx(2.0)
