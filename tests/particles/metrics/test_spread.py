"""How much the state of charge differs inside a particle, at the limits of what can be said."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.particles.metrics.spread import LARGEST_VARIANCE, spread, spread_and_error
from tests.particles.metrics.test_contract import blob, views_of


def of_noise(times: float) -> tuple[float, float]:
    """Variance and standard error of a homogeneous plate whose noise is so many times that of the contract test."""
    views = views_of(blob(1))
    sharp = views.sharp
    assert sharp is not None
    loud = replace(sharp, excess_nm=times * sharp.excess_nm, variance_nm2=times**2 * sharp.variance_nm2)
    found = spread(replace(views, sharp=loud))
    return float(found["soc_var_intra"][0]), float(found["soc_var_intra_se"][0])


def test_what_is_less_certain_than_any_variance_can_be_is_not_known() -> None:
    _, error = of_noise(1.0)
    assert 0.0 < error < LARGEST_VARIANCE
    # The variance of a quadratic form grows with the fourth power of the noise's standard deviation.
    times = (LARGEST_VARIANCE / error) ** 0.5
    assert np.isfinite(of_noise(0.9 * times)).all()
    assert of_noise(0.9 * times)[1] == pytest.approx(0.81 * LARGEST_VARIANCE, rel=1e-6)
    assert np.isnan(of_noise(1.1 * times)).all()


@pytest.mark.parametrize("true_sd", [0.0, 0.03, 0.1, 0.4])
@pytest.mark.parametrize("error", [1e-4, 1e-3, 1e-2])
def test_the_interval_of_the_root_holds_where_that_of_the_variance_does(true_sd: float, error: float) -> None:
    variance = true_sd**2 + np.random.default_rng(4).normal(0.0, error, 20_000)
    sd, se = spread_and_error(variance, np.full(variance.shape, error))
    inside = float((np.abs(sd - true_sd) <= 1.96 * se).mean())
    # More is held where the interval reaches below nothing: 95 % of a normal number, and three errors of the draws.
    assert inside > 0.95 - 3.0 * (0.05 * 0.95 / 20_000) ** 0.5
    if true_sd**2 > 6.0 * error:
        assert inside < 0.975


def test_a_variance_far_from_nothing_has_half_its_relative_error_as_a_root() -> None:
    sd, se = spread_and_error(np.array([0.16, np.nan]), np.array([1e-4, 0.1]))
    assert sd[0] == pytest.approx(0.4)
    assert se[0] == pytest.approx(1e-4 / 0.8, rel=1e-3)
    assert np.isnan([sd[1], se[1]]).all()
