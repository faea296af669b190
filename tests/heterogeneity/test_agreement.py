"""Agreement of two instruments, and the pay-off of calibrating many particles by a few."""

import numpy as np
import pytest

from stxmdist.heterogeneity.agreement import bland_altman, deming, two_phase_regression_estimator


def test_bias_and_limits_of_agreement() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1, 4000)
    agreement = bland_altman(truth, truth + rng.normal(0.05, 0.1, 4000))
    assert agreement.bias.low < 0.05 < agreement.bias.high
    assert agreement.limit_low == pytest.approx(0.05 - 0.196, abs=4 * agreement.limit_se)
    assert bland_altman(np.array([1.0]), np.array([1.0])).note


def test_deming_recovers_a_slope_that_least_squares_dilutes() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(0.5, 0.2, 3000)
    x, y = truth + rng.normal(0, 0.1, 3000), 0.8 * truth + 0.1 + rng.normal(0, 0.2, 3000)
    line = deming(x, y, variance_ratio=4.0)
    assert line.slope.low < 0.8 < line.slope.high
    assert line.intercept.low < 0.1 < line.intercept.high
    assert np.polyfit(x, y, 1)[0] < 0.7


def test_deming_does_not_mind_which_is_called_x() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=31), rng.normal(size=31)
    assert deming(x, y, 2.0).slope.estimate == pytest.approx(1 / deming(y, x, 0.5).slope.estimate)


def test_two_phase_estimator_is_as_sharp_as_theory_and_covers() -> None:
    rng = np.random.default_rng(4)
    rho, n, total, runs = 0.9, 50, 1000, 1500
    estimates, ses, covered = [], [], 0
    for _ in range(runs):
        y = rng.normal(0.5, 0.2, total)
        x = rho * y + np.sqrt(1 - rho**2) * rng.normal(0, 0.2, total)
        two = two_phase_regression_estimator(x, x[:n], y[:n])
        estimates.append(two.mean.estimate)
        ses.append(two.se)
        covered += two.mean.low <= 0.5 <= two.mean.high
    theory = 0.2 * np.sqrt((1 - rho**2) / n + rho**2 / total)
    assert np.std(estimates) == pytest.approx(theory, rel=0.10)
    assert np.mean(ses) == pytest.approx(theory, rel=0.10)
    assert covered / runs == pytest.approx(0.95, abs=0.02)
    assert two.se / two.se_accurate_only < 0.7
    assert 0.2**2 / theory**2 == pytest.approx(217, abs=1)


def test_too_few_pairs_say_so() -> None:
    assert two_phase_regression_estimator(np.arange(9.0), np.arange(2.0), np.arange(2.0)).note
    assert two_phase_regression_estimator(np.ones(9), np.ones(4), np.arange(4.0)).note
    assert deming(np.ones(5), np.arange(5.0)).note
