"""Blur at some pixels beside an independent convolution."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.particles.plate_kernels import blurred_at


@pytest.mark.parametrize("side", [3, 21])
def test_blur_is_a_convolution_with_nothing_beyond_the_cut_out(side: int) -> None:
    rng = np.random.default_rng(side)
    images = rng.normal(size=(4, 14, 17)) * (rng.random((14, 17)) < 0.6)
    # Of no symmetry: a kernel that is turned round would be seen.
    psf = rng.random((side, side))
    pixels = rng.random((14, 17)) < 0.5
    expected = np.stack([ndimage.convolve(one, psf, mode="constant")[pixels] for one in images])
    # Sums of up to 441 products of order one, rounded.
    np.testing.assert_allclose(blurred_at(images, psf, pixels), expected, rtol=0, atol=1e-12 * side**2)
