"""What is hidden of plates beside, across or under others is in their sizes and errors."""

import numpy as np
import pytest

from stxmdist.arrays import F64, I32
from stxmdist.particles.sharp_sizes import SharpSizes
from stxmdist.particles.size_doubts import (
    CONTACT_DOUBT_SIGMAS,
    PARTED_DOUBT,
    SUSPECTED_DOUBT,
    contact_length_px,
    doubted_sizes,
    size_doubts,
    third_phase_share,
)

SIGMA_PX = 0.5


def sized(labels: I32) -> SharpSizes:
    """Plates as large as their labels, of 100 nm, that are known well."""
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    area, one = counts.astype(float), np.ones(ids.size)
    return SharpSizes(ids.astype(np.int64), area, one, 100 * one, one, 100 * area, one, 0 * one, one, one, (None,) * 2)


def cut_disc(angle_rad: float, radius_px: float = 40.0) -> I32:
    """A disc that a line through its centre parts in two."""
    y, x = np.mgrid[-50:51, -50:51] + 0.3
    return np.where(np.hypot(y, x) < radius_px, 1 + (y * np.cos(angle_rad) > x * np.sin(angle_rad)), 0).astype(np.int32)


def test_the_length_of_a_contact_hardly_depends_on_its_direction() -> None:
    lengths = [contact_length_px(cut_disc(angle), np.array([1, 2])) for angle in np.linspace(0.0, np.pi, 24)]
    assert np.mean(lengths) == pytest.approx(80.0, rel=0.03)
    # Of one line the sides of pixels are 1 to 1.41 times its length.
    assert np.min(lengths) > 0.75 * 80.0
    assert np.max(lengths) < 1.15 * 80.0
    apart = np.where(cut_disc(0.0) == 2, 2, 0).astype(np.int32)
    assert contact_length_px(apart, np.array([2])) == 0.0


def test_plates_that_touch_have_less_certain_areas_and_the_same_thickness() -> None:
    labels = cut_disc(0.0)
    sizes = sized(labels)
    nothing = np.zeros(labels.shape, np.int32)
    doubts = size_doubts(labels, nothing, np.zeros(2, bool), sizes, SIGMA_PX)
    found = doubted_sizes(sizes, doubts)
    added: F64 = np.sqrt(found.area_se**2 - 1.0)
    np.testing.assert_allclose(added, 80.0 * np.pi / 4.0 * CONTACT_DOUBT_SIGMAS * SIGMA_PX, rtol=0.03)
    np.testing.assert_array_equal(found.thickness_se, sizes.thickness_se)
    np.testing.assert_array_equal(found.area_px2, sizes.area_px2)


def test_what_lies_under_another_plate_is_of_the_area_and_of_the_mass() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:35, 5:35], labels[10:30, 35:55] = 1, 2
    other = np.zeros_like(labels)
    other[10:30, 25:35] = 2
    sizes = sized(labels)
    found = doubted_sizes(sizes, size_doubts(labels, other, np.ones(2, bool), sizes, SIGMA_PX))
    np.testing.assert_array_equal(found.area_px2, [900.0, 400.0 + 200.0])
    np.testing.assert_array_equal(found.mass_px2_nm, [90e3, 60e3])
    assert (found.area_se > PARTED_DOUBT * 200.0).all()
    # They were parted: that they may be two is no doubt any more.
    np.testing.assert_array_equal(found.thickness_se, sizes.thickness_se)


def test_an_outline_that_may_hold_two_plates_carries_that_in_all_of_its_sizes() -> None:
    labels = cut_disc(0.0)
    labels[labels == 1] = 0
    sizes = sized(labels)
    doubts = size_doubts(labels, np.zeros_like(labels), np.ones(1, bool), sizes, SIGMA_PX)
    found = doubted_sizes(sizes, doubts)
    assert found.area_se[0] / found.area_px2[0] == pytest.approx(SUSPECTED_DOUBT, rel=1e-3)
    assert found.thickness_se[0] / found.thickness_nm[0] == pytest.approx(SUSPECTED_DOUBT, rel=1e-3)
    assert found.mass_se[0] / found.mass_px2_nm[0] == pytest.approx(np.sqrt(2.0) * SUSPECTED_DOUBT, rel=1e-3)


def test_a_third_phase_that_was_seen_is_in_the_error_of_the_thickness() -> None:
    share = third_phase_share(
        np.array([0.0, 0.02, 0.0, np.nan]), np.full(4, 0.06), np.array([False, False, True, False])
    )
    np.testing.assert_allclose(share, [0.0, 0.04, 0.06, 0.0])
