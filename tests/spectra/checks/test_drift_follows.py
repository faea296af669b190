"""Drifts that follow the absorption spectrum are told from drifts of stages."""

import numpy as np
import pytest

from stxmdist.spectra.checks.drift_follows import LARGEST_P, LEAST_ENERGIES, LEAST_SPREAD_PX, drift_follows

N = 24


def spectrum() -> np.ndarray:
    energy = np.linspace(700.0, 730.0, N)
    return 0.3 + 0.7 * np.exp(-(((energy - 708.5) / 1.8) ** 2)) + 0.3 * np.exp(-(((energy - 721.5) / 2.0) ** 2))


def test_a_shift_that_is_pulled_by_contrast_is_found_in_either_direction() -> None:
    rng = np.random.default_rng(1)
    for sign in (1.0, -1.0):
        shift = rng.normal(0.0, 0.05, (N, 2))
        shift[:, 1] += sign * 0.8 * spectrum() + np.linspace(0.0, 3.0, N)
        found = drift_follows(shift, spectrum())
        assert found.suspicious
        assert np.sign(found.correlation) == sign


def test_a_stage_that_drifts_steadily_is_not_suspected() -> None:
    # However far: what is linear in time says nothing of contrast.
    shift = np.stack([np.linspace(0.0, 40.0, N), np.linspace(5.0, -7.0, N)], axis=1)
    shift += np.random.default_rng(2).normal(0.0, 0.3, shift.shape)
    assert not drift_follows(shift, spectrum()).suspicious


def test_random_walks_are_hardly_ever_suspected() -> None:
    rng = np.random.default_rng(3)
    walks = np.cumsum(rng.normal(0.0, 0.3, (400, N, 2)), axis=1)
    suspected = sum(drift_follows(walk, spectrum()).suspicious for walk in walks)
    # Walks are smooth, and so resemble spectra more often than the p-value of independent shifts says.
    assert suspected / len(walks) < 5 * LARGEST_P


def test_small_shifts_move_nothing() -> None:
    shift = np.stack([0.5 * LEAST_SPREAD_PX * spectrum()] * 2, axis=1)
    assert drift_follows(shift, spectrum()).correlation == pytest.approx(1.0)
    assert not drift_follows(shift, spectrum()).suspicious


@pytest.mark.parametrize("shift", [np.full((N, 2), np.nan), np.zeros((N, 2))])
def test_what_is_not_known_or_does_not_move_is_not_suspected(shift: np.ndarray) -> None:
    assert not drift_follows(shift, spectrum()).suspicious


def test_few_energies_are_not_judged() -> None:
    n = LEAST_ENERGIES - 1
    shift = np.stack([spectrum()[:n]] * 2, axis=1)
    assert np.isnan(drift_follows(shift, spectrum()[:n]).correlation)
