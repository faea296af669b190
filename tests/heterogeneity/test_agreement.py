"""Agreement of two instruments, and the pay-off of calibrating many particles by a few."""

import numpy as np
import pytest

from stxmdist.heterogeneity.agreement import bland_altman, calibrate


def test_bias_and_limits_of_agreement() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1, 4000)
    agreement = bland_altman(truth, truth + rng.normal(0.05, 0.1, 4000))
    assert agreement.bias.low < 0.05 < agreement.bias.high
    assert agreement.limit_low == pytest.approx(0.05 - 0.196, abs=4 * agreement.limit_se)
    assert bland_altman(np.array([1.0]), np.array([1.0])).note


def unknown(n: int) -> np.ndarray:
    return np.full(n, np.nan)


def test_pairs_without_known_errors_are_calibrated_by_their_principal_axis() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(0.5, 0.2, 3000)
    x, y = truth + rng.normal(0, 0.1, 3000), 0.8 * truth + 0.1 + rng.normal(0, 0.1, 3000)
    few = slice(0, 40)
    line, swapped = (
        calibrate(one[few], other[few], unknown(40), unknown(40), np.arange(40)) for one, other in ((x, y), (y, x))
    )
    across, along = np.linalg.svd(np.column_stack([x[few] - x[few].mean(), y[few] - y[few].mean()]))[2][0]
    assert line.slope.estimate == pytest.approx(along / across)
    assert line.intercept.estimate == pytest.approx(y[few].mean() - along / across * x[few].mean())
    # It does not matter which is called x.
    assert line.slope.estimate == pytest.approx(1.0 / swapped.slope.estimate)
    many = calibrate(x, y, unknown(3000), unknown(3000), np.arange(3000) % 300)
    assert many.slope.low < 0.8 < many.slope.high
    assert many.intercept.low < 0.1 < many.intercept.high
    assert np.polyfit(x, y, 1)[0] < 0.7


def test_calibration_covers_slope_and_intercept_that_errors_of_x_would_dilute() -> None:
    rng = np.random.default_rng(5)
    runs, n, covered, slopes = 200, 40, np.zeros(2), []
    x_se = np.full(n, 0.08)
    for _ in range(runs):
        truth = rng.uniform(0.2, 0.8, n)
        x, y = truth + x_se * rng.normal(size=n), 0.8 * truth + 0.03 + rng.normal(0, 0.06, n)
        line = calibrate(x, y, x_se, np.full(n, 0.03), np.arange(n))
        covered += [line.slope.low <= 0.8 <= line.slope.high, line.intercept.low <= 0.03 <= line.intercept.high]
        slopes.append(line.slope.estimate)
    covered /= runs
    print(f"\ncalibration: slope {np.mean(slopes):.3f} of .800, coverage {covered[0]:.3f}, intercept {covered[1]:.3f}")
    assert np.median(slopes) == pytest.approx(0.8, abs=0.02)
    assert (covered >= 0.92).all()


def test_corrected_measurements_lose_their_bias_and_keep_their_error() -> None:
    # Diluted to .8, lifted by .03, and errors in ptychography.
    rng = np.random.default_rng(6)
    runs, n, many = 120, 30, 400
    raw, corrected, pulls = [], [], []
    for _ in range(runs):
        truth = rng.normal(0.35, 0.2, n)
        x, x_se = truth + 0.04 * rng.normal(size=n), np.full(n, 0.04)
        y = 0.8 * truth + 0.03 + 0.03 * rng.normal(size=n)
        line = calibrate(x, y, x_se, np.full(n, 0.03), np.arange(n))
        others = rng.normal(0.35, 0.2, many)
        seen = 0.8 * others + 0.03 + 0.03 * rng.normal(size=many)
        back, se = line.corrected(seen, np.full(many, 0.03))
        raw.append(np.mean(seen - others))
        corrected.append(np.mean(back - others))
        pulls.append((back - others) / se)
    print(
        f"\ncorrected particles: bias {np.mean(corrected):+.4f} where it was {np.mean(raw):+.4f}, "
        f"pulls {np.std(pulls):.3f}, inside their 95 % interval {np.mean(np.abs(pulls) < 1.96):.3f}"
    )
    assert abs(np.mean(raw)) > 0.03
    assert abs(np.mean(corrected)) < 0.01
    assert 0.9 < np.std(pulls) < 1.1


def test_a_line_that_pairs_do_not_give_is_refused_with_a_word() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=30)
    assert "4 pairs" in calibrate(x[:4], x[:4], unknown(4), unknown(4), np.arange(4)).note
    assert "alike" in calibrate(np.ones(9), x[:9], unknown(9), unknown(9), np.arange(9)).note
    assert "hardly more" in calibrate(x, x, np.full(30, 2.0), unknown(30), np.arange(30)).note
    assert "equally uncertain" in calibrate(x, x + rng.normal(0, 0.1, 30), unknown(30), unknown(30), np.arange(30)).note
    assert "five regions" in calibrate(x, x + rng.normal(0, 0.1, 30), 0.1 + 0 * x, 0 * x, np.arange(30) % 3).note
