"""How much the state of charge differs inside a particle, at the limits of what can be said."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.particles.metrics.spread import LARGEST_VARIANCE, spread
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
