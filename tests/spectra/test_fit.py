"""Laws that every fitter of the table obeys, and what is made of their coefficients."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.fit import (
    FITTERS,
    FitOptions,
    condition_number,
    design_matrix,
    mean_residual,
    r_factor,
    residual_od,
    state_of_charge,
)
from stxmdist.spectra.references import EndMembers

EXACT = 2e-5  # relative to the thickness: float32 data, some hundred terms
PRIME_PIXELS = 331  # no multiple of the kernels' 128 lanes

fitters = pytest.mark.parametrize("name", list(FITTERS))


@pytest.fixture(scope="module")
def energies() -> np.ndarray:
    return np.linspace(700.0, 735.0, 35)


def _noise_free(design: np.ndarray, rng: np.random.Generator, n: int = PRIME_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros((design.shape[1], n))
    truth[:2] = rng.uniform(20.0, 120.0, (2, n))
    truth[2:] = rng.uniform(0.01, 0.3, (design.shape[1] - 2, n))
    return truth, np.exp(-design @ truth).astype(np.float32)


def _noisy(design: np.ndarray, rng: np.random.Generator, n: int = PRIME_PIXELS, counts: float = 100.0) -> np.ndarray:
    _, transmission = _noise_free(design, rng, n)
    return (rng.poisson(counts * transmission) / counts).astype(np.float32)


@fitters
@pytest.mark.parametrize("background", ["none", "constant", "power_law"])
def test_without_noise_the_truth_returns(name: str, background: str, lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies, background=background)
    truth, transmission = _noise_free(design, np.random.default_rng(1))
    fit = FITTERS[name](transmission, np.full(35, 400.0), design, FitOptions(bias_removed=False))
    scale = np.abs(design).max(axis=0)[:, None]
    # The float32 transmissions themselves limit what a poorly conditioned background can return.
    tolerance = EXACT * condition_number(design)
    np.testing.assert_allclose(fit.coefficients * scale, truth * scale, atol=tolerance)
    assert fit.chi2_reduced.max() < 1e-6


@fitters
def test_any_block_of_pixels_gives_the_same_bits(name: str, lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies, background="constant")
    transmission = _noisy(design, np.random.default_rng(2), counts=30.0)
    transmission[5, 17] = np.nan
    counts = np.full(35, 30.0)
    whole = FITTERS[name](transmission, counts, design)
    for cut in (1, 97, 128, 200):
        parts = [FITTERS[name](part, counts, design) for part in np.split(transmission, [cut], axis=1)]
        for attribute in ("coefficients", "covariance", "chi2_reduced"):
            joined = np.concatenate([getattr(part, attribute) for part in parts], axis=-1)
            np.testing.assert_array_equal(joined, getattr(whole, attribute))
    order = np.random.default_rng(3).permutation(PRIME_PIXELS)
    shuffled = FITTERS[name](transmission[:, order], counts, design)
    np.testing.assert_array_equal(shuffled.coefficients, whole.coefficients[:, order])


@fitters
def test_a_nan_in_a_used_energy_makes_the_pixel_nan_and_no_other(
    name: str, lfp: EndMembers, energies: np.ndarray
) -> None:
    design = design_matrix(lfp, energies)
    transmission = _noisy(design, np.random.default_rng(4))
    transmission[7, [0, 130, 330]] = [np.nan, np.inf, -np.inf]
    counts = np.full(35, 100.0)
    fit = FITTERS[name](transmission, counts, design)
    bad = np.zeros(PRIME_PIXELS, dtype=bool)
    bad[[0, 130, 330]] = True
    for values in (*fit.coefficients, fit.covariance[0, 0], fit.covariance[0, 1], fit.chi2_reduced):
        np.testing.assert_array_equal(np.isnan(values), bad)
    # Left out, that energy harms nobody, and the result is that of a stack without it.
    counts[7] = 0.0
    skipped = FITTERS[name](transmission, counts, design)
    keep = np.arange(35) != 7
    without = FITTERS[name](transmission[keep], counts[keep], design[keep])
    np.testing.assert_array_equal(skipped.coefficients, without.coefficients)
    assert np.isfinite(skipped.coefficients).all()


@fitters
def test_error_bars_are_those_of_repeated_experiments(name: str, lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies)
    truth = np.array([70.0, 60.0])
    n, counts = 4000, 300.0
    rng = np.random.default_rng(5)
    mean = np.exp(-design @ truth)[:, None] * np.ones(n)
    transmission = (rng.poisson(counts * mean) / counts).astype(np.float32)
    for weighted in (True, False):
        fit = FITTERS[name](transmission, np.full(35, counts), design, FitOptions(weighted=weighted))
        seen = np.cov(fit.coefficients)
        # 4000 repetitions know a standard deviation to 1.1 %.
        np.testing.assert_allclose(np.sqrt(np.diag(seen)), np.sqrt(np.diagonal(fit.covariance.mean(2))), rtol=0.05)
        np.testing.assert_allclose(seen[0, 1], fit.covariance[0, 1].mean(), rtol=0.12)
        if weighted:
            assert fit.chi2_reduced.mean() == pytest.approx(1.0, abs=0.02)


@fitters
def test_shapes_and_designs_that_cannot_be_fitted(name: str, lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies)
    transmission = np.ones((35, 3), np.float32)
    with pytest.raises(InputError, match="do not match"):
        FITTERS[name](transmission[:-1], np.ones(35), design)
    with pytest.raises(InputError, match="fewer energies than unknowns"):
        FITTERS[name](transmission, np.where(np.arange(35) < 1, 1.0, np.nan), design)
    with pytest.raises(InputError, match="condition number"):
        FITTERS[name](transmission, np.ones(35), design[:, [0, 0]])


def test_design_says_what_is_wrong(lfp: EndMembers) -> None:
    with pytest.raises(InputError, match="fewer energies than unknowns"):
        design_matrix(lfp, np.array([708.2, 710.2]), background="constant")
    with pytest.raises(InputError, match="cannot tell the terms"):
        design_matrix(lfp, np.array([690.0, 690.01, 690.02, 690.03]), background="power_law")
    with pytest.raises(InputError, match="no background of this kind"):
        design_matrix(lfp, np.linspace(700, 720, 9), background="linear")  # type: ignore[arg-type]


def test_state_of_charge_is_a_ratio_with_the_delta_method() -> None:
    rng = np.random.default_rng(6)
    mean = np.array([60.0, 90.0])
    covariance = np.array([[9.0, -3.0], [-3.0, 16.0]])
    soc, variance = state_of_charge(mean[:, None], covariance[:, :, None])
    draws = rng.multivariate_normal(mean, covariance, 100_000).T
    drawn, _ = state_of_charge(draws, np.zeros((3, draws.shape[1])))
    assert soc[0] == pytest.approx(0.6)
    assert np.sqrt(variance[0]) == pytest.approx(drawn.std(), rel=0.02)
    pairs, _ = state_of_charge(mean[:, None], np.array([[9.0], [-3.0], [16.0]]))
    assert pairs[0] == soc[0]


def test_state_of_charge_is_not_clipped_and_nothing_has_none() -> None:
    thickness = np.array([[-10.0, 110.0, 0.0, -5.0, np.nan], [110.0, -10.0, 0.0, 2.0, 3.0]])
    soc, variance = state_of_charge(thickness, np.ones((3, 5)))
    np.testing.assert_allclose(soc[:2], [1.1, -0.1], rtol=1e-6)
    assert np.isnan(soc[2:]).all()
    assert np.isnan(variance[2:]).all()


def test_a_third_substance_shows_in_the_residual_and_not_in_the_rest(lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies)
    rng = np.random.default_rng(7)
    _, transmission = _noise_free(design, rng)
    peak = 0.2 * np.exp(-((energies - 709.3) ** 2) / 2 / 0.3**2)
    alien = (transmission * np.exp(-peak)[:, None]).astype(np.float32)
    for stack, expected in ((transmission, 0.0), (alien, 1.0)):
        fit = FITTERS["poisson"](stack, np.full(35, 1000.0), design, FitOptions(bias_removed=False))
        spectrum, error = mean_residual(stack, fit.coefficients, design, np.arange(PRIME_PIXELS) < 300)
        assert spectrum.shape == error.shape == (35,)
        assert (abs(spectrum).max() > 0.03) == bool(expected)
        share = r_factor(stack, fit.coefficients, design)
        assert (share.max() > 1e-4) == bool(expected)
    assert energies[np.argmax(spectrum)] == pytest.approx(709.3, abs=0.6)


def test_residual_of_a_dark_energy_is_unknown(lfp: EndMembers, energies: np.ndarray) -> None:
    design = design_matrix(lfp, energies)
    truth, transmission = _noise_free(design, np.random.default_rng(8), n=5)
    transmission[3, 2] = 0.0
    residual = residual_od(transmission, truth.astype(np.float32), design)
    assert np.isnan(residual[3, 2])
    assert np.isfinite(np.delete(residual.ravel(), 3 * 5 + 2)).all()
