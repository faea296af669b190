"""A radial profile finds a shell that was planted, and of homogeneous particles one ring in twenty beyond its band."""

import numpy as np
import pytest

from stxmdist.particles.radial_profile import LEAST_PIXELS, radial_profile

PIXEL_NM = np.array([20.0, 20.0])


def disc(n: int = 61, radius: float = 24.0) -> np.ndarray:
    y, x = np.indices((n, n)) - n // 2
    return y**2 + x**2 <= radius**2


def test_a_planted_shell_is_found_at_its_depth() -> None:
    inside = disc()
    y, x = np.indices(inside.shape) - 30
    shell = np.hypot(y, x) > 18.0
    found = radial_profile(np.where(shell, 0.8, 0.2), np.full(inside.shape, 0.05), inside, inside, PIXEL_NM)
    np.testing.assert_allclose(found.soc[found.depth_nm < 80.0], 0.8, atol=1e-12)
    np.testing.assert_allclose(found.soc[found.depth_nm > 160.0], 0.2, atol=1e-12)
    # The shell is 6 pixels deep; a ring is one pixel, and outlines lie half a pixel off.
    border = found.depth_nm[np.argmin(np.abs(found.soc - 0.5))]
    assert border == pytest.approx(6 * 20.0, abs=30.0)
    assert found.beyond > 0.8 * found.soc.size


def test_homogeneous_particles_lie_within_their_band() -> None:
    rng, inside = np.random.default_rng(3), disc(31, 12.0)
    beyond = rings = 0
    for _ in range(200):
        found = radial_profile(rng.normal(0.5, 0.1, inside.shape), np.full(inside.shape, 0.1), inside, inside, PIXEL_NM)
        beyond, rings = beyond + found.beyond, rings + found.soc.size
    # 5 % of some 2,000 rings, less a little as the mean is the particle's own; four standard errors are 2 %.
    assert 0.02 < beyond / rings < 0.07


def test_correlated_noise_widens_the_band() -> None:
    inside = disc(21, 8.0)
    args = (np.full(inside.shape, 0.5), np.full(inside.shape, 0.1), inside, inside, PIXEL_NM)
    np.testing.assert_allclose(radial_profile(*args, 4.0).se, 2.0 * radial_profile(*args).se, rtol=1e-12)


def test_every_pixel_that_counts_is_in_one_ring() -> None:
    inside = disc(21, 7.0)
    trusted = inside.copy()
    trusted[:, 10:] = False
    soc = np.full(inside.shape, 0.5)
    soc[8, 5] = np.nan
    found = radial_profile(soc, np.full(inside.shape, 0.1), inside, trusted, PIXEL_NM)
    assert found.n_pixels.sum() == (inside & trusted & np.isfinite(soc)).sum()
    assert found.n_pixels.min() >= LEAST_PIXELS
    assert (np.diff(found.depth_nm) > 0).all()


def test_a_particle_without_a_known_pixel_has_no_ring() -> None:
    inside = disc(9, 3.0)
    nothing = radial_profile(np.full(inside.shape, np.nan), np.full(inside.shape, 0.1), inside, inside, PIXEL_NM)
    assert nothing.soc.size == nothing.beyond == 0
