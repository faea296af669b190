"""Outline and neighbourhood of particles against skimage and against simple figures."""

from dataclasses import replace

import numpy as np
import pytest
from skimage import measure

from stxmdist.simulation.phantom import Region
from stxmdist.simulation.truth_neighbours import CONTACT_UM, curve, true_neighbours
from tests.simulation.planted import particle, plate


def alone(**changes: float):
    one = particle(outline=plate(**changes))
    return one, true_neighbours(one, Region((one,)))


def test_a_circle() -> None:
    _, found = alone(aspect=1.0, exponent=2.0)
    assert found.perimeter_um == pytest.approx(np.pi, rel=1e-3)
    assert found.feret_max_um == pytest.approx(1.0, rel=1e-3)
    assert found.feret_min_um == pytest.approx(1.0, rel=1e-3)
    assert found.circularity == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("exponent", [2.2, 3.0, 4.0])
def test_a_plate_has_the_outline_that_skimage_measures(exponent: float) -> None:
    """Pixels of 2.5 nm: perimeters of Crofton are good to a per cent."""
    one, found = alone(exponent=exponent, aspect=1.6)
    axis = np.arange(-0.9, 0.9, 0.0025)
    labels = Region((one,)).labels(axis, axis)
    (seen,) = measure.regionprops(labels)
    assert found.perimeter_um == pytest.approx(seen.perimeter_crofton * 0.0025, rel=0.015)
    assert found.feret_max_um == pytest.approx(seen.feret_diameter_max * 0.0025, rel=0.015)
    assert found.feret_min_um == pytest.approx(2.0 * one.outline.semi_axes_um[1], rel=0.01)
    angle = (90.0 - np.rad2deg(seen.orientation)) % 180.0
    assert abs((found.orientation_deg - angle + 90.0) % 180.0 - 90.0) < 1.0


def pair(gap_um: float):
    left = particle(outline=plate(aspect=1.0, exponent=2.0, diameter_um=0.6))
    right = replace(left, particle_id=2, outline=plate(aspect=1.0, exponent=2.0, diameter_um=0.6, x_um=0.6 + gap_um))
    region = Region((left, right))
    return [true_neighbours(one, region) for one in region.particles]


def test_plates_that_touch_overlap_or_are_apart() -> None:
    apart, touching, across = pair(0.2)[0], pair(0.01)[0], pair(-0.2)[0]
    assert (apart.touching, apart.overlapping, apart.contact_share) == (False, False, 0.0)
    assert (touching.touching, touching.overlapping, touching.touching_ids) == (True, False, "2")
    assert (across.touching, across.overlapping, across.overlapping_ids) == (False, True, "2")
    # Two discs of radius r, centres d apart: their lens over a disc.
    r, d = 0.3, 0.4
    lens = 2 * r * r * np.arccos(d / 2 / r) - d / 2 * np.sqrt(4 * r * r - d * d)
    assert across.overlap_share == pytest.approx(lens / (np.pi * r * r), abs=0.01)


def test_contact_is_the_stretch_that_lies_near() -> None:
    """Discs of radius r with a gap g: the outline is within c of the other where its distance is at most c."""
    found = pair(0.01)[0]
    angle = np.linspace(-np.pi, np.pi, 100_001)
    outward = np.hypot(0.61 - (0.3 + CONTACT_UM) * np.cos(angle), (0.3 + CONTACT_UM) * np.sin(angle)) < 0.3
    assert found.contact_share == pytest.approx(outward.mean(), abs=0.02)


def test_local_cover_leaves_the_particle_itself_out() -> None:
    found = pair(0.1)[0]
    disc, own, other = np.pi, np.pi * 0.09, np.pi * 0.09
    assert found.local_cover == pytest.approx(other / (disc - own), rel=0.03)
    assert np.isnan(found.neighbour_distance_um)


def test_points_lie_on_the_outline() -> None:
    one = plate(angle_rad=1.1, exponent=2.7)
    points = curve(one)
    np.testing.assert_allclose(one.radius(*one.axes(points[:, 0], points[:, 1])), 1.0, atol=1e-9)
