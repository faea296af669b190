"""Exact tests against brute force, and the smallest p that a design can reach."""

from itertools import combinations, permutations, product

import numpy as np
import pytest

from stxmdist.heterogeneity.permutation import exact_sign_flip, exact_slope, exact_two_group


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_sign_flip_is_brute_force(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1.0, n)
    all_means = [abs(np.dot(signs, values)) / n for signs in product((1, -1), repeat=n)]
    expected = np.mean([mean >= abs(values.mean()) - 1e-12 for mean in all_means])
    test = exact_sign_flip(values)
    assert test.p == pytest.approx(expected)
    assert test.n_arrangements == 2**n


def test_three_electrodes_cannot_reach_significance() -> None:
    test = exact_sign_flip(np.array([1.0, 1.1, 0.9]))
    assert test.p == test.p_min_attainable == 0.25


def test_two_groups_is_brute_force() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 3), rng.normal(1, 1, 5)
    pooled = np.concatenate([one, other])
    observed = abs(one.mean() - other.mean())
    hits = []
    for chosen in combinations(range(8), 3):
        rest = [i for i in range(8) if i not in chosen]
        hits.append(abs(pooled[list(chosen)].mean() - pooled[rest].mean()) >= observed - 1e-12)
    assert exact_two_group(one, other).p == pytest.approx(np.mean(hits))


@pytest.mark.parametrize(("n", "least"), [(3, 2 / 20), (4, 2 / 70)])
def test_smallest_p_of_two_groups(n: int, least: float) -> None:
    test = exact_two_group(np.arange(n), 100.0 + np.arange(n))
    assert test.p == pytest.approx(least)
    assert test.p_min_attainable == pytest.approx(least)


def test_slope_is_brute_force() -> None:
    rng = np.random.default_rng(2)
    x, y = np.array([1.0, 1.0, 5.0, 9.0, 20.0]), rng.normal(size=5)
    dx = x - x.mean()
    null = [abs(dx[list(order)] @ y) for order in permutations(range(5))]
    test = exact_slope(x, y)
    assert test.p == pytest.approx(np.mean(np.array(null) >= abs(dx @ y) - 1e-12))
    assert test.p >= test.p_min_attainable > 0
    assert exact_slope(x, 3 * x - 1).p == pytest.approx(test.p_min_attainable)


def test_sampled_p_agrees_with_exact_and_is_never_zero() -> None:
    values = np.random.default_rng(3).normal(0.3, 1.0, 25)
    sampled = exact_sign_flip(values, np.random.default_rng(0), n_random=20_000)
    # Its normal approximation, within five standard errors of sampling.
    z = values.sum() / np.sqrt((values**2).sum())
    from scipy.stats import norm

    assert sampled.p == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)
    assert exact_sign_flip(np.full(25, 1.0), np.random.default_rng(0), n_random=500).p > 0


def test_nothing_to_test_is_nan_with_a_note() -> None:
    for test in (
        exact_sign_flip(np.array([np.nan])),
        exact_two_group(np.array([]), np.array([1.0])),
        exact_slope(np.ones(5), np.arange(5.0)),
        exact_sign_flip(np.ones(40)),
    ):
        assert np.isnan(test.p)
        assert test.note
