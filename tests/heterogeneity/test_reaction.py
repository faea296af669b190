"""Rates between two times: their error, what noise plants in their slope, and how uniform they are."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.errors import InputError
from stxmdist.heterogeneity.reaction import rate_map, reaction_inside, uniformity
from stxmdist.heterogeneity.reaction_rows import partners
from stxmdist.heterogeneity.shared_errors import shared_error_line

HOURS = 0.5
COVERAGE = (0.92, 0.97)
"""Of 95 % intervals, as for every effect of the project"""
DRAWS = 1000
SLACK = 2.5 * np.sqrt(0.95 * 0.05 / DRAWS)
"""Two and a half standard errors of a coverage that is estimated from so many draws"""


def field(rng: np.random.Generator, shape: tuple[int, int], sd: float, length_px: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), length_px, mode="wrap")
    return smooth * sd / smooth.std()


def test_noise_alone_has_no_slope_once_it_is_taken_off() -> None:
    """Particles that keep what they had: least squares finds the slope that their noise plants, the correction none."""
    rng = np.random.default_rng(1)
    slopes, naive, inside = [], [], 0
    n, v = 40, 0.05**2
    for _ in range(DRAWS):
        truth = rng.normal(0.5, 0.08, n)
        before, after = (truth + rng.normal(0.0, np.sqrt(v), n) for _ in range(2))
        line = shared_error_line(before, (after - before) / HOURS, np.full(n, v), np.full(n, -v / HOURS), np.arange(n))
        slopes.append(line.slope.estimate)
        naive.append(line.naive_slope)
        inside += line.slope.low <= 0.0 <= line.slope.high
    planted = -v / (v + 0.08**2) / HOURS
    print(
        f"slope of noise: least squares {np.median(naive):.3f}/h (planted {planted:.3f}/h), "
        f"corrected {np.median(slopes):.3f}/h, covered {inside / DRAWS:.3f}"
    )
    assert np.median(naive) == pytest.approx(planted, abs=0.05)
    assert abs(np.median(slopes)) < 0.05
    assert COVERAGE[0] - SLACK < inside / DRAWS < COVERAGE[1] + SLACK


@pytest.mark.parametrize("slope", [-0.6, 0.6])
def test_autocatalysis_inside_a_particle_has_its_sign_and_size(slope: float) -> None:
    """Rate 0.4/h + slope (x - 0.5): the pixels of noisy maps give it back, and its sign in nearly every particle."""
    rng = np.random.default_rng(2)
    shape, v, found, right, inside = (32, 32), 0.06**2, [], 0, 0
    repeats = 150
    for _ in range(repeats):
        x = 0.5 + field(rng, shape, 0.12, 3.0)
        k = 0.4 + slope * (x - 0.5)
        before = x + rng.normal(0.0, np.sqrt(v), shape)
        after = x + k * HOURS + rng.normal(0.0, np.sqrt(v), shape)
        variance = np.full(shape, v)
        rate = rate_map(before, variance, after, variance, HOURS)
        line = reaction_inside(before, variance, rate, np.ones(shape, bool), HOURS, 4.0).over_soc
        found.append(line.slope.estimate)
        right += np.sign(line.slope.estimate) == np.sign(slope) and line.slope.low * line.slope.high > 0
        inside += line.slope.low <= slope <= line.slope.high
    print(
        f"slope {slope:+.1f}/h: found {np.mean(found):+.3f}/h, sign shown {right / repeats:.2f}, "
        f"covered {inside / repeats:.3f}"
    )
    assert np.mean(found) == pytest.approx(slope, abs=0.03)
    assert right / repeats > 0.95
    assert 0.89 < inside / repeats < 0.99


def test_a_rate_errs_as_its_variance_says() -> None:
    """Root mean square error at most 1.3 times the bound: the map's own standard errors, counting alone."""
    rng = np.random.default_rng(3)
    shape = (64, 64)
    x, k = 0.4 + field(rng, shape, 0.1, 4.0), 0.5 + field(rng, shape, 0.1, 4.0)
    v1, v2 = rng.uniform(0.02, 0.08, shape) ** 2, rng.uniform(0.02, 0.08, shape) ** 2
    rate = rate_map(
        x + rng.normal(size=shape) * np.sqrt(v1), v1, x + k * HOURS + rng.normal(size=shape) * np.sqrt(v2), v2, HOURS
    )
    rms, bound = np.sqrt(np.mean((rate.rate_per_h - k) ** 2)), np.sqrt(np.mean(rate.variance))
    print(f"rate map: rms {rms:.4f}/h, bound {bound:.4f}/h, ratio {rms / bound:.3f}")
    assert rms < 1.3 * bound


