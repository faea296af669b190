"""Two groups behind noisy numbers: found where they are planted, and not where one Gaussian is."""

import numpy as np
import pytest

from stxmdist.heterogeneity.mixture import GAINS, ashman_error, gain_p, two_groups

RUNS, N = 250, 100


def samples(
    rng: np.random.Generator, distance: float, noise: float, share: float = 0.5, runs: int = RUNS
) -> np.ndarray:  # type: ignore[type-arg]
    """(RUNS, N) numbers of groups of SD 1."""
    return np.asarray(
        rng.normal(size=(runs, N)) + distance * (rng.random((runs, N)) < share) + noise * rng.normal(size=(runs, N))
    )


def rejected(values: np.ndarray, noise: float) -> tuple[float, float]:  # type: ignore[type-arg]
    """Share called two groups at 5 %, and the median of D."""
    fit = two_groups(values, np.full((1, N), noise**2))
    reliability = 1.0 - noise**2 / values.var(axis=1, ddof=1)
    calls = [
        gain_p(gain, N, r) < 0.05 and d > 2.0 for gain, r, d in zip(fit.gain, reliability, fit.ashman_d, strict=True)
    ]
    return float(np.mean(calls)), float(np.median(fit.ashman_d))


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.5), (0.3, 0.5), (0.3, 0.3)])
def test_power_at_three_standard_deviations(noise: float, share: float) -> None:
    found, d = rejected(samples(np.random.default_rng(1), 3.0, noise, share), noise)
    print(f"\nD = 3, n = 100, noise {noise:g} SD, share {share:g}: power {found:.3f}, median D {d:.2f}")
    assert found >= 0.8
    assert d == pytest.approx(3.0, abs=0.35)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_size_on_one_gaussian(noise: float) -> None:
    found, _ = rejected(samples(np.random.default_rng(2), 0.0, noise), noise)
    print(f"\none Gaussian, n = 100, noise {noise:g} SD: called two groups in {found:.3f}")
    assert found <= 0.06


def test_unequal_noise_is_taken_out() -> None:
    rng = np.random.default_rng(3)
    noise = rng.uniform(0.2, 1.5, 4000)
    values = 3.0 * (rng.random(4000) < 0.4) + rng.normal(size=4000) + noise * rng.normal(size=4000)
    fit = two_groups(values, noise**2)
    blind = two_groups(values, np.zeros(4000))
    error = ashman_error(values, noise**2, fit)
    print(f"\nD = 3, noise of 0.2 to 1.5 SD: {fit.ashman_d[0]:.2f} +- {error:.2f}; {blind.ashman_d[0]:.2f} as measured")
    assert abs(fit.ashman_d[0] - 3.0) < 4 * error < 1.0
    assert fit.share_low[0] == pytest.approx(0.6, abs=0.05)
    assert blind.ashman_d[0] < 2.6


def test_the_error_of_d_is_its_scatter() -> None:
    values = samples(np.random.default_rng(4), 4.0, 0.3, runs=120)
    fit = two_groups(values, np.full((1, N), 0.09))
    single = [two_groups(row, np.full(N, 0.09)) for row in values[:25]]
    errors = [ashman_error(row, np.full(N, 0.09), one) for row, one in zip(values[:25], single, strict=True)]
    assert np.median(errors) == pytest.approx(fit.ashman_d.std(ddof=1), rel=0.3)


def test_chances_are_those_of_the_table() -> None:
    assert gain_p(float(GAINS[0, 3, 3]), 100, 1.0) == pytest.approx(0.05)
    assert gain_p(0.0, 100, 1.0) == 1.0
    assert gain_p(40.0, 1000, 0.9) < 1e-4
    assert np.isnan(gain_p(10.0, 9, 1.0))
