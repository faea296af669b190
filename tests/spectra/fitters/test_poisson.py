"""The likelihood fit: efficient, unbiased, covering, and at home with zero counts."""

import numpy as np
import pytest
from scipy.optimize import minimize

from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FitOptions, state_of_charge
from stxmdist.spectra.fitters.poisson import fit

BIAS = 0.002
CRAMER_RAO = (0.97, 1.05)
COVERAGE = (0.93, 0.97)
NOISE_FREE = FitOptions(bias_removed=False)  # exact values are no draw from a distribution


def test_efficient_unbiased_and_covering_at_100_counts(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    energies = np.linspace(700.0, 735.0, 35)
    design = design_matrix(lfp, energies)
    rng = np.random.default_rng(11)
    n, counts = 20_000, 100.0
    for soc in (0.0, 0.5, 1.0):
        truth = 150.0 * np.array([1.0 - soc, soc])
        mean = counts * np.exp(-design @ truth)
        transmission = (rng.poisson(mean[:, None], (35, n)) / counts).astype(np.float32)
        result = fit(transmission, np.full(35, counts), design)
        found, variance = state_of_charge(result.coefficients, result.covariance)
        information = np.linalg.inv(design.T @ np.diag(mean) @ design)
        gradient = np.array([-truth[1], truth[0]]) / 150.0**2
        bound = np.sqrt(gradient @ information @ gradient)
        covered = np.mean(np.abs(found - soc) < 1.96 * np.sqrt(variance))
        with capsys.disabled():
            ratio = found.std() / bound
            print(f"\n  soc {soc}: bias {found.mean() - soc:+.4f}, sd/CRB {ratio:.3f}, 95 % covers {covered:.3f}")
        assert abs(found.mean() - soc) < BIAS
        assert CRAMER_RAO[0] < found.std() / bound < CRAMER_RAO[1]
        assert COVERAGE[0] < covered < COVERAGE[1]


@pytest.mark.parametrize("counts", [4.0, 30.0, 3000.0])
@pytest.mark.parametrize("background", ["none", "power_law"])
def test_it_is_the_maximum_that_scipy_finds(lfp: EndMembers, counts: float, background: str) -> None:
    energies = np.linspace(702.0, 730.0, 29)
    design = design_matrix(lfp, energies, background=background)
    scale = np.abs(design).max(axis=0)
    rng = np.random.default_rng(int(counts))
    truth = np.array([60.0, 50.0, 0.1, 0.05])[: design.shape[1]]
    seen = rng.poisson(counts * np.exp(-design @ truth)[:, None], (29, 7))
    result = fit(
        (seen / counts).astype(np.float32),
        np.full(29, counts),
        design,
        FitOptions(tolerance_sd=1e-6, bias_removed=False),
    )
    for p in range(7):
        unit = design / scale

        def loss(theta, unit=unit, y=seen[:, p]):
            od = unit @ theta
            return np.sum(counts * np.exp(-od) + y * od)

        def slope(theta, unit=unit, y=seen[:, p]):
            return unit.T @ (y - counts * np.exp(-unit @ theta))

        best = minimize(loss, truth * scale, jac=slope, method="BFGS", options={"gtol": 1e-9 * counts})
        error = np.sqrt(np.diag(result.covariance[:, :, p])) * scale
        # A hundredth of a permille of the error bar would do; float32 sums allow a permille at 3000 counts.
        np.testing.assert_allclose(result.coefficients[:, p] * scale, best.x, atol=2e-3 * error.min() + 1e-5)


def test_zero_counts_are_data(lfp: EndMembers) -> None:
    # 300 nm at 5 photons: at the white line nothing is counted most of the time.
    design = design_matrix(lfp, np.linspace(700.0, 735.0, 35))
    rng = np.random.default_rng(12)
    n = 20_000
    seen = rng.poisson(5.0 * np.exp(-design @ np.array([300.0, 0.0]))[:, None], (35, n))
    assert (seen == 0).mean() > 0.1
    result = fit((seen / 5.0).astype(np.float32), np.full(35, 5.0), design)
    assert np.isfinite(result.coefficients).mean() > 0.999
    total = np.nanmean(result.coefficients.sum(axis=0))
    assert total == pytest.approx(300.0, rel=0.02)


def test_a_pixel_without_any_light_has_no_thickness(lfp: EndMembers) -> None:
    design = design_matrix(lfp, np.linspace(700.0, 735.0, 35))
    transmission = np.ones((35, 3), np.float32)
    transmission[:, 1] = 0.0
    result = fit(transmission, np.full(35, 100.0), design, NOISE_FREE)
    assert np.isnan(result.coefficients[:, 1]).all()
    assert np.isnan(result.covariance[:, :, 1]).all()
    np.testing.assert_allclose(result.coefficients[:, [0, 2]], 0.0, atol=1e-2)


def test_more_light_than_came_in_is_negative_thickness_not_zero(lfp: EndMembers) -> None:
    design = design_matrix(lfp, np.linspace(700.0, 735.0, 35))
    transmission = np.exp(-design @ np.array([[-20.0, 90.0], [90.0, -15.0]])).astype(np.float32)
    result = fit(transmission, np.full(35, 100.0), design, NOISE_FREE)
    np.testing.assert_allclose(result.coefficients, [[-20.0, 90.0], [90.0, -15.0]], atol=0.01)
