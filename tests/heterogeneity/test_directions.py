"""Axes of charge against long axes: size under no preference, power, and what a field prefers by itself."""

import numpy as np
import pytest

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.directions import axis_test

CAMPAIGNS, PERMUTATIONS = 800, 199
SIZE = (0.03, 0.07)
"""heterogeneity.md 3; chance alone scatters the share of 800 campaigns by 0.008"""


def drawn(rng: np.random.Generator, field_sd_deg: float, keeps_to: float = 0.0) -> tuple[F64, F64, I64]:
    """Axes, long axes and scans of 41 particles; fields prefer an axis of their own in both."""
    scan = np.sort(rng.integers(0, 3, 41))
    preferred = rng.uniform(0.0, 180.0, 3)[scan]
    long_axis, free = (preferred + rng.normal(0.0, field_sd_deg, 41) for _ in range(2))
    follows = rng.random(41) < keeps_to
    return np.where(follows, long_axis + 90.0 + rng.normal(0.0, 15.0, 41), free) % 180.0, long_axis % 180.0, scan


@pytest.mark.parametrize("field_sd_deg", [1000.0, 25.0])
def test_size_where_nothing_is_preferred_and_where_fields_prefer_an_axis(field_sd_deg: float) -> None:
    rng = np.random.default_rng(8)
    found = [axis_test(*drawn(rng, field_sd_deg), rng, PERMUTATIONS) for _ in range(CAMPAIGNS)]
    share = float(np.mean([each.p <= 0.05 for each in found]))
    above = float(np.mean([each.resultant > each.null_high for each in found]))
    print(f"axes of fields within {field_sd_deg:.0f} deg: size {share:.3f}, above its 95th percentile {above:.3f}")
    assert SIZE[0] <= share <= SIZE[1]
    assert SIZE[0] <= above <= SIZE[1]


def test_axes_that_keep_to_the_particles_are_found() -> None:
    rng = np.random.default_rng(9)
    found = [axis_test(*drawn(rng, 1000.0, 0.6), rng, PERMUTATIONS) for _ in range(100)]
    power = float(np.mean([each.p <= 0.05 for each in found]))
    angle = float(np.median([each.angle_deg for each in found]))
    print(f"three of five boundaries across the long axis: power {power:.2f}, angle {angle:.0f} deg")
    assert power > 0.9
    assert angle == pytest.approx(90.0, abs=5.0)


def test_turning_the_image_and_the_sense_of_an_axis_change_nothing() -> None:
    axis, long_axis, scan = drawn(np.random.default_rng(10), 1000.0, 0.5)
    one = axis_test(axis, long_axis, scan, np.random.default_rng(0), PERMUTATIONS)
    other = axis_test(axis + 17.0 + 180.0 * (scan == 1), long_axis + 17.0, scan, np.random.default_rng(0), PERMUTATIONS)
    assert (one.resultant, one.angle_deg, one.p) == pytest.approx((other.resultant, other.angle_deg, other.p))


def test_nothing_has_no_test() -> None:
    nothing = np.zeros(0)
    found = axis_test(nothing, nothing, np.zeros(0, np.int64), np.random.default_rng(0), PERMUTATIONS)
    assert np.isnan([found.resultant, found.p]).all()
