"""The elementary functions that the kernels vectorise, against numpy in double precision."""

import numpy as np

from stxmdist.arrays import compiled
from stxmdist.spectra.kernels.pixel_blocks import exponential, logarithm, orthogonalised, pair_products

FLOAT32_FUNCTION = 3e-7  # relative; half a unit in the last place of float32 is 6e-8


@compiled
def _apply(x: np.ndarray, exponentials: np.ndarray, logarithms: np.ndarray) -> None:
    for k in range(x.size):
        exponentials[k] = exponential(x[k])
        logarithms[k] = logarithm(exponentials[k])


def test_exponential_and_logarithm() -> None:
    x = np.linspace(-80.0, 20.0, 100003).astype(np.float32)
    e, back = np.empty_like(x), np.empty_like(x)
    _apply(x, e, back)
    np.testing.assert_allclose(e, np.exp(x.astype(np.float64)), rtol=FLOAT32_FUNCTION)
    np.testing.assert_allclose(back, np.log(e.astype(np.float64)), rtol=FLOAT32_FUNCTION, atol=FLOAT32_FUNCTION)


def test_exponential_is_clamped_not_wrapped() -> None:
    x = np.array([-500.0, 500.0], np.float32)
    e, back = np.empty_like(x), np.empty_like(x)
    _apply(x, e, back)
    assert 0.0 < e[0] < 1e-37
    assert np.isfinite(e[1])
    assert e[1] > 1e37


def test_orthogonalised_design_is_orthogonal_under_the_counts() -> None:
    rng = np.random.default_rng(0)
    design, counts = rng.normal(size=(23, 4)) + 3.0, rng.uniform(10, 1000, 23)
    orthogonal, triangle = orthogonalised(design, counts)
    np.testing.assert_allclose(orthogonal @ triangle, design, rtol=1e-10)
    gram = orthogonal.T @ np.diag(counts) @ orthogonal
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9 * gram.max())
    assert pair_products(orthogonal).shape == (10, 23)
