"""What is asked of every metric of particles, whoever wrote it."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64, Mask
from stxmdist.particles.metrics.table import PARTICLE_METRICS
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.sharp_plate import SharpPlate

N_VIEWS = 11
SIDE = 36
BLUR = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
TURNING = {"boundary_normal_deg": "axis", "soc_gradient_y_per_um": "vector", "soc_gradient_x_per_um": "vector"}
"""Columns that say a direction in the image: they turn with it"""


def blob(seed: int) -> Mask:
    """A plate of random outline, of no symmetry."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2 + 0.5
    angle = np.arctan2(y, x)
    radius = 11.0 + sum(rng.uniform(-1.0, 1.0) * np.cos(k * angle + rng.uniform(0, 6)) for k in (1, 2, 3))
    return np.asarray(np.hypot(y, 0.9 * x) < radius)


def views_of(inside: Mask, seed: int = 0, modality: str = "ptychography", flat: bool = True) -> ParticleViews:
    """Noise on a plate of 100 nm, and twins of it."""
    rng = np.random.default_rng(seed)
    mass = 100.0 * inside
    excess = 4.0 * rng.normal(size=(N_VIEWS, *inside.shape)) * inside
    if not flat:
        excess[0] += 35.0 * inside * np.tanh((np.indices(inside.shape)[1] - inside.shape[1] / 2) / 3.0)
    total = np.where(inside, mass + 3.0 * rng.normal(size=excess.shape), 1.0)
    soc = 0.5 + excess / 100.0
    inner = inside & np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    return ParticleViews(
        label=3,
        labels=np.where(inside, 3, 0).astype(np.int32),
        interior=inner,
        known=np.ones(inside.shape, bool),
        soc=soc,
        total_nm=total,
        soc_variance=np.full(inside.shape, 1.6e-3),
        pixel_nm=20.0,
        psf_sigma_nm=12.0,
        modality=modality,
        phase_rad=-0.4 * inside.astype(np.float64) if modality == "ptychography" else None,
        sharp=SharpPlate(mass, 0.5, excess, inside.copy(), np.full(inside.shape, 16.0), BLUR),
    )


def changed(views: ParticleViews, move) -> ParticleViews:  # type: ignore[no-untyped-def]
    """The views with all images through a function of images (..., Y, X)."""
    sharp = views.sharp
    assert sharp is not None
    names = ("mass_nm", "excess_nm", "seen", "variance_nm2")
    moved = replace(sharp, **{name: move(getattr(sharp, name)) for name in names})
    images = ("labels", "interior", "known", "soc", "total_nm", "soc_variance", "phase_rad")
    return replace(
        views,
        sharp=moved,
        **{name: move(getattr(views, name)) for name in images if getattr(views, name) is not None},
    )


@pytest.fixture(autouse=True)
def _no_warning() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def measured(name: str, views: ParticleViews) -> dict[str, F64]:
    entry = PARTICLE_METRICS[name]
    seen = views if entry.null != "none" else views.only_measured()
    return {column: np.asarray(numbers) for column, numbers in entry.load()(seen).items()}


@pytest.mark.parametrize("name", PARTICLE_METRICS)
def test_an_entry_says_unit_and_source(name: str) -> None:
    entry = PARTICLE_METRICS[name]
    assert entry.source
    assert entry.columns
    assert all(column.name and column.meaning and column.unit for column in entry.columns)


@pytest.mark.parametrize("name", PARTICLE_METRICS)
@pytest.mark.parametrize("flat", [True, False])
def test_a_metric_gives_a_number_for_each_view(name: str, flat: bool) -> None:
    entry = PARTICLE_METRICS[name]
    views = views_of(blob(1), flat=flat)
    n = 1 if entry.null == "none" else N_VIEWS
    found = measured(name, views)
    named = {column.name for column in entry.columns}
    assert set(found) <= named | {f"{column}_se" for column in named}
    assert named <= set(found)
    assert all(numbers.shape == (n,) for numbers in found.values())


