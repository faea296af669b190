"""Agreement of two instruments, and the pay-off of calibrating many particles by a few."""

import numpy as np
import pytest

from stxmdist.heterogeneity.agreement import bland_altman, calibrate, deming


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


def test_too_few_pairs_say_so() -> None:
    assert deming(np.ones(5), np.arange(5.0)).note
