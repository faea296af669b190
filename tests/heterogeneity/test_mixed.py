"""Mixed models are those of statsmodels, an independent code, where that converges; and words where there is none."""

import warnings

import numpy as np
import pytest

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.mixed import AT_BOUNDARY, mixed_slope

AGREE = 0.02
"""Of a standard error: both stop their search at a finite precision."""


def planted(rng: np.random.Generator, slope_sd: float) -> tuple[F64, F64, I64, F64]:
    counts = rng.integers(4, 12, 9)
    group: I64 = np.repeat(np.arange(9), counts)
    x = rng.uniform(0.0, 100.0, group.size)
    others = rng.normal(size=(group.size, 1))
    own, change = rng.normal(0.5, 0.05, 9), rng.normal(0.002, slope_sd, 9)
    y = own[group] + change[group] * x + 0.02 * others[:, 0] + rng.normal(0.0, 0.03, group.size)
    return y, x, group, others


@pytest.mark.parametrize(("random_slope", "slope_sd"), [(False, 0.0), (True, 0.001)])
def test_estimates_and_errors_are_those_of_statsmodels(random_slope: bool, slope_sd: float) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    for seed in range(4):
        y, x, group, others = planted(np.random.default_rng([81, seed]), slope_sd)
        scaled = (x - x.mean()) / x.std()
        fixed = np.column_stack([np.ones(len(y)), scaled, others])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = MixedLM(y / y.std(), fixed, group, exog_re=fixed[:, : 1 + random_slope]).fit(method=["bfgs"])
        estimate, se = (float(value[1]) * y.std() / x.std() for value in (theirs.fe_params, theirs.bse_fe))
        ours = mixed_slope(y, x, group, others, random_slope=random_slope)
        assert ours.estimate == pytest.approx(estimate, abs=AGREE * se)
        assert ours.se == pytest.approx(se, rel=AGREE)


def test_shift_scale_and_order_move_slopes_as_they_must() -> None:
    y, x, group, others = planted(np.random.default_rng(82), 0.001)
    one = mixed_slope(y, x, group, others, random_slope=True)
    other = mixed_slope(3.0 * y + 5.0, 0.5 * x - 7.0, group, others, random_slope=True)
    assert other.estimate == pytest.approx(6.0 * one.estimate, rel=1e-4)
    assert other.se == pytest.approx(6.0 * one.se, rel=1e-4)
    order = np.random.default_rng(83).permutation(len(y))
    mixed = mixed_slope(y[order], x[order], group[order], others[order], random_slope=True)
    assert (mixed.estimate, mixed.se) == pytest.approx((one.estimate, one.se), rel=1e-4)


def test_groups_that_are_alike_and_data_without_a_fit_say_so() -> None:
    rng = np.random.default_rng(84)
    group, x = np.repeat(np.arange(4), 6), rng.normal(size=24)
    # Group means that scatter less than their particles let them.
    y = x + np.tile([-1.0, 1.0, -0.5, 0.5, -0.2, 0.2], 4)
    assert AT_BOUNDARY in mixed_slope(y, x, group).note
    assert "clusters" in mixed_slope(y, x, 0 * group).note
    assert "collinear" in mixed_slope(y, x, group, x[:, None]).note
    exact = mixed_slope(group + x, x, group, random_slope=True)
    assert "nothing is left" in exact.note or exact.estimate == pytest.approx(1.0)
