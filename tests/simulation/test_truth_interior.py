"""True metrics of particles against what their formulae give by hand."""

import numpy as np
import pytest

from stxmdist.simulation.design import Interior
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.truth_interior import TANH_SIGMA
from stxmdist.simulation.truth_metrics import METRIC_COLUMNS, metric_row
from tests.simulation.planted import particle, plate


def row(**changes):
    one = particle(**changes)
    return one, metric_row(one, Region((one,)), changes.get("interior", Interior()))


def test_every_column_is_there() -> None:
    assert tuple(row()[1]) == METRIC_COLUMNS
    assert len(set(METRIC_COLUMNS)) == len(METRIC_COLUMNS)


def test_a_straight_boundary_through_a_disc_has_the_length_of_its_diameter() -> None:
    outline = plate(aspect=1.0, exponent=2.0)
    one, found = row(outline=outline, pattern="two_phase", soc_mean=0.07 + 0.91 / 2)
    assert found["boundary_length_um"] == pytest.approx(1.0, rel=0.02)
    assert found["boundary_density_per_um"] == pytest.approx(4.0 / np.pi, rel=0.02)
    assert (found["n_domains_charged"], found["n_domains_discharged"]) == (1, 1)
    assert found["domain_area_um2"] == pytest.approx(np.pi / 8, rel=0.1)
    assert found["boundary_width_nm"] == pytest.approx(one.width * 1e3 * TANH_SIGMA)
    normal = np.rad2deg(one.direction_rad + one.outline.angle_rad) % 180.0
    assert found["boundary_normal_deg"] == pytest.approx(normal)
    # Half a disc at .98 and half at .07: c1 = .91 / pi over the mean.
    assert found["soc_one_sidedness"] == pytest.approx(0.91 / np.pi / 0.525, rel=0.05)


def test_the_width_is_the_standard_deviation_of_the_derivative() -> None:
    d = np.linspace(-1.0, 1.0, 20_001)
    slope = np.gradient(np.tanh(d / 0.03), d)
    assert np.sqrt((slope * d**2).sum() / slope.sum()) == pytest.approx(0.03 * TANH_SIGMA, rel=1e-3)


def test_a_homogeneous_particle_has_neither_boundary_nor_gradient() -> None:
    _, found = row(soc_mean=0.5, interior=Interior(spread=1e-9))
    assert found["boundary_length_um"] < 1e-6 or found["soc_gradient_per_um"] < 1e-6
    assert found["soc_one_sidedness"] < 1e-6


def test_gradient_of_a_random_field_is_its_spread_over_its_length() -> None:
    """<abs(grad x)^2> = 2 s^2 / L^2 for the correlation exp(-r^2 / 2 L^2).

    One draw of sixteen waves varies by tenths.
    """
    found = []
    for length in (0.1, 0.2):
        _, values = row(outline=plate(diameter_um=1.5), interior=Interior(length_um=length, spread=0.06))
        assert values["soc_correlation_nm"] == pytest.approx(np.sqrt(2.0) * 1e3 * length)
        found.append(values["soc_gradient_per_um"])
        assert values["soc_gradient_per_um"] == pytest.approx(np.sqrt(2.0) * 0.06 / length, rel=0.35)
    assert found[0] / found[1] == pytest.approx(2.0, rel=0.4)


def test_a_shell_is_not_one_sided() -> None:
    _, found = row(pattern="core_shell")
    assert found["soc_one_sidedness"] < 0.02
    assert np.isnan(found["boundary_width_nm"])


def test_charge_falls_off_from_the_rim_over_the_planted_length() -> None:
    one, found = row(
        outline=plate(aspect=1.0, exponent=2.0, thickness_nm=100.0),
        pattern="core_shell",
        interior=Interior(depth_um=(0.1, 0.1), contrast=(0.4, 0.4)),
    )
    assert found["reaction_depth_nm"] == pytest.approx(100.0)
    x = np.array([0.0, 0.3, 0.4, 0.5])
    _, soc = one.sample(np.zeros(4), x)
    away = soc - one.base
    np.testing.assert_allclose(away / away[3], np.exp(-(0.5 - x) / 0.1), atol=0.01)
    assert found["soc_first"] == pytest.approx(0.5, abs=0.01)
