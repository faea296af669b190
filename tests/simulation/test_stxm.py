"""The STXM forward model: light is conserved, noise is Poisson, nuisances do what their formulae say."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.simulation.optics import ZonePlate, encircled_energy
from stxmdist.simulation.phantom import Outline, Region, make_particle
from stxmdist.simulation.sizes import StxmSetup
from stxmdist.simulation.stxm import PSF_REACH_NM, StxmModel, StxmNuisance, draw_nuisance, fine_axis, gather, scan_axes

SETUP = StxmSetup(energy_ev=(700.0, 708.2, 710.2, 716.0), n_px=41)
CENTRE = (12.3, -45.6)


def nuisance(**changes) -> StxmNuisance:
    n = len(SETUP.energy_ev)
    plain = StxmNuisance(0.0, 0.0, np.zeros((n, 2)), np.full(n, 3000.0))
    return replace(plain, **changes)


def one_plate(diameter_um: float = 0.7) -> Region:
    outline = Outline(CENTRE[0] + 0.03, CENTRE[1] - 0.05, diameter_um, 1.4, 0.6, 3.0, 120.0)
    return Region((make_particle(1, outline, "two_phase", 0.4, np.random.default_rng(1)),))


def model(region: Region, setup: StxmSetup = SETUP, **changes) -> StxmModel:
    return StxmModel(region.thickness_nm, *scan_axes(CENTRE, setup), setup, nuisance(**changes))


def test_blurring_conserves_the_missing_light() -> None:
    """The spot moves light about and loses none: the absorbed light in the field is that of the sharp specimen."""
    region = one_plate(0.3)
    y, x = scan_axes(CENTRE, SETUP)
    found = (1.0 - model(region).transmission(1)).sum()
    mu = model(region)._mu[:, 1]
    thickness = region.thickness_nm(fine_axis(y, SETUP.oversample), fine_axis(x, SETUP.oversample))
    sharp = gather(1.0 - np.exp(-np.tensordot(mu, thickness, axes=1)), SETUP.oversample).sum()
    # The plate lies more than the kernel's reach inside the field, so that nothing leaves it.
    assert found == pytest.approx(sharp, rel=1e-9)


def test_the_kernel_holds_most_of_the_spot() -> None:
    assert encircled_energy(PSF_REACH_NM, SETUP.zone_plate) > 0.97


def test_an_empty_field_is_open_beam() -> None:
    empty = model(Region(()), leak_fraction=0.013)
    np.testing.assert_allclose(empty.transmission(2), 1.0, atol=1e-12)


def test_leak_is_light_that_nothing_absorbs() -> None:
    region, eps = one_plate(), 0.05
    clean, leaky = model(region).transmission(2), model(region, leak_fraction=eps).transmission(2)
    np.testing.assert_allclose(leaky * (1 + eps) - eps, clean, atol=1e-12)


def test_drift_moves_the_image_by_what_the_truth_says() -> None:
    """One pixel of drift is one row; half a pixel is between: centroids of the absorbed light tell."""
    region = one_plate()
    y, x = scan_axes(CENTRE, SETUP)
    shift = np.zeros((4, 2))
    shift[1], shift[2] = (0.05, -0.10), (0.0234, 0.0171)
    still, moved = model(region), model(region, shift_um=shift)
    np.testing.assert_allclose(moved.transmission(1)[1:, :-2], still.transmission(1)[:-1, 2:], atol=1e-9)
    for index in (1, 2):
        centroids = []
        for one in (still, moved):
            absorbed = 1.0 - one.transmission(index)
            centroids.append([(absorbed.sum(axis=1) @ y), (absorbed.sum(axis=0) @ x)] / absorbed.sum())
        # A nanometre: tails of the spot that leave the field.
        np.testing.assert_allclose(centroids[1] - centroids[0], shift[index], atol=1e-3)


def test_energy_offset_is_read_at_the_true_energy() -> None:
    """A stack whose file says E was measured at E + dE."""
    region = one_plate()
    off = model(region, energy_offset_ev=0.2)
    true = model(region, replace(SETUP, energy_ev=tuple(e + 0.2 for e in SETUP.energy_ev)))
    np.testing.assert_allclose(off.transmission(1), true.transmission(1), atol=1e-12)
    assert np.abs(off.transmission(1) - model(region).transmission(1)).max() > 0.01


def test_counts_are_poisson() -> None:
    region = one_plate()
    one = model(region)
    draws = np.stack([one.counts(1, np.random.default_rng(seed)) for seed in range(300)])
    expected = 3000.0 * one.transmission(1)
    ratio = draws.var(axis=0, ddof=1).mean() / expected.mean()
    # Standard error of the mean over 1681 pixels and 300 draws: sqrt(2 / 300 / 1681) = 0.2 %.
    assert ratio == pytest.approx(1.0, abs=0.008)
    assert draws.mean() == pytest.approx(expected.mean(), rel=5e-4)


def test_a_finer_specimen_gives_the_same_image() -> None:
    """Four points a side of a pixel are enough: eight change no pixel by more than one per cent of the open beam."""
    region = one_plate()
    coarse, fine = (model(region, replace(SETUP, oversample=n)).transmission(1) for n in (4, 8))
    assert np.abs(coarse - fine).max() < 0.01


def test_blur_mixes_the_spectrum_of_a_rim_with_the_open_beam() -> None:
    """Half covered, a pixel's optical density is less than half of the plate's: transmission is what is averaged."""
    wide = Outline(CENTRE[0], CENTRE[1] - 1.0, 2.257, 1.0, 0.0, 40.0, 150.0)
    region = Region((make_particle(1, wide, "solid_solution", 0.0101, np.random.default_rng(1)),))
    density = -np.log(model(region).transmission(1))
    row = density[SETUP.n_px // 2]
    full, half = row[: SETUP.n_px // 2 - 8].mean(), row[SETUP.n_px // 2]
    assert 0.3 * full < half < 0.48 * full


def test_nuisances_stay_within_what_a_beamline_would_bear() -> None:
    for seed in range(40):
        drawn = draw_nuisance(StxmSetup(), np.random.default_rng(seed))
        assert 0.1 <= abs(drawn.energy_offset_ev) <= 0.25
        assert np.ptp(drawn.shift_um, axis=0).max() <= 2 * 0.05 + 1e-12
        np.testing.assert_allclose(drawn.shift_um.mean(axis=0), 0.0, atol=1e-12)
        assert 0.7 < drawn.i0_counts.min() / 3000.0 < drawn.i0_counts.max() / 3000.0 < 1.3


def test_the_zone_plate_of_the_stack_is_the_60_nm_one() -> None:
    assert SETUP.zone_plate == ZonePlate(240.0, 60.0, 0.3)
