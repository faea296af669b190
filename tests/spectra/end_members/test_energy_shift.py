"""The energy scale's error is found from the mean spectrum, with an error bar that covers."""

import numpy as np
import pytest

from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.energy_shift import energy_shift
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, state_of_charge

ACCURACY_EV = 0.01
SOC_BIAS = 0.01
COUNTS = 100.0

GRIDS = {
    "dense": np.linspace(700.0, 735.0, 35),
    "24": np.concatenate([[700.0, 703.0], np.linspace(705.0, 714.0, 19), [716.0, 721.0, 726.0]]),
    "6": np.array([703.0, 705.0, 706.6, 708.2, 710.2, 713.0]),
    "5": np.array([703.0, 706.6, 708.2, 710.2, 713.0]),
}


def _mean_spectrum(
    rng: np.random.Generator, lfp: EndMembers, energy: np.ndarray, shift: float, n: int = 10_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    truth = rng.uniform(20.0, 120.0, (2, n))
    seen = rng.poisson(COUNTS * np.exp(-lfp.at(energy, shift).T @ truth))
    od = np.log(COUNTS) - np.log(np.maximum(seen, 0.5)) - 0.5 / np.maximum(seen, 0.5)
    return od.mean(axis=1), (1.0 / np.maximum(seen, 0.5)).mean(axis=1) / n, seen / COUNTS, truth


@pytest.mark.parametrize("grid", list(GRIDS))
@pytest.mark.parametrize("shift", [0.0, 0.2, -0.37])
def test_planted_shift_returns(lfp: EndMembers, grid: str, shift: float, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    found = [energy_shift(*_mean_spectrum(rng, lfp, GRIDS[grid], shift)[:2], GRIDS[grid], lfp) for _ in range(8)]
    errors = np.array([one.shift_ev - shift for one in found])
    with capsys.disabled():
        print(f"\n  {grid} energies, {shift:+.2f} eV: found within {1e3 * np.abs(errors).max():.1f} meV of it, 8 times")
    # Five energies leave one degree of freedom: they are allowed their own error bar.
    limit = ACCURACY_EV if grid in ("dense", "24") else 3.0 * np.median([one.se_ev for one in found])
    assert np.abs(errors).max() < max(limit, ACCURACY_EV)
    assert np.median([one.se_ev for one in found]) < 0.03
    assert all(one.determined and not one.at_bound for one in found)


def test_soc_is_unbiased_after_correction(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    energy = GRIDS["dense"]
    mean, variance, transmission, truth = _mean_spectrum(rng, lfp, energy, 0.2)
    soc = truth[1] / truth.sum(axis=0)
    bias = {}
    for name, shift in (("ignored", 0.0), ("corrected", energy_shift(mean, variance, energy, lfp).shift_ev)):
        design = design_matrix(lfp, energy, shift)
        fit = FITTERS["poisson"].load()(transmission.astype(np.float32), np.full(energy.size, COUNTS), design)
        bias[name] = float(np.mean(state_of_charge(fit.coefficients, fit.covariance)[0] - soc))
    with capsys.disabled():
        print(f"\n  soc bias of .2 eV: {bias['ignored']:+.4f} ignored, {bias['corrected']:+.4f} corrected")
    assert abs(bias["corrected"]) < SOC_BIAS
    assert abs(bias["ignored"]) > 5.0 * SOC_BIAS


@pytest.mark.long
def test_error_bars_cover_and_grow_with_misfit(lfp: EndMembers) -> None:
    energy = GRIDS["24"]
    rng = np.random.default_rng(3)
    clean = lfp.at(energy, 0.1).T @ np.array([70.0, 50.0])
    variance = np.full(energy.size, 0.01**2)
    pulls = []
    for _ in range(200):
        one = energy_shift(clean + rng.normal(0.0, 0.01, energy.size), variance, energy, lfp)
        pulls.append((one.shift_ev - 0.1) / one.se_ev)
    assert 0.75 < np.std(pulls) < 1.1  # inflation by sqrt(max(1, chi2)) makes bars a little long
    tight = energy_shift(clean + rng.normal(0.0, 0.03, energy.size), variance, energy, lfp)
    assert tight.chi2_reduced > 4.0
    assert tight.se_ev > 2.0 * one.se_ev


def test_too_few_energies_leave_the_prior(lfp: EndMembers) -> None:
    energy = np.array([708.2, 710.2])
    result = energy_shift(np.array([0.5, 0.5]), np.full(2, 1e-4), energy, lfp, energy_shift_sd_ev=0.25)
    assert (result.shift_ev, result.se_ev, result.determined) == (0.0, 0.25, False)
    assert "2 energies" in result.why
    nothing = energy_shift(np.full(24, np.nan), np.full(24, np.nan), GRIDS["24"], lfp)
    assert not nothing.determined


def test_energies_not_used_or_outside_the_references_are_left_out(lfp: EndMembers) -> None:
    energy = np.concatenate([[600.0], GRIDS["24"]])
    od = np.concatenate([[9.0], lfp.at(GRIDS["24"], 0.3).T @ np.array([70.0, 50.0])])
    od[5] = 7.0
    used = np.ones(25, np.uint8)
    used[5] = 0
    result = energy_shift(od, np.full(25, 1e-4), energy, lfp, used)
    assert result.shift_ev == pytest.approx(0.3, abs=2e-3)


def test_a_shift_at_the_bound_is_flagged(lfp: EndMembers) -> None:
    od = lfp.at(GRIDS["24"], 1.4).T @ np.array([70.0, 50.0])
    result = energy_shift(od, np.full(24, 1e-6), GRIDS["24"], lfp, largest_energy_shift_ev=0.6)
    assert result.at_bound
    assert "bound" in result.why
