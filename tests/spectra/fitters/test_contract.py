"""Laws that every fitter of the table obeys, and what is made of their coefficients."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number, design_matrix, design_slope
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import (
    FITTERS,
    Fit,
    FitContext,
    FitOptions,
    mean_residual,
    r_factor,
    residual_od,
    state_of_charge,
)
from stxmdist.spectra.fitters.two_energy import pair_of

EXACT = 2e-5  # relative to the thickness: float32 data, some hundred terms
PRIME_PIXELS = 331  # no multiple of the kernels' 128 lanes

fitters = pytest.mark.parametrize("name", list(FITTERS))


@pytest.fixture(scope="module")
def energies() -> np.ndarray:
    return np.linspace(700.0, 735.0, 35)


@pytest.fixture(scope="module")
def phase_design(lfp: EndMembers, energies: np.ndarray) -> np.ndarray:
    return phase_per_nm(lfp, energies).T


def _noise_free(design: np.ndarray, rng: np.random.Generator, n: int = PRIME_PIXELS) -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros((design.shape[1], n))
    truth[:2] = rng.uniform(20.0, 120.0, (2, n))
    truth[2:] = rng.uniform(0.01, 0.3, (design.shape[1] - 2, n))
    return truth, np.exp(-design @ truth).astype(np.float32)


def _noisy(design: np.ndarray, rng: np.random.Generator, n: int = PRIME_PIXELS, counts: float = 100.0) -> np.ndarray:
    _, transmission = _noise_free(design, rng, n)
    return (rng.poisson(counts * transmission) / counts).astype(np.float32)


def _beside(
    lfp: EndMembers,
    energies: np.ndarray,
    phase_design: np.ndarray,
    truth: np.ndarray,
    rng: np.random.Generator | None = None,
    counts: float = np.inf,
) -> FitContext:
    """All that any member may want, of the same truth (TERM, PIXEL)."""
    terms = np.zeros((energies.size, len(truth)))
    terms[:, :2] = phase_design
    slope = np.zeros_like(terms)
    slope[:, :2] = design_slope(lfp, energies)
    phase = terms @ truth
    if rng is not None:
        od = design_matrix(lfp, energies) @ truth[:2]
        phase = phase + rng.normal(size=phase.shape) * np.sqrt(np.exp(od) / (4.0 * counts))
    return FitContext(energy_ev=energies, slope=slope, phase=phase.astype(np.float32), phase_design=terms)


@pytest.fixture(scope="module")
def beside_of(lfp: EndMembers, energies: np.ndarray, phase_design: np.ndarray) -> Callable[..., FitContext]:
    return partial(_beside, lfp, energies, phase_design)


def _columns(beside: FitContext, chosen: Any) -> FitContext:
    assert beside.phase is not None
    return replace(beside, phase=beside.phase[:, chosen])


@fitters
@pytest.mark.parametrize("background", ["none", "constant", "power_law"])
def test_without_noise_the_truth_returns(
    name: str, background: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    design = design_matrix(lfp, energies, background=background)
    truth, transmission = _noise_free(design, np.random.default_rng(1))
    counts, options, beside = np.full(35, 400.0), FitOptions(bias_removed=False), beside_of(truth)
    if FITTERS[name].two_energies and background != "none":
        with pytest.raises(InputError, match="fewer energies than unknowns"):
            FITTERS[name].load()(transmission, counts, design, options, beside)
        return
    fit = FITTERS[name].load()(transmission, counts, design, options, beside)
    assert tuple(fit.maps) == tuple(one.name for one in FITTERS[name].maps)
    scale = np.abs(design).max(axis=0)[:, None]
    # The float32 transmissions themselves limit what a poorly conditioned background can return.
    tolerance = EXACT * condition_number(design) * FITTERS[name].rounding.coefficients
    np.testing.assert_allclose(fit.coefficients * scale, truth * scale, atol=tolerance)
    if FITTERS[name].two_energies:
        assert np.isnan(fit.chi2_reduced).all()
    else:
        assert fit.chi2_reduced.max() < 1e-6 * FITTERS[name].rounding.chi2_reduced


@fitters
def test_any_block_of_pixels_and_any_threads_give_the_same_bits(
    name: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    background = "none" if FITTERS[name].two_energies else "constant"
    design = design_matrix(lfp, energies, background=background)
    rng = np.random.default_rng(2)
    truth, transmission = _noise_free(design, rng)
    transmission = (rng.poisson(30.0 * transmission) / 30.0).astype(np.float32)
    transmission[5, 17] = np.nan
    counts, beside = np.full(35, 30.0), beside_of(truth, rng, 30.0)

    def fitted(chosen: Any, threads: int = 1) -> Fit:
        return FITTERS[name].load()(
            transmission[:, chosen], counts, design, FitOptions(), replace(_columns(beside, chosen), threads=threads)
        )

    whole = fitted(slice(None))
    for cut in (1, 97, 128, 200):
        parts = [fitted(slice(cut)), fitted(slice(cut, None))]
        for read in _EVERYTHING:
            joined = np.concatenate([read(part) for part in parts], axis=-1)
            np.testing.assert_array_equal(joined, read(whole))
    order = rng.permutation(PRIME_PIXELS)
    for read in _EVERYTHING:
        np.testing.assert_array_equal(read(fitted(order)), read(whole)[..., order])
        np.testing.assert_array_equal(read(fitted(slice(None), threads=2)), read(whole))


_EVERYTHING: tuple[Callable[[Fit], np.ndarray], ...] = (
    lambda fit: fit.coefficients,
    lambda fit: fit.covariance,
    lambda fit: fit.chi2_reduced,
    lambda fit: np.stack([np.zeros_like(fit.chi2_reduced), *fit.maps.values()]),
)


@fitters
def test_a_nan_in_a_used_energy_makes_the_pixel_nan_and_no_other(
    name: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    design = design_matrix(lfp, energies)
    rng = np.random.default_rng(4)
    truth, transmission = _noise_free(design, rng)
    transmission = (rng.poisson(1000.0 * transmission) / 1000.0).astype(np.float32)
    counts, beside, options = np.full(35, 1000.0), beside_of(truth, rng, 1000.0), FitOptions()
    used = int(pair_of(counts, design, options, beside)[0])
    transmission[used, [0, 130, 330]] = [np.nan, np.inf, -np.inf]
    fit = FITTERS[name].load()(transmission, counts, design, options, beside)
    bad = np.zeros(PRIME_PIXELS, dtype=bool)
    bad[[0, 130, 330]] = True
    chi2 = () if FITTERS[name].two_energies else (fit.chi2_reduced,)
    for values in (*fit.coefficients, fit.covariance[0, 0], fit.covariance[0, 1], *chi2, *fit.maps.values()):
        np.testing.assert_array_equal(np.isnan(values), bad)
    # Left out, that energy harms nobody, and the result is that of a stack without it.
    counts[used] = 0.0
    skipped = FITTERS[name].load()(transmission, counts, design, options, beside)
    keep = np.arange(35) != used
    fields = ("energy_ev", "slope", "phase", "phase_design")
    less = FitContext(**{field: getattr(beside, field)[keep] for field in fields})
    without = FITTERS[name].load()(transmission[keep], counts[keep], design[keep], options, less)
    np.testing.assert_array_equal(skipped.coefficients, without.coefficients)
    assert np.isfinite(skipped.coefficients).all()


@fitters
def test_no_counts_at_all_are_nan_and_one_dark_energy_is_data_or_nan(
    name: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    design = design_matrix(lfp, energies)
    rng = np.random.default_rng(9)
    truth, transmission = _noise_free(design, rng, n=3)
    counts, beside, options = np.full(35, 1000.0), beside_of(truth, rng, 1000.0), FitOptions()
    transmission[:, 0] = 0.0
    used = int(pair_of(counts, design, options, beside)[0]) if FITTERS[name].two_energies else 0
    transmission[used, 1] = 0.0
    fit = FITTERS[name].load()(transmission, counts, design, options, beside)
    assert np.isnan(fit.coefficients[:, 0]).all()
    assert np.isnan(fit.covariance[:, :, 0]).all()
    assert np.isfinite(fit.coefficients[:, 1]).all() == (not FITTERS[name].needs_every_count)
    assert np.isfinite(fit.coefficients[:, 2]).all()


@fitters
def test_error_bars_are_those_of_repeated_experiments(
    name: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    design = design_matrix(lfp, energies)
    # Counts are many where logarithms are taken of them; the bias of few is another test's.
    n, counts = 4000, 1000.0
    rng = np.random.default_rng(5)
    truth = np.array([70.0, 60.0])[:, None] * np.ones(n)
    mean = np.exp(-design @ truth)
    if any(one.name == "fill_factor" for one in FITTERS[name].maps):
        # Half covered: at 1 the bound cuts half of the distribution off.
        mean = 0.5 + 0.5 * np.exp(-design @ (2.0 * truth))
    transmission = (rng.poisson(counts * mean) / counts).astype(np.float32)
    beside = beside_of(truth, rng, counts)
    for weighted in (True, False):
        fit = FITTERS[name].load()(transmission, np.full(35, counts), design, FitOptions(weighted=weighted), beside)
        seen = np.cov(fit.coefficients)
        # 4000 repetitions know a standard deviation to 1.1 %.
        np.testing.assert_allclose(np.sqrt(np.diag(seen)), np.sqrt(np.diagonal(fit.covariance.mean(2))), rtol=0.05)
        np.testing.assert_allclose(seen[0, 1], fit.covariance[0, 1].mean(), rtol=0.12)
        pulls = (fit.coefficients - truth) / np.sqrt(np.stack([fit.covariance[0, 0], fit.covariance[1, 1]]))
        assert pulls.std(axis=1) == pytest.approx(1.0, abs=0.05)
        # Of a pixel's error bar; several times what 4000 pixels leave of it, for what is biased to second order.
        assert pulls.mean(axis=1) == pytest.approx(0.0, abs=0.1)
        if weighted and not FITTERS[name].two_energies:
            assert fit.chi2_reduced.mean() == pytest.approx(1.0, abs=0.02)


@fitters
def test_shapes_and_designs_that_cannot_be_fitted(
    name: str, lfp: EndMembers, energies: np.ndarray, beside_of: Callable[..., FitContext]
) -> None:
    design = design_matrix(lfp, energies)
    transmission = np.ones((35, 3), np.float32)
    beside = beside_of(np.ones((2, 3)))
    with pytest.raises(InputError, match="do not match"):
        FITTERS[name].load()(transmission, np.ones(34), design, FitOptions(), beside)
    with pytest.raises(InputError, match="fewer energies than unknowns"):
        FITTERS[name].load()(transmission, np.where(np.arange(35) < 1, 1.0, np.nan), design, FitOptions(), beside)
    # What looks for energies at which the end-members differ finds one energy twice.
    with pytest.raises(
        InputError, match="both energies are the same" if FITTERS[name].two_energies else "condition number"
    ):
        FITTERS[name].load()(transmission, np.ones(35), design[:, [0, 0]], FitOptions(), beside)


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
        fit = FITTERS["poisson"].load()(stack, np.full(35, 1000.0), design, FitOptions(bias_removed=False))
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
