"""What each of the further fitters promises beside the laws that all obey."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_matrix, design_slope
from stxmdist.spectra.end_members.dispersion import EV_NM, phase_per_nm
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitContext, FitOptions, state_of_charge
from stxmdist.spectra.fitters.fill_factor import as_if_covered
from stxmdist.spectra.fitters.peaks import find_peaks

ENERGY_EV = np.linspace(700.0, 735.0, 35)
BARE = FitOptions(bias_removed=False)
ROUNDING = 2e-4  # of a thickness in nm, float32


@pytest.fixture(scope="module")
def design(lfp: EndMembers) -> np.ndarray:
    return design_matrix(lfp, ENERGY_EV)


@pytest.fixture(scope="module")
def phase_design(lfp: EndMembers) -> np.ndarray:
    return phase_per_nm(lfp, ENERGY_EV).T


def _counted(rng: np.random.Generator, mean: np.ndarray, counts: float) -> np.ndarray:
    return (rng.poisson(counts * mean) / counts).astype(np.float32)


# --- non-negative likelihood ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", ["none", "power_law"])
def test_constrained_likelihood_is_the_highest_that_is_allowed(lfp: EndMembers, background: str) -> None:
    design = design_matrix(lfp, ENERGY_EV, background=background)
    rng = np.random.default_rng(31)
    n, counts = 23, 80.0
    truth = np.zeros((design.shape[1], n))
    truth[:2] = rng.uniform(0.0, 80.0, (2, n)) * (rng.random((2, n)) < 0.5)
    seen = _counted(rng, np.exp(-design @ truth), counts)
    free = FITTERS["poisson"].load()(seen, np.full(35, counts), design, BARE)
    held = FITTERS["poisson_non_negative"].load()(seen, np.full(35, counts), design)
    inside = (free.coefficients >= 0.0).all(axis=0)
    assert 0 < inside.sum() < n
    np.testing.assert_array_equal(held.coefficients[:, inside], free.coefficients[:, inside])
    np.testing.assert_allclose(held.covariance, free.covariance, rtol=1e-4, atol=1e-6 * abs(free.covariance).max())
    assert held.coefficients.min() == 0.0
    scale = np.abs(design).max(axis=0)

    def loss(theta: np.ndarray, p: int) -> tuple[float, np.ndarray]:
        exponent = (design / scale) @ theta
        mean = counts * np.exp(-exponent)
        slope = (design / scale).T @ (counts * seen[:, p] - mean)
        return float(np.sum(mean + counts * seen[:, p] * exponent)), slope

    for p in np.flatnonzero(~inside):
        mine = held.coefficients[:, p] * scale
        other = minimize(loss, mine + 0.01, args=(p,), jac=True, bounds=[(0.0, None)] * len(scale), method="L-BFGS-B")
        # In units of the log-likelihood, in which one standard deviation is a half.
        assert loss(mine, p)[0] <= other.fun + 1e-3
        gradient = loss(mine, p)[1]
        one_sd = np.sqrt(np.diagonal(held.covariance[:, :, p])) * scale
        np.testing.assert_array_less(-gradient * one_sd, 0.02)
        np.testing.assert_array_less(np.abs(gradient * one_sd)[mine > 0.0], 0.02)


# --- two energies, sum to one -----------------------------------------------------------------------------------------


def test_angle_and_two_energies_say_the_same_and_the_angle_is_that_of_the_paper(lfp: EndMembers) -> None:
    energy_ev = np.array([700.0, 708.2, 710.2, 720.0])
    design = design_matrix(lfp, energy_ev)
    lithium = np.array([0.93, 0.02])
    truth = 100.0 * np.stack([lithium, 1.0 - lithium])
    exact = np.exp(-design @ truth).astype(np.float32)
    counts, beside = np.full(4, 1e4), FitContext(energy_ev=energy_ev)
    asked = FitOptions(energies_ev=(708.3, 710.1))
    angle = FITTERS["polar_angle"].load()(exact, counts, design, asked, beside)
    # Yu et al. 2018, figure 2.
    assert angle.maps["polar_angle_deg"] == pytest.approx([27.48, 65.0], abs=0.1)
    noisy = _counted(np.random.default_rng(32), np.exp(-design @ np.repeat(truth, 500, axis=1)), 1e4)
    by_angle = FITTERS["polar_angle"].load()(noisy, counts, design, asked, beside)
    by_solving = FITTERS["two_energy"].load()(noisy, counts, design, asked, beside)
    # Without energies being named it finds the two by itself.
    alone = FITTERS["two_energy"].load()(noisy, counts, design)
    for other in (by_solving, alone):
        np.testing.assert_allclose(by_angle.coefficients, other.coefficients, atol=ROUNDING)
        np.testing.assert_allclose(by_angle.covariance, other.covariance, rtol=1e-3)
    seen = by_angle.maps["polar_angle_deg"].reshape(2, 500).std(axis=1)
    # 500 repetitions know a standard deviation to 3 %.
    assert seen == pytest.approx(by_angle.maps["polar_angle_se_deg"].reshape(2, 500).mean(axis=1), rel=0.12)


def test_a_known_total_is_met_and_makes_the_state_of_charge_surer(design: np.ndarray) -> None:
    truth = np.array([90.0, 40.0])[:, None] * np.ones(2000)
    seen = _counted(np.random.default_rng(33), np.exp(-design @ truth), 300.0)
    counts = np.full(35, 300.0)
    fit = FITTERS["sum_to_one"].load()(seen, counts, design, FitOptions(total_thickness=130.0))
    np.testing.assert_allclose(fit.coefficients.sum(axis=0), 130.0, rtol=1e-6)
    free = FITTERS["least_squares"].load()(seen, counts, design)
    _, surer = state_of_charge(fit.coefficients, fit.covariance)
    _, before = state_of_charge(free.coefficients, free.covariance)
    assert surer.mean() < before.mean()
    assert fit.coefficients[1].std() == pytest.approx(np.sqrt(fit.covariance[1, 1].mean()), rel=0.06)
    assert fit.chi2_reduced.mean() == pytest.approx(1.0, abs=0.03)


def test_energies_without_an_edge_jump_are_refused(lfp: EndMembers) -> None:
    energy_ev = np.array([708.2, 709.0, 710.2, 706.0])
    with pytest.raises(InputError, match="no edge jump"):
        FITTERS["sum_to_one"].load()(np.ones((4, 3), np.float32), np.ones(4), design_matrix(lfp, energy_ev))


# --- peaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chemistry", list(CHEMISTRIES))
def test_white_lines_of_every_chemistry_are_found_and_return_the_truth(chemistry: str) -> None:
    members = CHEMISTRIES[chemistry].load().end_members()
    strongest = members.energy_ev[int(np.argmax(members.mu_per_nm.sum(axis=0)))]
    energy_ev = np.linspace(strongest - 8.0, strongest + 25.0, 90)
    design = design_matrix(members, energy_ev)
    lines = [energy_ev[np.argmax(design[:, state])] for state in (0, 1)]
    peaks = find_peaks(energy_ev, design.sum(axis=1), design)
    assert peaks.has_l2
    assert peaks.centres_ev[:2] == pytest.approx(lines, abs=0.61)
    truth = np.array([[80.0, 10.0], [20.0, 60.0]])
    exact = np.exp(-design @ truth).astype(np.float32)
    fit = FITTERS["white_line"].load()(exact, np.full(90, 1e4), design, FitOptions(), FitContext(energy_ev=energy_ev))
    assert fit.coefficients == pytest.approx(truth, abs=0.05)


def test_peaks_that_were_not_measured_are_refused(lfp: EndMembers) -> None:
    energy_ev = np.linspace(704.0, 714.0, 30)
    design, seen = design_matrix(lfp, energy_ev), np.ones((30, 3), np.float32)
    with pytest.raises(InputError, match="do not reach the L2 line"):
        FITTERS["l3_l2"].load()(seen, np.ones(30), design, FitOptions(), FitContext(energy_ev=energy_ev))
    with pytest.raises(InputError, match="do not resolve the white lines"):
        FITTERS["white_line"].load()(
            seen[:6], np.ones(6), design[10:16], FitOptions(), FitContext(energy_ev=energy_ev[10:16])
        )
    with pytest.raises(InputError, match="not known at which energies"):
        FITTERS["white_line"].load()(seen, np.ones(30), design)


# --- phase ------------------------------------------------------------------------------------------------------------


def test_phase_follows_from_absorption(lfp: EndMembers) -> None:
    energy_ev = np.array([700.0, 705.0, 707.25, 708.25, 709.25, 710.25, 712.0, 720.0])
    delta = -phase_per_nm(lfp, energy_ev) * EV_NM / energy_ev / (2.0 * np.pi) * 1e4
    # By another integral over other tables (Henke's) of the same model: science of the field, section 3.3.
    expected = [[8.45, 5.71, 1.85, 8.19, 13.8, 12.3, 11.3, 7.7], [8.34, 6.32, 2.53, 0.87, 1.74, 8.59, 14.6, 7.9]]
    # The tables differ by 3 % in what all else contributes, and by more on the slopes of the lines.
    np.testing.assert_allclose(delta, expected, atol=0.9)
    assert np.corrcoef(delta.ravel(), np.ravel(expected))[0, 1] > 0.995
    # Far above the edge light meets nearly all electrons, as tables of f1 say too.
    import xraydb

    far = np.array([lfp.energy_ev[-1] - 1.0])
    delta = -phase_per_nm(lfp, far)[0] * EV_NM / far / (2.0 * np.pi)
    assert delta == pytest.approx(xraydb.xray_delta_beta("LiFePO4", 3.6, far[0])[0], rel=0.05)


def test_references_without_composition_have_no_phase(lfp: EndMembers) -> None:
    with pytest.raises(InputError, match="phase of these references cannot be computed"):
        phase_per_nm(replace(lfp, density_g_cm3=None), ENERGY_EV)


def test_phase_as_good_as_absorption_makes_error_bars_shorter_by_the_root_of_two(design: np.ndarray) -> None:
    rng = np.random.default_rng(34)
    truth = np.array([100.0, 50.0])[:, None] * np.ones(4000)
    counts = 1000.0
    mean = np.exp(-design @ truth)
    seen = _counted(rng, mean, counts)
    # ln A = -OD/2 and a phase with a design of the same size: each says as much.
    alike = design / 2.0
    phase = alike @ truth + rng.normal(size=mean.shape) / np.sqrt(4.0 * counts * mean)
    beside = FitContext(phase=phase.astype(np.float32), phase_design=alike)
    both = FITTERS["complex"].load()(seen, np.full(35, counts), design, FitOptions(), beside)
    one = FITTERS["least_squares"].load()(seen, np.full(35, counts), design)
    np.testing.assert_allclose(np.sqrt(one.covariance / both.covariance), np.sqrt(2.0), rtol=1e-4)
    # 4000 repetitions know a ratio of standard deviations to 1.6 %.
    np.testing.assert_allclose(one.coefficients.std(axis=1) / both.coefficients.std(axis=1), np.sqrt(2.0), rtol=0.06)


def test_phase_of_the_end_members_makes_the_state_of_charge_surer(
    phase_design: np.ndarray, design: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.array([100.0, 50.0])[:, None]
    exact = np.exp(-design @ truth).astype(np.float32)
    beside = FitContext(phase=(phase_design @ truth).astype(np.float32), phase_design=phase_design)
    both = FITTERS["complex"].load()(exact, np.full(35, 100.0), design, FitOptions(), beside)
    one = FITTERS["least_squares"].load()(exact, np.full(35, 100.0), design)
    gain = np.sqrt(
        state_of_charge(one.coefficients, one.covariance)[1] / state_of_charge(both.coefficients, both.covariance)[1]
    )
    with capsys.disabled():
        print(f"\ncomplex fit: soc {gain[0]:.3f} times as sure as by absorption alone")
    assert 1.2 < gain[0] < 1.7


def test_a_stack_without_phase_is_refused(design: np.ndarray) -> None:
    with pytest.raises(InputError, match="the stack has no phase"):
        FITTERS["complex"].load()(np.ones((35, 2), np.float32), np.ones(35), design)


# --- fill factor, energy shift ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [0, 1])
def test_a_half_filled_pixel_is_what_it_is_made_of(design: np.ndarray, state: int) -> None:
    thickness = np.zeros((2, 1))
    thickness[state] = 200.0
    seen = (0.5 + 0.5 * np.exp(-design @ thickness)).astype(np.float32)
    counts = np.full(35, 1000.0)
    filled = FITTERS["fill_factor"].load()(seen, counts, design)
    assert filled.maps["fill_factor"][0] == pytest.approx(0.5, abs=0.01)
    assert filled.coefficients[:, 0] == pytest.approx(0.5 * thickness[:, 0], abs=1.0)
    assert state_of_charge(filled.coefficients, filled.covariance)[0][0] == pytest.approx(state, abs=0.02)
    # Taken for a full one it is far off: by more than a tenth.
    full = FITTERS["poisson"].load()(seen, counts, design, BARE)
    assert abs(state_of_charge(full.coefficients, full.covariance)[0][0] - state) > 0.1
    covered = as_if_covered(seen, filled.maps["fill_factor"])
    # The prior draws the share towards 1 by a thousandth.
    np.testing.assert_allclose(-np.log(covered[:, 0]), design @ filled.coefficients[:, 0], atol=5e-3)


def test_fill_factor_of_full_and_of_empty_pixels(design: np.ndarray) -> None:
    rng = np.random.default_rng(36)
    for thickness, limit in ((120.0, 0.1), (0.0, 0.2)):
        truth = np.array([[thickness], [0.0]]) * np.ones(700)
        seen = _counted(rng, np.exp(-design @ truth), 300.0)
        fit = FITTERS["fill_factor"].load()(seen, np.full(35, 300.0), design)
        assert np.isfinite(fit.coefficients).all()
        assert fit.maps["fill_factor"].max() <= 1.0
        assert fit.maps["fill_factor"].min() > 0.0
        error = np.sqrt(fit.covariance[0, 0])
        # The bound at 1 biases by part of an error bar, never by more.
        assert abs(((fit.coefficients[0] - truth[0]) / error).mean()) < 1.0
        assert np.median(fit.chi2_reduced) == pytest.approx(1.0, abs=limit)


def test_a_pixels_own_energy_shift_is_found(lfp: EndMembers) -> None:
    energy_ev = np.concatenate([[700.0, 704.0], np.linspace(705.5, 713.5, 33), [717.0, 722.0]])
    design, slope = design_matrix(lfp, energy_ev), design_slope(lfp, energy_ev)
    rng = np.random.default_rng(37)
    n, counts = 900, 1000.0
    shift = np.repeat([-0.1, 0.0, 0.1], n // 3)
    truth = np.array([60.0, 60.0])
    mean = np.stack([np.exp(-design_matrix(lfp, energy_ev, d) @ truth) for d in shift], axis=1)
    seen = _counted(rng, mean, counts)
    fit = FITTERS["poisson_shift"].load()(
        seen, np.full(energy_ev.size, counts), design, FitOptions(), FitContext(slope=slope)
    )
    found = fit.maps["energy_shift_ev"].reshape(3, -1)
    error = fit.maps["energy_shift_se_ev"].mean()
    assert found.mean(axis=1) == pytest.approx([-0.1, 0.0, 0.1], abs=0.02)
    # The prior holds the shifts a little closer together than the error bar says.
    assert found.std(axis=1).mean() == pytest.approx(error, rel=0.15)
    soc = state_of_charge(fit.coefficients, fit.covariance)[0].reshape(3, -1).mean(axis=1)
    assert soc == pytest.approx(0.5, abs=0.02)
    fixed = FITTERS["poisson"].load()(seen, np.full(energy_ev.size, counts), design)
    off = state_of_charge(fixed.coefficients, fixed.covariance)[0].reshape(3, -1).mean(axis=1)
    assert np.abs(off[[0, 2]] - 0.5).min() > 0.02
    with pytest.raises(InputError, match="how the end-members change with energy"):
        FITTERS["poisson_shift"].load()(seen, np.full(energy_ev.size, counts), design)
