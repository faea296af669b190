"""Scans whose lines lie elsewhere than their file says: images, maps and tables agree on where."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.simulation.design import Design
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.raster import Raster, draw_raster
from stxmdist.simulation.stxm import scan_axes
from stxmdist.simulation.truth import particle_rows, truth_maps
from tests.simulation.planted import TINY, image, particle, plate

ROWS = TINY.stxm.n_px
ENERGIES = len(TINY.stxm.energy_ev)


def raster(**changes) -> Raster:
    values = {"offset_um": (0.0, 0.0), "shear": 0.0, "drift_um": np.zeros((ROWS, 2)),
              "jitter_um": np.zeros((ENERGIES, ROWS, 2))}  # fmt: skip
    return Raster(**(values | changes))


def disc(y_um: float = 0.0, x_um: float = 0.0) -> Region:
    return Region((particle(outline=plate(y_um=y_um, x_um=x_um, diameter_um=0.6, aspect=1.0, exponent=2.0)),))


def centroid(transmission: np.ndarray) -> np.ndarray:
    y, x = scan_axes((0.0, 0.0), TINY.stxm)
    absorbed = 1.0 - transmission
    return np.array([absorbed.sum(axis=1) @ y, absorbed.sum(axis=0) @ x]) / absorbed.sum()


def test_a_benign_design_has_no_raster() -> None:
    assert draw_raster(Design(), ROWS, ENERGIES, np.random.default_rng(0)) is None


def test_a_straight_raster_changes_nothing() -> None:
    """What is left is interpolation on points of 12 nm by cubic splines, between the same points."""
    phantom = disc(0.1, -0.2)
    np.testing.assert_allclose(image(phantom, raster=raster()), image(phantom), atol=1e-6)


def test_row_drift_moves_rows() -> None:
    """Rows that lie 0.1 um further in x show what is there: the image moves to smaller x by as much."""
    drift = np.zeros((ROWS, 2))
    drift[:, 1] = 0.1
    moved, still = image(disc(), raster=raster(drift_um=drift)), image(disc())
    np.testing.assert_allclose(moved[:, 2:-2], still[:, 4:], atol=1e-3)
    drift = np.zeros((ROWS, 2))
    drift[ROWS // 2 :, 1] = 0.1
    half = image(disc(), raster=raster(drift_um=drift))
    np.testing.assert_allclose(half[: ROWS // 2 - 1], still[: ROWS // 2 - 1], atol=1e-3)
    np.testing.assert_allclose(half[ROWS // 2 + 1 :], moved[ROWS // 2 + 1 :], atol=1e-3)


@pytest.mark.parametrize("shear", [-0.03, 0.01])
def test_shear_moves_high_rows_against_low_ones(shear: float) -> None:
    for y_um in (-0.8, 0.9):
        shift = centroid(image(disc(y_um), raster=raster(shear=shear))) - centroid(image(disc(y_um)))
        # The image shows at x what lies at x + shear y.
        assert shift[1] == pytest.approx(-shear * y_um, abs=2e-3)
        assert shift[0] == pytest.approx(0.0, abs=1e-3)


def test_rows_of_one_image_jitter_by_themselves() -> None:
    drawn = draw_raster(Design(row_jitter_nm=20.0), 400, 30, np.random.default_rng(2))
    assert drawn.jitter_um.std() == pytest.approx(0.02, rel=0.03)
    assert np.abs(drawn.drift_um).max() == 0.0
    jitter = np.zeros((ENERGIES, ROWS, 2))
    jitter[1, ROWS // 2, 1] = 0.05
    moved, still = image(disc(), raster=raster(jitter_um=jitter)), image(disc())
    changed = np.abs(moved - still).max(axis=1) > 0.01
    assert changed.nonzero()[0].tolist() == [ROWS // 2]


def test_what_is_drawn_has_the_planted_sizes() -> None:
    design = Design(shear=0.03, row_drift_nm=100.0, stage_error_um=4.0)
    signs = set()
    for seed in range(12):
        drawn = draw_raster(design, ROWS, ENERGIES, np.random.default_rng(seed))
        assert np.sqrt((drawn.drift_um**2).sum(axis=1).mean()) == pytest.approx(0.1)
        assert np.hypot(*drawn.offset_um) == pytest.approx(4.0)
        assert np.abs(np.diff(drawn.drift_um, axis=0)).max() < 0.03
        signs.add(np.sign(drawn.shear))
    assert signs == {-1.0, 1.0}


def test_maps_and_tables_say_where_the_image_shows_a_particle() -> None:
    """Centroid of the image, of the label in the map, and what the rule of the table gives: the same to 10 nm."""
    y, x = scan_axes((0.0, 0.0), TINY.stxm)
    rng = np.random.default_rng(3)
    drawn = replace(draw_raster(Design(shear=0.02, row_drift_nm=80.0), ROWS, ENERGIES, rng), offset_um=(0.0, 0.0))
    for place in ((-0.9, 0.4), (0.8, -0.5)):
        phantom = disc(*place)
        shown = centroid(image(phantom, raster=drawn))
        maps = truth_maps(phantom, y, x, 4, drawn)
        rows, columns = np.nonzero(maps.labels)
        np.testing.assert_allclose([y[rows].mean(), x[columns].mean()], shown, atol=0.01)
        shift = drawn.shift_at(np.array([place[0]]), y)[0]
        np.testing.assert_allclose(np.array(place) - shift, shown, atol=0.01)
        (row,) = particle_rows(phantom, maps.labels, y, x, drawn)
        assert not row.touches_border
        assert row.soc_mean == pytest.approx(0.5, abs=2e-3)


def test_a_particle_that_drift_moves_out_of_the_field_is_cut() -> None:
    y, x = scan_axes((0.0, 0.0), TINY.stxm)
    edge = x[-1] + 0.025
    drift = np.zeros((ROWS, 2))
    drift[:, 1] = -0.2
    phantom = disc(0.0, edge - 0.35)
    (whole,) = particle_rows(phantom, truth_maps(phantom, y, x, 4).labels, y, x)
    bent = raster(drift_um=drift)
    (cut,) = particle_rows(phantom, truth_maps(phantom, y, x, 4, bent).labels, y, x, bent)
    assert not whole.touches_border
    assert cut.touches_border
    assert cut.area_um2 < 0.95 * whole.area_um2
