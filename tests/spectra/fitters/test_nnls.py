"""Exact non-negative least squares, against scipy pixel by pixel."""

import numpy as np
import pytest
from scipy.optimize import nnls

from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FitOptions
from stxmdist.spectra.fitters.nnls import fit

AGREEMENT_OD = 1e-5


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("background", ["none", "constant", "power_law"])
def test_equals_scipy_in_every_pixel(lfp: EndMembers, background: str, weighted: bool) -> None:
    design = design_matrix(lfp, np.linspace(700.0, 735.0, 41), background=background)
    rng = np.random.default_rng(21)
    n, counts = 509, 60.0
    # Half the pixels are empty, so that about every support is the best one somewhere.
    truth = rng.uniform(0.0, 80.0, (2, n)) * (rng.random(n) < 0.5)
    od = design[:, :2] @ truth + rng.choice([0.0, 0.0, 0.1], n)
    seen = rng.poisson(counts * np.exp(-od)) / counts
    seen[rng.random(seen.shape) < 0.01] = 0.0
    result = fit(seen.astype(np.float32), np.full(41, counts), design, FitOptions(weighted=weighted))
    scale = np.abs(design).max(axis=0)
    supports = set()
    for p in range(n):
        known = seen[:, p] > 0.0
        root = np.sqrt(counts * seen[known, p]) if weighted else np.ones(known.sum())
        best, _ = nnls(design[known] * root[:, None], -np.log(seen[known, p]) * root)
        supports.add(tuple(best > 0.0))
        np.testing.assert_allclose(result.coefficients[:, p] * scale, best * scale, atol=AGREEMENT_OD)
    assert len(supports) == 2 ** design.shape[1]


def test_nothing_is_negative_but_the_covariance_is_that_of_the_free_fit(lfp: EndMembers) -> None:
    from stxmdist.spectra.fitters.least_squares import fit as free

    design = design_matrix(lfp, np.linspace(700.0, 735.0, 35))
    rng = np.random.default_rng(22)
    seen = (rng.poisson(50.0, (35, 300)) / 50.0).astype(np.float32)
    constrained, unconstrained = fit(seen, np.full(35, 50.0), design), free(seen, np.full(35, 50.0), design)
    assert constrained.coefficients.min() == 0.0
    assert unconstrained.coefficients.min() < -1.0
    np.testing.assert_array_equal(constrained.covariance, unconstrained.covariance)
    assert np.all(constrained.chi2_reduced >= unconstrained.chi2_reduced * (1 - 1e-4))
