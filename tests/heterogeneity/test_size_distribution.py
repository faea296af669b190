"""Sizes in small fields close on what was planted, with and without the weights; the log-normal is the textbook's."""

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.heterogeneity.pooled_intervals import pooled_errors
from stxmdist.heterogeneity.size_distribution import (
    below,
    border_weights,
    inside_middles,
    lognormal_sizes,
    sauter,
    sauter_influence,
    share_limits,
    weighted_quantile,
)

MEDIAN_UM, SIGMA, PIXEL_UM = 0.5, 0.4, 0.05
FRACTIONS = np.array([0.1, 0.5, 0.9])


def seen_whole(
    rng: np.random.Generator, diameter: F64, field_um: float
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], F64]:
    """Which of ellipses thrown on a field are not cut, and their weights."""
    aspect = np.exp(np.abs(rng.normal(0.0, 0.4, diameter.shape)))
    major, minor = diameter * np.sqrt(aspect), diameter / np.sqrt(aspect)
    angle = rng.uniform(0.0, np.pi, diameter.shape)
    half = (np.hypot(major * np.sin(angle), minor * np.cos(angle)) / 2.0,
            np.hypot(major * np.cos(angle), minor * np.sin(angle)) / 2.0)  # fmt: skip
    place = rng.uniform(0.0, field_um, (2, *diameter.shape))
    rim = PIXEL_UM / 2.0
    whole = np.all([(at - b > rim) & (at + b < field_um - rim) for at, b in zip(place, half, strict=True)], axis=0)
    field, pixel = np.full(diameter.size, field_um), np.full(diameter.size, PIXEL_UM)
    weights = border_weights(major.ravel(), minor.ravel(), field, field, pixel).reshape(diameter.shape)
    return whole, weights


