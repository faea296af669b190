"""Weighted least squares, against numpy's solver."""

import numpy as np
import pytest

from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FitOptions
from stxmdist.spectra.fitters.least_squares import fit

AGREEMENT_OD = 1e-5


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("n_energies", [3, 5, 60])
def test_equals_numpy(lfp: EndMembers, weighted: bool, n_energies: int) -> None:
    energies = {3: np.array([703.0, 708.2, 710.2]), 5: np.array([703.0, 706.6, 708.2, 710.2, 713.0])}.get(
        n_energies, np.linspace(700.0, 735.0, n_energies)
    )
    design = design_matrix(lfp, energies)
    scale = np.abs(design).max(axis=0)
    rng = np.random.default_rng(31)
    counts = rng.uniform(50.0, 500.0, n_energies)
    truth = rng.uniform(-10.0, 120.0, (2, 211))
    seen = np.maximum(rng.poisson(counts[:, None] * np.exp(-design @ truth)), 1) / counts[:, None]
    result = fit(seen.astype(np.float32), counts, design, FitOptions(weighted=weighted))
    for p in range(211):
        variance = 1.0 / (counts * seen[:, p])
        root = 1.0 / np.sqrt(variance) if weighted else np.ones(n_energies)
        best, *_ = np.linalg.lstsq(design * root[:, None], -np.log(seen[:, p]) * root, rcond=None)
        np.testing.assert_allclose(result.coefficients[:, p] * scale, best * scale, atol=AGREEMENT_OD)
        inverse = np.linalg.inv(design.T @ (root[:, None] ** 2 * design))
        spread = design.T @ (root[:, None] ** 4 * variance[:, None] * design)
        np.testing.assert_allclose(result.covariance[:, :, p], inverse @ spread @ inverse, rtol=1e-4)
        misfit = np.sum((-np.log(seen[:, p]) - design @ best) ** 2 / variance) / (n_energies - 2)
        assert result.chi2_reduced[p] == pytest.approx(misfit, rel=1e-3, abs=1e-4)


def test_as_many_energies_as_terms_leaves_no_chi2(lfp: EndMembers) -> None:
    design = design_matrix(lfp, np.array([708.2, 710.2]))
    result = fit(np.full((2, 5), 0.5, np.float32), np.full(2, 100.0), design)
    assert np.isfinite(result.coefficients).all()
    assert np.isnan(result.chi2_reduced).all()
