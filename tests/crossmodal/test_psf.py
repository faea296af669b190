"""The zone plate's PSF and imaging through it."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.crossmodal.psf import blur_optical_density, blur_transmission, zone_plate_intensity, zone_plate_sigma_nm


def test_first_zero_is_rayleighs() -> None:
    assert zone_plate_intensity(np.array([1.2197 * 45.0]), 45.0)[0] < 1e-7
    assert zone_plate_intensity(np.zeros(1), 45.0, 0.4)[0] == pytest.approx(1.0)


def test_gaussian_equivalent_has_the_full_width_of_the_airy_pattern() -> None:
    # 1.029 outer zones; a central stop sharpens the core.
    assert zone_plate_sigma_nm(60.0) * 2.3548 == pytest.approx(1.029 * 60.0, rel=1e-3)
    assert zone_plate_sigma_nm(60.0, 0.4) < zone_plate_sigma_nm(60.0)


def test_energy_outside_a_radius_is_that_of_the_literature() -> None:
    # 12 % and 25 % outside 100 nm for 60 nm zones without and with a stop (science.md 3.5), within a box of 6 um.
    radius = np.arange(0.5, 3000.0, 1.0)
    for stop, share in ((0.0, 0.12), (0.4, 0.25)):
        ring = zone_plate_intensity(radius, 60.0, stop) * radius
        assert ring[radius > 100].sum() / ring.sum() == pytest.approx(share, abs=0.02)


def test_blurring_transmission_is_not_blurring_optical_density() -> None:
    step = np.zeros((13, 29))
    step[:, 15:] = 2.0
    seen = blur_optical_density(step, 1.3)
    assert seen[6, 14:16].mean() < ndimage.gaussian_filter(step, 1.3)[6, 14:16].mean() - 0.1
    np.testing.assert_allclose(blur_optical_density(step, 0.0), step)
    # A thin object cannot tell.
    np.testing.assert_allclose(
        blur_optical_density(1e-4 * step, 1.3), ndimage.gaussian_filter(1e-4 * step, 1.3, mode="nearest"), rtol=1e-3
    )


def test_what_is_not_known_takes_no_part() -> None:
    flat = np.full((2, 11, 17), 0.7)
    flat[:, 3:5] = np.nan
    seen = blur_transmission(flat, 1.5)
    assert np.isnan(seen[:, 3:5]).all()
    np.testing.assert_allclose(seen[np.isfinite(seen)], 0.7)
