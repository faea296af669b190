"""Calipers, perimeter, circularity and orientation: closed forms, and planted plates through the microscope."""

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.particles.metrics.shape import shape_of
from stxmdist.simulation.phantom import Outline
from tests.particles.planted_fields import planted
from tests.particles.test_sharp_sizes import separate, sizes_in

CLOSURE = 0.03
"""heterogeneity.md 3: within so much above 8 sigmas of the point spread function (200 nm)."""
STEP_UM = 0.05


def rim_of(plate: Outline) -> F64:
    """(VERTEX, 2) (y, x) of the formula."""
    t = np.linspace(0.0, 2.0 * np.pi, 4001)[:-1]
    long, short = plate.semi_axes_um
    power = 2.0 / plate.exponent
    u = long * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    v = short * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    cos, sin = np.cos(plate.angle_rad), np.sin(plate.angle_rad)
    return np.column_stack([plate.y_um + u * sin + v * cos, plate.x_um + u * cos - v * sin])


def test_a_disc_and_a_rectangle_are_exact() -> None:
    t = np.linspace(0, 2 * np.pi, 2001)[:-1]
    disc = shape_of(np.column_stack([np.sin(t), np.cos(t)]) + 7.0, STEP_UM)
    assert (disc["feret_max_um"], disc["feret_min_um"]) == pytest.approx((2.0, 2.0), rel=1e-3)
    assert disc["perimeter_um"] == pytest.approx(2 * np.pi, rel=1e-3)
    assert disc["circularity"] == pytest.approx(1.0, abs=2e-3)
    assert disc["convexity"] == pytest.approx(1.0, abs=1e-3)
    rectangle = shape_of(np.array([[0.0, 0.0], [0.0, 3.0], [1.0, 3.0], [1.0, 0.0]]), STEP_UM)
    assert rectangle["feret_max_um"] == pytest.approx(np.hypot(1, 3), rel=1e-3)
    assert rectangle["feret_min_um"] == pytest.approx(1.0, rel=1e-3)
    assert rectangle["perimeter_um"] == pytest.approx(8.0, rel=1e-3)
    assert rectangle["orientation_deg"] == pytest.approx(0.0, abs=0.01)


def test_turning_and_size_do_nothing_that_they_should_not() -> None:
    plate = Outline(0.0, 0.0, 0.6, 1.8, 0.4, 3.0, 100.0)
    one, other = shape_of(rim_of(plate), STEP_UM), shape_of(3.0 * rim_of(plate), 3.0 * STEP_UM)
    assert one["orientation_deg"] == pytest.approx(np.degrees(0.4), abs=0.1)
    assert other["feret_max_um"] == pytest.approx(3.0 * one["feret_max_um"])
    assert other["circularity"] == pytest.approx(one["circularity"], rel=1e-3)
    notched = np.array([[0.0, 0.0], [0.0, 2.0], [0.9, 1.0], [2.0, 2.0], [2.0, 0.0]])
    assert shape_of(notched, STEP_UM)["convexity"] < 0.95


def test_shape_is_that_of_the_plate_and_not_of_its_image() -> None:
    rng = np.random.default_rng(5)
    plates = separate(rng, 0.2, 0.5, 6.0, 36)
    field = planted(plates, 120, rng)
    found = sizes_in(field, "stxm")
    names = ("feret_max_um", "feret_min_um", "perimeter_um", "circularity")
    ratios, turned = [], []
    for rim in found.outlines_px:
        assert rim is not None
        middle = np.rint(rim.mean(axis=0)).astype(int)
        plate = plates[field.labels[middle[0], middle[1]] - 1]
        seen, true = shape_of(rim * 0.05, STEP_UM), shape_of(rim_of(plate), STEP_UM)
        ratios.append([seen[name] / true[name] for name in names])
        if plate.aspect > 1.15:
            turned.append((seen["orientation_deg"] - true["orientation_deg"] + 90.0) % 180.0 - 90.0)
    mean, spread = np.mean(ratios, axis=0), np.std(ratios, axis=0)
    print(f"{', '.join(names)} over true {mean.round(3)}, spread {spread.round(3)}; axis off {np.std(turned):.1f} deg")
    assert np.abs(mean - 1.0).max() <= CLOSURE
    assert np.std(turned) < 5.0