def hollow() -> Mask:
    inside = blob(2)
    y, x = np.indices(inside.shape) - SIDE / 2
    return inside & (np.hypot(y, x) > 6)


def one_pixel() -> Mask:
    inside = np.zeros((SIDE, SIDE), bool)
    inside[9, 11] = True
    return inside


SHAPES = {
    "hollow": hollow(),
    "one pixel": one_pixel(),
    "empty": np.zeros((SIDE, SIDE), bool),
    "whole": np.ones((5, 4), bool),
}


@pytest.mark.parametrize("name", PARTICLE_METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_particles_are_measured_or_not_known(name: str, shape: str) -> None:
    found = measured(name, views_of(SHAPES[shape]))
    assert all(not np.isinf(numbers).any() for numbers in found.values())
    # Of nothing nothing is known; shapes may say that there is none of it.
    if shape == "empty":
        assert all(np.isnan(numbers).all() or (numbers[~np.isnan(numbers)] == 0).all() for numbers in found.values())


@pytest.mark.parametrize("name", PARTICLE_METRICS)
def test_pixels_that_are_not_known_do_no_harm(name: str) -> None:
    inside = blob(4)
    views = views_of(inside, flat=False)
    holes = np.random.default_rng(5).uniform(size=inside.shape) < 0.05
    sharp = views.sharp
    assert sharp is not None
    spoilt = replace(
        views,
        known=~holes,
        interior=views.interior & ~holes,
        soc=np.where(holes, np.nan, views.soc),
        total_nm=np.where(holes, np.nan, views.total_nm),
        sharp=replace(sharp, seen=sharp.seen & ~holes, excess_nm=np.where(holes, 0.0, sharp.excess_nm)),
    )
    found = measured(name, spoilt)
    assert all(not np.isinf(numbers).any() for numbers in found.values())
    if PARTICLE_METRICS[name].null != "none":
        nothing = measured(name, replace(views, soc=np.nan * views.soc, sharp=None))
        assert all(np.isnan(numbers).all() for numbers in nothing.values())


@pytest.mark.parametrize("name", PARTICLE_METRICS)
@pytest.mark.parametrize("flat", [True, False])
def test_a_particle_may_lie_anywhere_in_its_cut_out(name: str, flat: bool) -> None:
    views = views_of(blob(6), flat=flat)
    moved = changed(views, lambda image: np.roll(image, (2, -3), axis=(-2, -1)))
    before, after = measured(name, views), measured(name, moved)
    for column, numbers in before.items():
        np.testing.assert_allclose(after[column], numbers, rtol=1e-4, atol=1e-6, err_msg=column)


@pytest.mark.parametrize("name", PARTICLE_METRICS)
def test_a_quarter_turn_changes_directions_alone(name: str) -> None:
    views = views_of(blob(7), flat=False)
    # From (y, x) to (-x, y): a vector's rows become what its columns were, with the other sign.
    turned = changed(views, lambda image: np.ascontiguousarray(np.rot90(image, axes=(-2, -1))))
    before, after = measured(name, views), measured(name, turned)
    for column, numbers in before.items():
        plain = column.removesuffix("_se")
        if plain == "soc_gradient_y_per_um":
            np.testing.assert_allclose(after[column], -before[column.replace("_y_", "_x_")], rtol=1e-4, atol=1e-6)
        elif plain == "soc_gradient_x_per_um":
            np.testing.assert_allclose(after[column], before[column.replace("_x_", "_y_")], rtol=1e-4, atol=1e-6)
        elif plain in TURNING or "orientation" in plain or (plain.endswith("axis_deg") and "_to_" not in plain):
            apart = (after[column] - numbers) % 180.0
            assert np.nanmax(np.abs(apart - 90.0), initial=0.0) < 0.5, column
        else:
            np.testing.assert_allclose(after[column], numbers, rtol=2e-3, atol=1e-4, err_msg=column)
