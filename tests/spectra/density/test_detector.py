"""Faults of detector and ring are undone in counts, and the variance is that of repeated counting."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.density.detector import DetectorOptions, line_levels, ring_factor, spikes, without_dead_time

DEAD_US, DWELL_MS, REPEATS = 1.0, 0.4, 4000
MEAN = 0.01  # a second-order bias of the inverse, x / (dwell / dead time), is smaller
VARIANCE = 0.08  # 4000 repeats know a variance to 2.2 %


def _counted(rng: np.random.Generator, photons: float, model: str) -> np.ndarray:
    """Photon by photon: how many a detector counts of a beam that lasts for a dwell time."""
    counted = np.empty(REPEATS)
    for repeat in range(REPEATS):
        # The detector has been in the beam for a while when the pixel begins.
        before = 20.0 * DEAD_US
        arrival = np.sort(rng.uniform(-before, DWELL_MS * 1e3, rng.poisson(photons * (1.0 + before / DWELL_MS / 1e3))))
        if model == "paralysable":
            seen = arrival[np.diff(arrival, prepend=-np.inf) > DEAD_US]
        else:
            free_from, kept = -np.inf, []
            for time in arrival:
                if time >= free_from:
                    kept.append(time)
                    free_from = time + DEAD_US
            seen = np.array(kept)
        counted[repeat] = (seen >= 0.0).sum()
    return counted


@pytest.mark.parametrize("model", ["nonparalysable", "paralysable"])
def test_dead_time_is_undone_with_its_variance(model: str) -> None:
    photons = 120.0
    counted = _counted(np.random.default_rng(1), photons, model)
    assert counted.mean() < 0.8 * photons
    found, variance = without_dead_time(counted.astype(np.float32), DWELL_MS, DEAD_US, model)
    assert found.mean() == pytest.approx(photons, rel=MEAN)
    assert variance.mean() == pytest.approx(found.var(), rel=VARIANCE)


def test_no_more_can_be_counted_than_the_dead_time_allows() -> None:
    counted = np.array([0.0, 10.0, 399.0, 500.0], np.float32)
    found, variance = without_dead_time(counted, DWELL_MS, DEAD_US)
    np.testing.assert_array_equal(np.isfinite(found), [True, True, True, False])
    np.testing.assert_array_equal(np.isfinite(variance), np.isfinite(found))
    assert np.isnan(without_dead_time(counted, DWELL_MS, DEAD_US, "paralysable")[0][2:]).all()
    np.testing.assert_array_equal(without_dead_time(counted, DWELL_MS, 0.0)[0], counted)
    with pytest.raises(InputError, match="dwell time"):
        without_dead_time(counted, float("nan"), DEAD_US)


def test_ring_current_is_relative_and_may_be_unknown() -> None:
    np.testing.assert_allclose(ring_factor(np.array([490.0, 500.0, np.nan, 510.0])), [0.98, 1.0, 1.0, 1.02])
    assert (ring_factor(np.full(3, np.nan)) == 1.0).all()


@pytest.mark.parametrize("gain", [0.1, 1.0, 12.0])
def test_spikes_are_found_and_gaps_between_particles_are_not(gain: float) -> None:
    rng = np.random.default_rng(3)
    mean = np.full((3, 61, 67), 200.0)
    mean[:, 20:40, 20:40] = 40.0
    mean[:, 30, 30] = 200.0  # a gap of one pixel, in every frame
    frames = (gain * rng.poisson(mean)).astype(np.float32)
    planted = [(0, 0), (5, 50), (33, 25)]
    for place in planted:
        frames[(1, *place)] += gain * 400.0
    frames[0, 10, 10] = np.nan
    found = spikes(frames[1], [frames[0], frames[2]])
    assert sorted(zip(*map(list, np.nonzero(found)), strict=True)) == planted
    assert not spikes(frames[0], [frames[1]]).any()


def test_lines_that_jump_are_found_and_scaled() -> None:
    rng = np.random.default_rng(4)
    free = np.ones((53, 59), bool)
    free[10:20, 5:] = False
    level = np.ones(53)
    level[[7, 30, 31]] = (1.3, 0.6, 0.05)
    counts = rng.poisson(200.0 * level[:, None] * np.linspace(0.99, 1.01, 53)[:, None] * np.ones(59)).astype(np.float32)
    found = line_levels(counts, free)
    assert np.isnan(found[31])
    np.testing.assert_allclose(found[[7, 30]], [1.3, 0.6], atol=0.03)
    assert (np.delete(found, [7, 30, 31]) == 1.0).all()
    assert (line_levels(counts, np.zeros_like(free)) == 1.0).all()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="dark_counts"):
        DetectorOptions(dark_counts=-1.0)
    with pytest.raises(InputError, match="noise would be taken"):
        DetectorOptions(spike_sigma=1.0)