@pytest.mark.parametrize("sd", [0.0, 0.1, 0.3])
def test_uniformity_is_that_of_the_rates_and_not_of_their_noise(sd: float) -> None:
    rng = np.random.default_rng(4)
    values, inside = [], 0
    for _ in range(DRAWS):
        rates = rng.normal(0.5, sd, 80)
        found = uniformity(rates + rng.normal(0.0, 0.1, 80), np.full(80, 0.01))
        values.append(found.value.estimate)
        inside += found.mean.low <= 0.5 <= found.mean.high
    print(f"U {1 - sd / 0.5:.2f}: found {np.mean(values):.3f} ({1 - np.hypot(sd, 0.1) / 0.5:.3f} with the noise in it)")
    # Of a spread of nothing, what is left is half of the noise's own scatter, because a spread cannot be negative.
    assert np.mean(values) == pytest.approx(1 - sd / 0.5, abs=0.05)
    assert COVERAGE[0] - SLACK < inside / DRAWS < COVERAGE[1] + SLACK


def test_without_a_net_reaction_there_is_no_uniformity() -> None:
    rng = np.random.default_rng(5)
    found = uniformity(rng.permutation(np.linspace(-0.1, 0.11, 50)), np.full(50, 1e-4))
    assert np.isnan(found.value.estimate)
    assert "no net reaction" in found.value.note


def test_uniform_states_give_no_slope() -> None:
    rng = np.random.default_rng(6)
    before, after = 0.5 + rng.normal(0, 0.05, 200), 0.7 + rng.normal(0, 0.05, 200)
    v = np.full(200, 0.05**2)
    line = shared_error_line(before, (after - before) / HOURS, v, -v / HOURS, np.arange(200))
    assert np.isnan(line.slope.estimate)
    assert "no more than its noise" in line.slope.note


@pytest.mark.parametrize("hours", [0.0, -1.0, np.nan])
def test_a_later_state_that_is_not_later_is_refused(hours: float) -> None:
    ones = np.ones((3, 3))
    with pytest.raises(InputError, match="not later"):
        rate_map(ones, ones, ones, ones, hours)


def test_a_doubtful_placement_widens_the_error_where_the_state_changes() -> None:
    steep = np.broadcast_to(np.linspace(0.0, 1.0, 11), (5, 11))
    zero = np.zeros((5, 11))
    sharp = rate_map(steep, zero, steep, zero, 2.0)
    doubtful = rate_map(steep, zero, steep, zero, 2.0, placement_sd_px=0.5)
    assert np.all(sharp.variance == 0.0)
    # Only one axis has a gradient of 0.1 per pixel: half of its square is the mean of both.
    np.testing.assert_allclose(doubtful.variance[2, 5], 0.5**2 * 0.5 * 0.1**2 / 2.0**2, rtol=1e-9)


def test_particles_that_merge_or_part_have_no_partner() -> None:
    found = partners(np.array([1, 2, 3, 3, 5]), np.array([7, 7, 8, 9, 4]))
    assert found == {5: 4}
    assert partners(np.zeros(0, np.int64), np.zeros(0, np.int64)) == {}
