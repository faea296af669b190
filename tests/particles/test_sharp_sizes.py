"""Diameter, thickness and mass of planted plates through the point spread function, and intervals that hold."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.particles.segment import segment
from stxmdist.particles.sharp_sizes import (
    Imaging,
    SharpSizes,
    sharp_sizes,
    slant_excess,
    telling_energies,
    weights_of_energies,
)
from stxmdist.simulation.phantom import Outline
from tests.particles.planted_fields import DESIGN, FINE, PHASE, Field, fine_psf, planted

UNBIASED = 0.03
"""Issue: size and mass unbiased within so much above 8 sigmas of the point spread function (200 nm), and below."""
COVERAGE = (0.9, 1.0)
"""Of 95 % intervals; above .98 where the doubt of the rim, which a field shares, exceeds what was drawn of it."""
SHARP_DIAMETER = 0.0025
"""Of plates of 0.3 um in ptychography: 0.4 nm of their rims"""
MEDIAN_THICKNESS = 0.006
"""Three times what counting leaves of the median of a thousand pixels, and what corners add"""
BEVELS_UM = (0.004, 0.020, 0.036)
"""Rims of the planted plates: their width is drawn from what the estimator assumes of it, 20 +- 12 nm."""


def separate(rng: np.random.Generator, low_um: float, high_um: float, side_um: float, n: int) -> list[Outline]:
    """Discs to rounded rectangles on a lattice."""
    across = int(np.ceil(np.sqrt(n)))
    return [
        Outline(
            y_um=(index // across + 0.5) * side_um / across + rng.uniform(-0.02, 0.02),
            x_um=(index % across + 0.5) * side_um / across + rng.uniform(-0.02, 0.02),
            diameter_um=float(rng.uniform(low_um, high_um)),
            aspect=float(rng.uniform(1.0, 1.5)),
            angle_rad=float(rng.uniform(0.0, np.pi)),
            exponent=float(rng.uniform(2.0, 4.0)),
            thickness_nm=float(rng.uniform(80.0, 160.0)),
        )
        for index in range(n)
    ]


def sizes_in(
    field: Field, modality: str, parts: int | None = None, phase_per_nm: F64 | None = PHASE, **doubts: float
) -> SharpSizes:
    """Sizes of the particles that are found, drawn on ``parts`` of pixels along each axis; ``doubts`` are imaging's."""
    labels = segment(field.measured_nm.sum(axis=0), field.known, field.pixel_nm)
    sub = parts or 3
    psf = fine_psf(modality, field.pixel_nm * FINE / sub)
    phase = None if modality == "stxm" else phase_per_nm
    imaging = Imaging(psf, sub, DESIGN, np.ones(len(DESIGN)), phase, 20.0 / field.pixel_nm, 12.0 / field.pixel_nm)
    variance = field.variance_nm2[0] + 2 * field.variance_nm2[1] + field.variance_nm2[2]
    return sharp_sizes(labels, field.measured_nm, variance, replace(imaging, **doubts), field.known)


def ratios(field: Field, found: SharpSizes) -> F64:
    """(PARTICLE, 6) recovered over true diameter, thickness and mass, and their relative standard errors."""
    rows = []
    for index in np.flatnonzero(np.isfinite(found.area_px2)):
        rim = found.outlines_px[index]
        assert rim is not None
        middle = np.rint(rim.mean(axis=0)).astype(int)
        label = int(field.labels[middle[0], middle[1]])
        if label == 0:
            continue
        true, per_px = field.area_um2(label), (field.pixel_nm * 1e-3) ** 2
        thickness = field.outlines[label - 1].thickness_nm
        area, area_se = found.area_px2[index] * per_px / true, found.area_se[index] * per_px / true
        mass = found.mass_px2_nm[index] * per_px / (true * thickness)
        rows.append(
            (np.sqrt(area), found.thickness_nm[index] / thickness, mass, 0.5 * area_se / np.sqrt(area),
             found.thickness_se[index] / thickness, mass * found.mass_se[index] / found.mass_px2_nm[index])
        )  # fmt: skip
    return np.array(rows)


