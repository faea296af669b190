"""Grains, cracks and third phase: what is planted is in thickness, phase and tables, on any grid."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.simulation.chemistry import transmission
from stxmdist.simulation.design import Design, Interior
from stxmdist.simulation.flaw_drawing import draw_flaws
from stxmdist.simulation.flaws import Cracks, Flaws, Grains
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.truth_metrics import metric_row
from tests.simulation.planted import particle, plate

GRAINS = Grains(np.array([[-0.3, 0.0], [0.3, 0.0]]), 0.03, 0.6, np.array([-0.1, 0.1]), np.array([0.2, 1.2]))
CRACK = Cracks((np.array([[-0.4, 0.05], [0.0, 0.05], [0.3, 0.05]]),), np.array([0.04]))


def drawn(seed: int = 0, **switches: float) -> Flaws:
    flaws = draw_flaws(plate(), Design(**switches), np.random.default_rng(seed))
    assert flaws is not None
    return flaws


def test_a_crack_is_a_line_without_material_of_its_width() -> None:
    v = np.linspace(-0.2, 0.3, 2001)
    across = CRACK.left(np.zeros(1), v)
    assert across.min() == 0.0
    assert (1.0 - across).sum() * (v[1] - v[0]) == pytest.approx(0.04, abs=1e-3)
    assert CRACK.left(np.array([0.5]), np.array([0.05]))[0] == 1.0


def test_a_grain_boundary_is_a_groove_between_sites() -> None:
    u = np.linspace(-0.2, 0.2, 801)
    left = GRAINS.left(u, np.zeros(1))
    assert left.min() == pytest.approx(0.4)
    assert u[np.argmin(left)] == pytest.approx(0.0, abs=1e-9)
    half = u[left < 0.7]
    assert np.ptp(half) == pytest.approx(0.03, abs=2e-3)


def test_distance_to_a_boundary_is_that_to_the_nearest_bisector() -> None:
    """Against a brute force: the distance transform of the map of grains."""
    rng = np.random.default_rng(5)
    grains = replace(GRAINS, sites_um=rng.uniform(-0.5, 0.5, (6, 2)))
    axis = np.linspace(-0.4, 0.4, 401)
    number, distance = grains.nearest(axis[:, None], axis[None, :])
    edges = np.zeros(number.shape, dtype=bool)
    edges[1:] |= number[1:] != number[:-1]
    edges[:, 1:] |= number[:, 1:] != number[:, :-1]
    brute = ndimage.distance_transform_edt(~edges) * 0.002
    middle = (slice(60, -60), slice(60, -60))
    near = brute[middle] < 0.08
    np.testing.assert_allclose(distance[middle][near], brute[middle][near], atol=0.004)


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_length_of_cracks_and_size_of_grains_come_back(seed: int) -> None:
    flaws = drawn(seed, cracked=1.0, crack_per_um=2.0, grain_um=0.35)
    row = metric_row(particle(flaws=flaws), Region(()), Interior())
    # Cracks may leave the plate at their far end, and are counted inside only.
    assert row["crack_length_per_um"] == pytest.approx(2.0, rel=0.15)
    widths = flaws.cracks.widths_um
    assert widths.min() * row["crack_length_per_um"] * 0.6 < row["crack_share"]
    assert row["crack_share"] < widths.max() * row["crack_length_per_um"] * 1.1
    assert row["n_grains"] == round((1.0 / 0.35) ** 2)
    assert row["grain_d50_um"] == pytest.approx(0.35, rel=0.15)


def test_length_of_boundaries_of_two_grains_is_the_width_of_the_plate() -> None:
    one = particle(flaws=Flaws(grains=GRAINS))
    row = metric_row(one, Region(()), Interior())
    area = np.pi / 4.0
    assert row["grain_boundary_per_um"] * area == pytest.approx(2.0 * one.outline.semi_axes_um[1], rel=0.01)


def test_truth_does_not_depend_on_the_pitch() -> None:
    flaws = drawn(cracked=1.0, grain_um=0.4, third_particles=1.0)
    one = particle(pattern="two_phase", flaws=flaws)
    fine, coarse = (metric_row(one, Region((one,)), Interior(), pitch) for pitch in (0.002, 0.004))
    # Steps of 4 nm are a tenth of the narrowest crack and a third of the boundary.
    for name in ("crack_share", "third_share", "boundary_density_per_um", "grain_d50_um", "soc_one_sidedness"):
        assert coarse[name] == pytest.approx(fine[name], rel=0.03, abs=2e-3), name
    assert coarse["crack_length_per_um"] == pytest.approx(fine["crack_length_per_um"], rel=0.01)


def test_the_mean_stays_the_planted_one_with_grains_and_cracks() -> None:
    flaws = drawn(cracked=1.0, grain_um=0.35, grain_soc_sd=0.05)
    for pattern in ("solid_solution", "core_shell"):
        one = particle(pattern=pattern, flaws=flaws)
        row = metric_row(one, Region((one,)), Interior())
        assert row["soc_first"] == pytest.approx(0.5, abs=5e-3)


def test_cracks_and_grains_show_in_amplitude_and_phase() -> None:
    """Ptychography sees what is missing: at a crack the phase is that of vacuum, in a groove in between."""
    flaws = Flaws(GRAINS, CRACK)
    one = particle(outline=plate(angle_rad=0.0), flaws=flaws)
    wave = transmission(Region((one,)).thickness_nm(np.array([0.05, 0.2]), np.array([-0.2, 0.0, 0.2])), 715.0)
    bulk = wave[1, 2]
    assert abs(np.angle(bulk)) > 0.1
    assert wave[0, 0] == pytest.approx(1.0)
    assert np.angle(wave[1, 1]) / np.angle(bulk) == pytest.approx(0.4, abs=0.02)


def test_labels_hold_cracks() -> None:
    one = particle(flaws=Flaws(cracks=CRACK))
    axis = np.linspace(-0.6, 0.6, 121)
    whole = Region((replace(one, flaws=None),)).labels(axis, axis)
    np.testing.assert_array_equal(Region((one,)).labels(axis, axis), whole)


def test_charge_beside_a_crack_falls_off_as_planted() -> None:
    flaws = Flaws(cracks=CRACK, halo_soc=0.2, halo_um=0.05)
    distance = np.array([0.0, 0.05, 0.1, 0.3])
    offset = flaws.soc_offset(np.zeros(1), 0.05 + 0.02 + distance)
    np.testing.assert_allclose(offset, 0.2 * np.exp(-distance / 0.05), atol=1e-9)


def test_one_switch_does_not_change_what_another_draws() -> None:
    alone = drawn(grain_um=0.35)
    both = drawn(grain_um=0.35, cracked=1.0, third_particles=1.0)
    np.testing.assert_array_equal(alone.grains.sites_um, both.grains.sites_um)
