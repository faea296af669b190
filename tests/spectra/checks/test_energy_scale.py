"""What is not known of the energy scale reaches the state of charge whole, also where two shifts are possible."""

import numpy as np
import pytest

from stxmdist.spectra.checks.systematics import soc_over_shifts, soc_sensitivity
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.energy_shift import energy_shift
from stxmdist.spectra.end_members.excess import believed_excess
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, state_of_charge

ENERGY = np.array([703.0, 705.0, 706.6, 708.2, 710.2, 713.0])
COUNTS = np.full(6, 1e5)
AMOUNTS = np.array([[70.0, 20.0, 110.0], [50.0, 90.0, 0.0]])
MEDIAN_SHARE = 0.15
"""The median of what is believed lies this near to what was planted"""
PULLS = 1.25
"""Root mean square of errors over their claims, of as few draws"""


def test_another_shift_gives_the_state_of_charge_that_was_there(lfp: EndMembers) -> None:
    truth = 0.15
    transmission = np.exp(-lfp.at(ENERGY, truth).T @ AMOUNTS)
    fit = FITTERS["poisson"].load()(
        transmission.astype(np.float32), COUNTS, design_matrix(lfp, ENERGY), FitOptions(bias_removed=False)
    )
    found = fit.coefficients[:2].astype(float)
    socs = soc_over_shifts(found, lfp, ENERGY, COUNTS, shift_ev=0.0, shifts_ev=np.array([0.0, truth]))
    np.testing.assert_allclose(socs[:, 0], state_of_charge(found, fit.covariance)[0], atol=1e-5)
    # The fit is not linear in optical density where it is wrong, so that this is near and not exact.
    np.testing.assert_allclose(socs[:, 1], AMOUNTS[1] / AMOUNTS.sum(axis=0), atol=0.02)


def test_small_shifts_agree_with_the_first_order(lfp: EndMembers) -> None:
    step = 0.005
    socs = soc_over_shifts(AMOUNTS, lfp, ENERGY, COUNTS, shift_ev=0.1, shifts_ev=np.array([0.1 - step, 0.1 + step]))
    slope = (socs[:, 1] - socs[:, 0]) / (2.0 * step)
    first = soc_sensitivity(AMOUNTS, lfp, ENERGY, COUNTS, shift_ev=0.1).energy_per_ev
    # The one says what the state of charge is if the shift is higher, the other how it errs if it is assumed so.
    np.testing.assert_allclose(np.abs(slope), np.abs(first), rtol=0.1, atol=0.01)


def test_six_energies_know_what_they_do_not_know(lfp: EndMembers, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(11)
    pulls, spread = [], []
    for _ in range(60):
        shift = float(np.clip(rng.normal(0.0, 0.2), -0.5, 0.5))
        amounts = rng.uniform(20.0, 100.0, 2)
        od = lfp.at(ENERGY, shift).T @ amounts
        noise = 0.01
        found = energy_shift(
            od + rng.normal(0.0, noise, 6), np.full(6, noise**2), ENERGY, lfp,
            largest_energy_shift_ev=0.6, energy_shift_sd_ev=0.2,
        )  # fmt: skip
        pulls.append((found.shift_ev - shift) / found.se_ev)
        spread.append(float(found.nodes_ev.std()) / found.se_ev)
        assert found.nodes_ev.mean() == pytest.approx(found.shift_ev, abs=1e-9)
    rms = float(np.sqrt(np.mean(np.square(pulls))))
    inside = float((np.abs(pulls) < 1.96).mean())
    with capsys.disabled():
        print(f"\n  energy shift from six energies: pulls {rms:.2f} rms, {inside:.2f} within two standard errors")
    assert rms < PULLS
    np.testing.assert_allclose(spread, 1.0, rtol=1e-6)


def test_few_high_chi_squares_among_noise_are_not_believed_and_common_ones_are() -> None:
    rng = np.random.default_rng(5)
    freedom, noise = np.full(200, 4.0), np.full(200, 1e-4)
    assert believed_excess(rng.chisquare(4, 200), freedom, noise).max() == 0.0
    # Four times the variance: three of it are no noise.
    common = believed_excess(4.0 * rng.chisquare(4, 200), freedom, noise)
    np.testing.assert_allclose(common.mean(), 3e-4, rtol=MEDIAN_SHARE)
    assert believed_excess(np.full(1, 400.0), np.full(1, 4.0), np.ones(1))[0] == pytest.approx(99.0, rel=MEDIAN_SHARE)
    assert (believed_excess(np.zeros(3), np.full(3, 4.0), np.ones(3)) == 0.0).all()
