"""Truth maps and tables say the same as the formulae they were made of."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from stxmdist.simulation.experiment import field_centre_um, region_phantom
from stxmdist.simulation.phantom import Outline, make_particle
from stxmdist.simulation.regions import RegionKey
from stxmdist.simulation.sizes import SMALL
from stxmdist.simulation.stxm import scan_axes
from stxmdist.simulation.truth import integrate, particle_rows, truth_maps, write_maps


@pytest.fixture(scope="module")
def seen():
    key = RegionKey(1, 100, 0)
    region = region_phantom(SMALL, 2, key)
    y, x = scan_axes(field_centre_um(2, key), SMALL.stxm)
    maps = truth_maps(region, y, x, 4)
    return region, y, x, maps, particle_rows(region, maps.labels, y, x)


def test_rows_and_map_hold_the_same_particles(seen) -> None:
    _, _, _, maps, rows = seen
    numbers, counts = np.unique(maps.labels[maps.labels > 0], return_counts=True)
    assert [row.particle_id for row in rows] == numbers.tolist()
    assert [row.n_pixels for row in rows] == counts.tolist()


def test_mass_and_charge_of_the_rows_sum_up_to_the_map(seen) -> None:
    """Conservation: what the table counts is what the map shows, in iron and in charge."""
    _, _, _, maps, rows = seen
    pixel_um2 = (SMALL.stxm.pixel_nm * 1e-3) ** 2
    mass = sum(row.mass_um2_nm for row in rows)
    charge = sum(row.mass_um2_nm * row.soc_mean for row in rows)
    # Slivers of particles that reach into the field without covering half a pixel have no row.
    assert mass == pytest.approx(float(maps.thickness_nm.sum()) * pixel_um2, rel=3e-3)
    assert charge == pytest.approx(float(maps.thickness_nm[1].sum()) * pixel_um2, rel=3e-3)


def test_whole_particles_have_the_planted_mean_and_size(seen) -> None:
    region, _, _, _, rows = seen
    planted = {particle.particle_id: particle for particle in region.particles}
    whole = [row for row in rows if not row.touches_border]
    assert len(whole) > 15
    for row in whole:
        particle = planted[row.particle_id]
        assert row.soc_mean == pytest.approx(particle.soc_mean, abs=1e-3)
        assert row.d_eq_um == pytest.approx(particle.outline.diameter_um, rel=0.01)
        assert row.y_um == pytest.approx(particle.outline.y_um, abs=0.002)
        assert row.f_charged + row.f_mixed + row.f_discharged == pytest.approx(1.0)


def test_particles_at_the_border_are_flagged(seen) -> None:
    _, _, _, maps, rows = seen
    labels = maps.labels
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    flagged = {row.particle_id for row in rows if row.touches_border}
    assert set(rim[rim > 0].tolist()) <= flagged
    assert len(flagged) < len(rows)


def test_soc_map_is_the_share_of_the_charged_component(seen) -> None:
    maps = seen[3]
    total = maps.thickness_nm.sum(axis=0)
    known = total > 1.0
    np.testing.assert_allclose(maps.soc[known], maps.thickness_nm[1][known] / total[known], rtol=1e-5)
    assert np.isnan(maps.soc[~known]).all()


@pytest.mark.parametrize(
    ("pattern", "mean", "phase"),
    [
        ("two_phase", 0.5, "two-phase"),
        ("two_phase", 0.10, "discharged"),
        ("solid_solution", 0.9, "charged"),
        ("solid_solution", 0.5, "solid-solution"),
        ("solid_solution", 0.12, "discharged"),
    ],
)
def test_classes(pattern: str, mean: float, phase: str) -> None:
    outline = Outline(0.0, 0.0, 0.6, 1.3, 0.2, 3.0, 100.0)
    row = integrate(make_particle(1, outline, pattern, mean, np.random.default_rng(0)), (-2.0, 2.0), (-2.0, 2.0), 1)
    assert row.phase_class == phase
    assert row.aspect == pytest.approx(1.3, rel=0.02)


def test_a_charged_shell_has_a_positive_index() -> None:
    outline = Outline(0.0, 0.0, 0.8, 1.2, 0.2, 2.5, 100.0)
    row = integrate(make_particle(1, outline, "core_shell", 0.5, np.random.default_rng(0)), (-2.0, 2.0), (-2.0, 2.0), 1)
    assert row.core_shell_index > 0.1


def test_a_cut_particle_is_integrated_over_what_is_seen() -> None:
    outline = Outline(0.0, 0.0, 0.8, 1.0, 0.0, 2.5, 100.0)
    particle = make_particle(1, outline, "solid_solution", 0.5, np.random.default_rng(0))
    whole, half = integrate(particle, (-2.0, 2.0), (-2.0, 2.0), 1), integrate(particle, (0.0, 2.0), (-2.0, 2.0), 1)
    assert half.touches_border
    assert not whole.touches_border
    assert half.area_um2 == pytest.approx(whole.area_um2 / 2, rel=0.01)


def test_maps_open_in_xarray_without_a_word(seen, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    _, y, x, maps, _ = seen
    path = tmp_path / "stxm-1.zarr"
    write_maps(path, maps, y, x, {"scan_id": "stxm-1"})
    with xr.open_zarr(path, consolidated=False) as found:
        assert found["labels"].dims == ("y", "x")
        assert found["thickness_nm"].dims == ("component", "y", "x")
        assert found["y"].attrs["units"] == "um"
        np.testing.assert_array_equal(found["y"], y)
        np.testing.assert_array_equal(found["labels"], maps.labels)
    assert not recwarn.list
    assert [p.name for p in tmp_path.iterdir()] == ["stxm-1.zarr"]