@pytest.mark.parametrize(
    ("low_um", "high_um", "counts", "modality"),
    [(0.10, 0.15, 3000.0, "stxm"), (0.15, 0.20, 3000.0, "stxm"), (0.20, 0.30, 300.0, "stxm"),
     (0.30, 0.60, 3000.0, "stxm"), (0.15, 0.45, 1000.0, "ptychography")],
)  # fmt: skip
def test_sizes_and_masses_are_unbiased_and_their_intervals_hold(
    low_um: float, high_um: float, counts: float, modality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stxm = modality == "stxm"
    rows = []
    for seed, bevel in enumerate(BEVELS_UM):
        monkeypatch.setattr("stxmdist.simulation.phantom.BEVEL_UM", bevel)
        rng = np.random.default_rng(seed)
        plates = separate(rng, low_um, high_um, 6.0 if stxm else 2.0, 36 if stxm else 9)
        n_px, pixel_nm = (120, 50.0) if stxm else (200, 10.0)
        phase = None if stxm else PHASE
        field = planted(plates, n_px, rng, counts=counts, pixel_nm=pixel_nm, modality=modality, phase_per_nm=phase)
        rows.append(ratios(field, sizes_in(field, modality)))
    found = np.concatenate(rows)
    value, se = found[:, :3], found[:, 3:]
    inside = (np.abs(value - 1.0) <= 1.96 * se).mean(axis=0)
    what = f"{modality} {low_um}-{high_um} um, {counts:g} counts, n {len(found)}: diameter, thickness, mass"
    mean, spread = value.mean(axis=0).round(3), value.std(axis=0).round(3)
    print(f"{what} {mean}, spread {spread}, coverage {inside.round(2)}")
    assert len(found) >= (90 if stxm and low_um > 0.1 else 20)
    assert np.abs(value.mean(axis=0) - 1.0).max() <= UNBIASED
    assert ((inside >= COVERAGE[0]) & (inside <= COVERAGE[1])).all()


def test_a_particle_at_the_border_or_at_what_is_masked_has_no_sharp_size() -> None:
    rng = np.random.default_rng(3)
    plates = separate(rng, 0.4, 0.5, 3.0, 4)
    field = planted(plates, 60, rng)
    labels = segment(field.measured_nm.sum(axis=0), field.known, 50.0)
    known = field.known.copy()
    known[:, 47:] = False
    imaging = Imaging(fine_psf("stxm", 50.0 * FINE / 3), 3, DESIGN, np.ones(len(DESIGN)))
    found = sharp_sizes(labels, field.measured_nm, field.variance_nm2[0], imaging, known)
    cut = np.array([(labels[:, 47:] == n).any() for n in found.particle_id])
    assert cut.any()
    np.testing.assert_array_equal(np.isnan(found.area_px2), cut)
    nothing = sharp_sizes(0 * labels, field.measured_nm, field.variance_nm2[0], imaging, known)
    assert nothing.area_px2.size == 0


def test_a_slanted_rim_absorbs_more_than_a_sharp_one_of_the_same_mass() -> None:
    u = np.linspace(0.0, 1.0, 200_001)
    for density in (1e-4, 0.1, 1.5, 5.0):
        share = -np.expm1(-density)
        exact = np.mean(-np.expm1(-density * u)) / share - 0.5
        assert slant_excess(np.array([density]))[0] == pytest.approx(exact, rel=1e-3, abs=1e-6)


def reconstructed(carve: F64 | None = None, seed: int = 0, counts: float = 1e4) -> Field:
    """Four plates as a reconstruction on pixels of 10 nm shows them."""
    rng = np.random.default_rng(seed)
    plates = separate(rng, 0.22, 0.34, 1.1, 4)
    return planted(
        plates, 110, rng, counts=counts, pixel_nm=10.0, modality="ptychography", carve=carve, phase_per_nm=PHASE
    )


def test_amplitudes_put_rims_further_out_than_intensities_would() -> None:
    """Between plate and vacuum light is out of step: what looks half as thick as the plate lies outside of its rim."""
    field = reconstructed()
    found = [sizes_in(field, "ptychography", phase_per_nm=phase) for phase in (PHASE, None)]
    right, wrong = (ratios(field, one)[:, :3] - 1.0 for one in found)
    print(f"diameter, thickness, mass: {right.mean(axis=0)}, by intensities {wrong.mean(axis=0)}")
    assert len(right) == 4
    assert np.abs(right[:, 0]).max() < SHARP_DIAMETER
    assert abs(right[:, 0].mean()) < 0.35 * wrong[:, 0].mean()


@pytest.mark.parametrize("bevel_um", [BEVELS_UM[0], BEVELS_UM[2]])
def test_what_is_not_known_of_a_rim_is_in_the_error_of_its_place_and_not_in_the_thickness(
    bevel_um: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stxmdist.simulation.phantom.BEVEL_UM", bevel_um)
    field = reconstructed()
    found = ratios(field, sizes_in(field, "ptychography"))
    value, se = found[:, :3], found[:, 3:]
    assert np.abs(value[:, 1] - 1.0).max() < MEDIAN_THICKNESS
    assert (np.abs(value - 1.0) < 1.96 * se).all()


def test_stray_light_that_is_not_known_is_in_the_error_of_the_thickness() -> None:
    share = 0.01
    known, thinned = (
        planted(
            separate(np.random.default_rng(4), 0.5, 0.6, 3.0, 4), 60, np.random.default_rng(5), counts=1e6, stray=one
        )
        for one in (0.0, share)
    )
    true, doubted = sizes_in(known, "stxm"), sizes_in(known, "stxm", stray_doubt=share)
    thinner = true.thickness_nm - sizes_in(thinned, "stxm").thickness_nm
    added = np.sqrt(doubted.thickness_se**2 - true.thickness_se**2)
    print(f"thinner by {thinner} nm, error adds {added} nm")
    assert len(thinner) == 4
    np.testing.assert_allclose(added, thinner, rtol=0.1)


def test_what_is_not_known_of_all_outlines_is_in_the_error_of_areas() -> None:
    field = reconstructed()
    plain, doubted = sizes_in(field, "ptychography"), sizes_in(field, "ptychography", outline_doubt_px=0.05)
    added = np.sqrt(doubted.area_se**2 - plain.area_se**2)
    around = [
        float(np.hypot(*(np.roll(rim, -1, axis=0) - rim).T).sum()) for rim in plain.outlines_px if rim is not None
    ]
    np.testing.assert_allclose(added, 0.05 * np.array(around), rtol=0.05)
    assert (doubted.outline_se_px > plain.outline_se_px).all()


def test_grooves_are_none_of_the_thickness_and_missing_in_the_mass() -> None:
    n = 110 * FINE
    groove = np.ones((n, n))
    # Of 24 nm, every 170 nm: lines of half the thickness.
    groove[:, (np.arange(n) % 85) < 12] = 0.5
    field = reconstructed(groove)
    found = ratios(field, sizes_in(field, "ptychography"))
    left = 1.0 - 0.5 * 12 / 85
    print(f"thickness {found[:, 1]}, mass {found[:, 2]}, {left:.3f} is left")
    assert np.abs(found[:, 1] - 1.0).max() < 0.02
    np.testing.assert_allclose(found[:, 2], left, atol=0.02)


def test_few_energies_tell_what_many_would_show_of_amplitudes() -> None:
    """Weights of some energies give the thickness that a fit of all of them finds."""
    rng = np.random.default_rng(1)
    exponent = np.interp(np.linspace(0, 5, 40), np.arange(6), DESIGN[:, 0]) / 2.0 - 1j * np.interp(
        np.linspace(0, 5, 40), np.arange(6), PHASE[:, 0]
    )
    solve, chosen = rng.uniform(0.5, 1.5, 40), telling_energies(exponent)
    assert len(chosen) < 10
    weights = weights_of_energies(exponent, chosen, solve)
    for fill in (0.1, 0.5, 0.9):
        seen = -2.0 * np.log(np.abs(1.0 - fill * (1.0 - np.exp(-exponent * 250.0))))
        assert weights @ seen[chosen] == pytest.approx(solve @ seen, rel=2e-3)
    assert (telling_energies(exponent[:6]) == np.arange(6)).all()
    np.testing.assert_array_equal(weights_of_energies(exponent[:6], np.arange(6), solve[:6]), solve[:6])
