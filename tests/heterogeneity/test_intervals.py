"""Coverage of the intervals for few clusters, and estimators against their textbooks."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from stxmdist.heterogeneity.intervals import design_effect, rogan_gladen, t_interval, wilson

RUNS = 2000
BINOMIAL = 3.5 * np.sqrt(0.95 * 0.05 / RUNS)
"""Coverage of 95 % from that many runs deviates by less than this, 2000 times to one."""


def test_t_on_electrode_means_covers_with_three_electrodes_and_pooled_particles_do_not() -> None:
    rng = np.random.default_rng(1)
    sd_electrode, sd_particle = np.sqrt(0.05), np.sqrt(0.95)
    means = sd_electrode * rng.normal(size=(RUNS, 3)) + sd_particle / 10 * rng.normal(size=(RUNS, 3))
    intervals = [t_interval(row) for row in means]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=BINOMIAL)
    pooled_half = 1.97 / np.sqrt(300)
    assert np.mean(np.abs(means.mean(1)) < pooled_half) < 0.8


def test_t_interval_is_scipys() -> None:
    values = np.array([0.2, 0.5, np.nan, 0.9])
    low, high = stats.t.interval(0.9, 2, values[[0, 1, 3]].mean(), stats.sem(values[[0, 1, 3]]))
    interval = t_interval(values, 0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_one_value_has_no_interval() -> None:
    interval = t_interval(np.array([0.3]))
    assert interval.estimate == 0.3
    assert np.isnan(interval.low)
    assert interval.note


@pytest.mark.parametrize(("k", "n"), [(0, 13), (5, 13), (13, 13), (1, 400)])
def test_wilson_is_statsmodels(k: int, n: int) -> None:
    interval = wilson(k, n)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


def test_wilson_widens_by_the_design_effect() -> None:
    assert wilson(30, 100, deff=4.0) == wilson(7.5, 25.0)
    assert design_effect(np.array([25.0, 25.0]), 0.1) == pytest.approx(3.4)
    assert design_effect(np.array([25.0]), float("nan")) == 1.0


def test_clustered_fraction_covers_with_the_design_effect_only() -> None:
    rng = np.random.default_rng(2)
    a, rho, m, regions = 0.3, 0.1, 20, 12
    p = rng.beta(a * (1 - rho) / rho, (1 - a) * (1 - rho) / rho, (RUNS, regions))
    hits = rng.binomial(m, p).sum(axis=1)
    deff = design_effect(np.full(regions, float(m)), rho)
    with_, without = (
        np.mean([(i.low <= a <= i.high) for i in (wilson(k, m * regions, d) for k in hits)]) for d in (deff, 1.0)
    )
    assert with_ > 0.93
    assert without < 0.85


def test_rogan_gladen_undoes_misclassification() -> None:
    observed = 0.3 * 0.8 + 0.7 * (1 - 0.9)
    assert rogan_gladen(observed, 0.8, 0.9) == pytest.approx(0.3)
    assert np.isnan(rogan_gladen(0.3, 0.5, 0.5))
