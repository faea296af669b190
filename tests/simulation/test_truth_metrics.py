"""Laws of the truth of a hard region: mass is conserved, and no pixel decides what is true."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.simulation.experiment import field_centre_um, region_phantom
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.raster import draw_raster
from stxmdist.simulation.sizes import HARD
from stxmdist.simulation.stxm import scan_axes
from stxmdist.simulation.truth import particle_rows, truth_maps
from stxmdist.simulation.truth_metrics import metric_row
from tests.simulation.planted import KEY

SETUP = replace(HARD.stxm, n_px=91)


@pytest.fixture(scope="module")
def hard() -> tuple[Region, np.ndarray, np.ndarray]:
    region = region_phantom(HARD, 4, KEY)
    return region, *scan_axes(field_centre_um(4, KEY), SETUP)


@pytest.mark.parametrize("bent", [False, True])
def test_mass_and_charge_of_the_rows_sum_up_to_the_map(hard, bent: bool) -> None:
    """Cracks, grooves, crossed plates and a third phase included; a bent raster shows as much as a straight one."""
    region, y, x = hard
    raster = draw_raster(HARD.design, y.size, 3, np.random.default_rng(1)) if bent else None
    maps = truth_maps(region, y, x, 4, raster)
    rows = particle_rows(region, maps.labels, y, x, raster)
    third = region.components.index("third")
    pixel_um2 = (SETUP.pixel_nm * 1e-3) ** 2
    iron = float(maps.thickness_nm[[0, 1, third]].sum()) * pixel_um2
    # Without a row: slivers at the border, and plates that lie wholly under thicker ones.
    assert sum(row.mass_um2_nm for row in rows) == pytest.approx(iron, rel=0.01)
    share = {p.particle_id: HARD.design.third_mass for p in region.particles if p.flaws and p.flaws.third}
    without_third = sum(row.mass_um2_nm * row.soc_mean * (1.0 - share.get(row.particle_id, 0.0)) for row in rows)
    assert without_third == pytest.approx(float(maps.thickness_nm[1].sum()) * pixel_um2, rel=0.02)


def test_truth_is_the_same_on_any_grid(hard) -> None:
    """Pixels of 25 and of 50 nm: the same particles with the same figures, but for the pixels that they cover."""
    region, y, x = hard
    fine = tuple(np.repeat(axis, 2) + np.tile([-0.0125, 0.0125], axis.size) for axis in (y, x))
    rows = {}
    for name, axes in (("coarse", (y, x)), ("fine", fine)):
        labels = truth_maps(region, *axes, 4 if name == "coarse" else 2).labels
        rows[name] = {row.particle_id: row for row in particle_rows(region, labels, *axes)}
    both = set(rows["coarse"]) & set(rows["fine"])
    assert len(both) > 10
    for number in both:
        assert rows["coarse"][number].soc_mean == rows["fine"][number].soc_mean
        assert rows["coarse"][number].area_um2 == rows["fine"][number].area_um2


def test_every_figure_is_a_number_or_says_that_there_is_none(hard) -> None:
    region = hard[0]
    rows = [metric_row(particle, region, HARD.design.interior) for particle in region.particles[::2]]
    for name in ("third_share", "crack_share", "contact_share", "overlap_share", "local_cover"):
        values = np.array([row[name] for row in rows])
        assert np.isfinite(values).all(), name
        assert ((values >= 0.0) & (values <= 1.0)).all(), name
    for particle, row in zip(region.particles[::2], rows, strict=True):
        assert np.isnan(row["boundary_width_nm"]) == (particle.pattern != "two_phase")
        assert (row["rate_per_h"] == 0.0) == (not particle.is_active)
