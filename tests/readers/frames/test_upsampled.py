"""Frames laid in larger ones: the zero frequency stays in the middle, and the illumination is the same light."""

import numpy as np
import pytest

from stxmdist.readers.frames.upsampled import finer, laid_in

SINGLE = 1e-6
"""Share of the largest number: transforms in double precision, kept in single"""


@pytest.mark.parametrize(("n", "larger"), [(7, 14), (8, 16), (7, 21), (5, 8), (9, 9)])
def test_the_middle_stays_in_the_middle(n: int, larger: int) -> None:
    frames = np.random.default_rng(1).uniform(1.0, 2.0, (3, n, n + 1))
    found = laid_in(frames, (larger, larger + 1))
    assert found.shape == (3, larger, larger + 1)
    np.testing.assert_array_equal(found[:, larger // 2, (larger + 1) // 2], frames[:, n // 2, (n + 1) // 2])
    assert found.sum() == pytest.approx(frames.sum())
    assert np.count_nonzero(found) == frames.size


@pytest.mark.parametrize(("n", "times"), [(8, 2), (9, 2), (9, 3)])
def test_every_coarse_pixel_of_the_light_is_found_again(n: int, times: int) -> None:
    """Light whose frequencies end before Nyquist's: between samples it is what its waves say."""
    rng = np.random.default_rng(n)
    waves = [(int(ky), int(kx), complex(*rng.normal(size=2))) for ky, kx in rng.integers(-(n // 2) + 1, n // 2, (4, 2))]

    def light(rows: int, scale: float) -> np.ndarray:
        y, x = np.meshgrid(*[(np.arange(rows) - rows // 2) * scale] * 2, indexing="ij")
        return sum(c * np.exp(2j * np.pi * (ky * y + kx * x) / n) for ky, kx, c in waves)[None]

    found = finer(light(n, 1.0).astype(np.complex64), (times * n, times * n))
    wanted = light(times * n, 1.0 / times) / times
    np.testing.assert_allclose(found, wanted, atol=SINGLE * np.abs(wanted).max())
    assert (np.abs(found) ** 2).sum() == pytest.approx((np.abs(light(n, 1.0)) ** 2).sum(), rel=SINGLE)