@pytest.mark.parametrize(("field_um", "without"), [(8.0, (-0.022, -0.031)), (3.0, (-0.067, -0.089))])
def test_weights_take_away_what_small_fields_cut(field_um: float, without: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    diameter = np.exp(rng.normal(np.log(MEDIAN_UM), SIGMA, 150_000))
    whole, weights = seen_whole(rng, diameter, field_um)
    true = np.quantile(diameter, FRACTIONS)
    bare = weighted_quantile(diameter[whole], np.ones(whole.sum()), FRACTIONS) / true - 1.0
    weighted = weighted_quantile(diameter[whole], weights[whole], FRACTIONS) / true - 1.0
    print(
        f"\nfield of {field_um:g} um: D50, D90 off by {bare[1:].round(3)} without, {weighted[1:].round(4)} with weights"
    )
    assert bare[1:] == pytest.approx(without, abs=0.01)
    # A hundred thousand sizes know D90 to 0.3 %.
    assert np.abs(weighted).max() < 0.008


def test_a_particle_larger_than_its_field_has_no_weight() -> None:
    one = np.ones(3)
    weights = border_weights(np.array([1.0, 2.9, 5.0]), one, 3.0 * one, 3.0 * one, 0.05 * one, np.zeros(3))
    assert weights[0] == pytest.approx(9.0 / (1.95 * 1.95))
    assert weights[1] == pytest.approx(9.0 / (1.95 * 0.05))
    assert np.isnan(weights[2])


@pytest.mark.parametrize("regions", [(3, 3, 3, 3), (2, 2, 2, 2), (1, 3, 2, 5), (1, 2, 1, 1)])
def test_intervals_of_quantiles_cover(regions: tuple[int, ...]) -> None:
    """Regions differ by 5 % in size; fields of 5 um hold about 60 particles, of which some ten are cut."""
    rng = np.random.default_rng(11)
    runs, m, region_sd = 300, 60, 0.05
    place_of = np.repeat(np.arange(len(regions)), regions)
    place, region = np.repeat(place_of, m), np.repeat(np.arange(len(place_of)), m)
    offset = rng.normal(0.0, region_sd, (runs, len(place_of)))[:, region]
    diameter = np.exp(rng.normal(np.log(MEDIAN_UM), SIGMA, offset.shape) + offset)
    whole, weights = seen_whole(rng, diameter, 5.0)
    true = MEDIAN_UM * np.exp(np.hypot(SIGMA, region_sd) * np.array([-1.2815515655, 0.0, 1.2815515655]))
    inside, medians = np.zeros((3, runs, len(regions))), np.zeros((runs, len(regions)))
    for run in range(runs):
        keep = whole[run]
        d, w, at, field = diameter[run, keep], weights[run, keep], place[keep], region[keep]
        here = [at == index for index in range(len(regions))]
        for which, fraction in enumerate(FRACTIONS):
            influence = np.zeros(len(d))
            for chosen in here:
                (quantile,) = weighted_quantile(d[chosen], w[chosen], np.array([fraction]))
                influence[chosen] = below(d[chosen], w[chosen], float(quantile))
            half = pooled_errors(influence, at, field).half_width()
            for index, chosen in enumerate(here):
                shares = np.array(share_limits(fraction, float(half[index])))
                low, high = weighted_quantile(d[chosen], w[chosen], shares)
                known = inside_middles(w[chosen], d[chosen], shares)
                inside[which, run, index] = (low <= true[which] or not known[0]) and (
                    true[which] <= high or not known[1]
                )
                if which == 1:
                    (medians[run, index],) = weighted_quantile(d[chosen], w[chosen], np.array([0.5]))
    coverage = inside.mean(axis=(1, 2))
    bias = float(np.median(medians)) / MEDIAN_UM - 1.0
    print(f"\nregions {regions}: D10, D50, D90 inside their interval {coverage.round(3)}; D50 off by {bias:+.4f}")
    assert 0.92 <= coverage[1] <= 0.97
    assert abs(bias) < 0.05
    assert (coverage > 0.90).all()


def test_quantiles_without_weights_are_those_of_the_sizes() -> None:
    sizes = np.random.default_rng(1).lognormal(size=101)
    expected = np.quantile(sizes, [0.25, 0.5, 0.8], method="hazen")
    assert weighted_quantile(sizes, np.ones(101), np.array([0.25, 0.5, 0.8])) == pytest.approx(expected)
    # Equal weights of any size are no weights.
    weighted = weighted_quantile(sizes, np.full(101, 3.0), np.array([0.25, 0.5, 0.8]))
    assert weighted == pytest.approx(expected)


def test_influence_of_the_sauter_diameter_is_its_derivative() -> None:
    rng = np.random.default_rng(2)
    sizes, weights = rng.lognormal(size=30), rng.uniform(1.0, 2.0, 30)
    grown = weights.copy()
    grown[4] *= 1.0 + 1e-6
    slope = (sauter(sizes, grown) - sauter(sizes, weights)) / 1e-6
    assert sauter_influence(sizes, weights)[4] / 30 == pytest.approx(slope, rel=1e-4)


def test_truncated_log_normal_is_recovered_where_the_naive_one_is_biased() -> None:
    sizes = np.exp(np.random.default_rng(3).normal(np.log(0.4), 0.5, 6000))
    seen = sizes[sizes > 0.3]
    fit = lognormal_sizes(seen, seen_above=0.3)
    assert abs(fit.mu - np.log(0.4)) < 4 * fit.mu_se < 0.2
    assert abs(fit.sigma - 0.5) < 4 * fit.sigma_se
    assert lognormal_sizes(seen).quantile(0.5) > 0.45
    plain = lognormal_sizes(sizes)
    # Hatch-Choate: the median by volume is exp(3 sigma^2) times that by number.
    by_volume = np.exp(np.average(np.log(sizes), weights=sizes**3))
    assert by_volume / plain.quantile(0.5) == pytest.approx(np.exp(3 * plain.sigma**2), rel=0.15)


def test_sizes_without_spread_or_number_say_so() -> None:
    assert lognormal_sizes(np.array([1.0, 2.0])).note
    assert lognormal_sizes(np.full(5, 2.0)).note
