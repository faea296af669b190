"""Particles as formulae: planted means, conserved mass, the same truth on every grid."""

import numpy as np
import pytest

from stxmdist.simulation.phantom import PATTERNS, Outline, Region, make_particle
from stxmdist.simulation.powder import Powder, draw_diameters, lay_plates, overlap
from stxmdist.simulation.stxm import fine_axis, gather

# Midpoint sampling of a bevelled rim every 3 nm, and of the planted mean on 97 x 97 points.
SAMPLING = 2e-3


def outline(**changes: float) -> Outline:
    values = {
        "y_um": 0.31, "x_um": -0.2, "diameter_um": 0.61, "aspect": 1.5, "angle_rad": 0.7, "exponent": 2.9,
        "thickness_nm": 113.0,
    }  # fmt: skip
    return Outline(**(values | changes))


def sampled(particle, pitch_um: float):
    reach = particle.outline.reach_um
    offsets = np.arange(-reach, reach, pitch_um)
    return particle.sample(particle.outline.y_um + offsets[:, None], particle.outline.x_um + offsets[None, :])


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("mean", [0.11, 0.46, 0.95])
def test_mass_weighted_mean_is_the_planted_one(pattern: str, mean: float) -> None:
    particle = make_particle(1, outline(), pattern, mean, np.random.default_rng(5))
    thickness, soc = sampled(particle, 0.003)
    assert (thickness * soc).sum() / thickness.sum() == pytest.approx(mean, abs=SAMPLING)
    inside = soc[thickness > 0]
    assert inside.min() >= 0.0
    assert inside.max() <= 1.0


@pytest.mark.parametrize("exponent", [2.0, 2.7, 4.0])
def test_volume_is_area_times_thickness(exponent: float) -> None:
    """The bevel is centred on the outline: what it takes inside it gives outside."""
    particle = make_particle(1, outline(exponent=exponent), "core_shell", 0.5, np.random.default_rng(0))
    thickness, _ = sampled(particle, 0.003)
    assert thickness.sum() * 9e-6 == pytest.approx(np.pi / 4 * 0.61**2 * 113.0, rel=3e-3)


def test_a_two_phase_particle_holds_both_limits_and_little_else() -> None:
    particle = make_particle(1, outline(), "two_phase", 0.5, np.random.default_rng(3))
    thickness, soc = sampled(particle, 0.004)
    mass = thickness / thickness.sum()
    assert mass[soc > 0.9].sum() > 0.4
    assert mass[soc < 0.15].sum() > 0.4
    assert soc.min() >= 0.07 - 1e-9
    assert soc.max() <= 0.98 + 1e-9


def region() -> Region:
    rng = np.random.default_rng(11)
    outlines = lay_plates((0.0, 0.0), (3.1, 3.7), Powder(), rng)
    return Region(
        tuple(make_particle(i + 1, o, PATTERNS[i % 3], 0.3 + 0.05 * (i % 9), rng) for i, o in enumerate(outlines))
    )


def test_fields_are_the_same_on_any_grid() -> None:
    """A point has one thickness, whichever grid asks for it, and pixel means do not depend on their points."""
    phantom = region()
    y, x = np.linspace(0.4, 2.9, 101), np.linspace(0.3, 3.3, 97)
    whole = phantom.thickness_nm(y, x)
    np.testing.assert_array_equal(whole[:, 13:57:2, 5:90:3], phantom.thickness_nm(y[13:57:2], x[5:90:3]))
    np.testing.assert_array_equal(phantom.labels(y, x)[40:], phantom.labels(y[40:], x))
    axis_y, axis_x = 0.4 + 0.05 * np.arange(41), 0.3 + 0.05 * np.arange(53)
    coarse, fine = (gather(phantom.thickness_nm(fine_axis(axis_y, n), fine_axis(axis_x, n)), n) for n in (4, 9))
    # At rims a pixel of 50 nm on 4 x 4 points is good to a few per cent of a plate.
    assert np.abs(coarse - fine).max() < 8.0
    assert np.abs(coarse - fine).mean() < 0.15
    np.testing.assert_allclose(coarse.sum(axis=(1, 2)), fine.sum(axis=(1, 2)), rtol=2e-3)


def test_metal_is_conserved_whatever_the_charge() -> None:
    """Total thickness does not know the state of charge."""
    rng = np.random.default_rng(2)
    low = Region((make_particle(1, outline(), "solid_solution", 0.2, rng),))
    high = Region((make_particle(1, outline(), "two_phase", 0.8, rng),))
    y, x = np.linspace(-0.2, 0.8, 83), np.linspace(-0.7, 0.3, 79)
    np.testing.assert_allclose(low.thickness_nm(y, x).sum(axis=0), high.thickness_nm(y, x).sum(axis=0), atol=1e-9)


def test_plates_cover_the_field_without_crossing() -> None:
    powder = Powder()
    outlines = lay_plates((0.0, 0.0), (11.0, 13.0), powder, np.random.default_rng(4))
    area = sum(np.pi / 4 * o.diameter_um**2 for o in outlines)
    assert area / 143.0 == pytest.approx(powder.cover, abs=0.012)
    assert not any(overlap(a, b) for i, a in enumerate(outlines) for b in outlines[:i])
    near = [
        min(np.hypot(a.y_um - b.y_um, a.x_um - b.x_um) - a.reach_um - b.reach_um for b in outlines if b is not a)
        for a in outlines
    ]
    # Those laid against another one and their partners; the rest keeps the gap.
    assert 0.0 < np.mean(np.array(near) < powder.gap_um) < 0.3


def test_sizes_are_log_normal_above_the_least() -> None:
    powder = Powder()
    drawn = draw_diameters(20_000, powder, np.random.default_rng(8))
    assert drawn.min() >= powder.smallest_um
    # Median of the truncated log-normal: a percent below 0.25 um, nothing above 1.6 um; standard error 0.4 %.
    assert np.median(drawn) == pytest.approx(powder.median_um, rel=0.02)
    assert np.std(np.log(drawn)) == pytest.approx(powder.sigma_log, rel=0.05)
