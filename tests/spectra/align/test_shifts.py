"""Planted drift is found again: few photons, flipping contrast, bad frames."""

import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from stxmdist.spectra.align.shifts import AlignOptions, estimate_shifts

ACCURACY_PX = 0.1
SECONDS_24_FRAMES = 1.5


def _od(counts: np.ndarray, i0: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(counts > 0, -np.log(counts / i0), np.nan).astype(np.float32)


def _error(shifts, planted, chosen=slice(None)) -> np.ndarray:
    error = shifts.shift_px + planted.drift_px
    error -= np.median(error, axis=0)
    return np.hypot(*error[chosen].T)


@pytest.mark.long
@pytest.mark.parametrize("two_phase", [True, False])
def test_accuracy_at_200_photons_through_an_edge(plant, l3_energies, two_phase, capsys) -> None:
    errors, seconds = [], []
    for seed in range(3):
        planted = plant(np.random.default_rng(seed), l3_energies, shape=(101, 113), two_phase=two_phase)
        start = time.perf_counter()
        with threadpool_limits(1):  # as units run
            shifts = estimate_shifts(_od(planted.counts, 200.0))
        seconds.append(time.perf_counter() - start)
        assert not shifts.flagged.any()
        assert not shifts.shift_px[shifts.reference].any()
        errors.append(_error(shifts, planted))
    median = np.median(np.concatenate(errors))
    with capsys.disabled():
        print(f"\n  two phases {two_phase}: median alignment error {median:.3f} px, {min(seconds):.2f} s for 24 frames")
    assert median < ACCURACY_PX
    assert min(seconds) < SECONDS_24_FRAMES


def _spoil(counts: np.ndarray, rng: np.random.Generator, i0: float) -> dict[str, int]:
    """Spoil four frames in place, each in its way; which."""
    bad = dict(
        zip(("blank", "beam dump", "jump", "glitched lines"), rng.permutation(np.arange(1, 40, 5))[:4], strict=True)
    )
    counts[bad["blank"]] = rng.poisson(i0, counts.shape[1:])
    counts[bad["beam dump"], 34:] = 0.0
    counts[bad["jump"], 50:] = np.roll(counts[bad["jump"]], (5, -7), (0, 1))[50:]
    for row in (17, 43, 61):
        counts[bad["glitched lines"], row] = rng.poisson(i0 * rng.choice([0.2, 3.0]), counts.shape[2])
    return {name: int(k) for name, k in bad.items()}


@pytest.mark.long
@pytest.mark.parametrize(
    ("seed", "two_phase"),
    [
        (0, True),
        *(pytest.param(seed, two, marks=pytest.mark.slow) for seed in range(1, 5) for two in (True, False)),
    ],
)
def test_ten_percent_of_bad_frames_through_an_edge(plant, seed, two_phase, capsys) -> None:
    rng = np.random.default_rng(seed)
    energy_ev = np.concatenate([[700.0, 703.0], np.linspace(705.0, 714.0, 33), [716.0, 718.0, 721.0, 723.0, 726.0]])
    planted = plant(rng, energy_ev, shape=(101, 113), two_phase=two_phase)
    bad = _spoil(planted.counts, rng, 200.0)
    shifts = estimate_shifts(_od(planted.counts, 200.0))
    error = _error(shifts, planted, ~shifts.flagged)
    rms = float(np.sqrt((error**2).mean()))
    with capsys.disabled():
        print(f"\n  alignment, 200 photons, bad frames {bad}: {rms:.3f} px rms, worst frame {error.max():.3f} px")
    assert np.flatnonzero(shifts.flagged).tolist() == sorted(bad.values())
    assert rms < ACCURACY_PX


def test_bad_frames_are_named_and_interpolated(plant, l3_energies) -> None:
    rng = np.random.default_rng(4)
    planted = plant(rng, l3_energies, shape=(101, 113))
    od = _od(planted.counts, 200.0)
    od[3] = rng.normal(0.0, 0.3, od[3].shape)
    od[11] = 0.0
    od[17] = np.nan
    od[20] = np.roll(od[20], 45, axis=1)
    shifts = estimate_shifts(od)
    assert np.flatnonzero(shifts.flagged).tolist() == [3, 11, 17, 20]
    assert np.median(_error(shifts, planted, ~shifts.flagged)) < ACCURACY_PX
    for k in (3, 11, 17, 20):
        between = 0.5 * (shifts.shift_px[k - 1] + shifts.shift_px[k + 1])
        np.testing.assert_allclose(shifts.shift_px[k], between, atol=1e-9)


def test_frames_not_used_do_not_matter(plant, l3_energies) -> None:
    planted = plant(np.random.default_rng(5), l3_energies, shape=(71, 73))
    od = _od(planted.counts, 200.0)
    used = np.arange(24) % 5 != 2
    spoiled = od.copy()
    spoiled[~used] = 3.0
    first, second = estimate_shifts(od, used), estimate_shifts(spoiled, used.astype(np.uint8))
    np.testing.assert_array_equal(first.shift_px, second.shift_px)
    assert not first.flagged.any()
    assert np.isnan(first.quality[~used]).all()


def test_aborted_scans_and_dark_pixels_are_bridged(plant, l3_energies) -> None:
    planted = plant(np.random.default_rng(6), l3_energies, shape=(101, 113))
    od = _od(planted.counts, 200.0)
    od[np.random.default_rng(7).random(od.shape) < 0.02] = np.nan
    od[-1, 80:] = np.nan
    shifts = estimate_shifts(od)
    assert np.median(_error(shifts, planted)) < 1.5 * ACCURACY_PX


def test_frames_that_were_measured_in_part_are_registered_by_that_part(plant, l3_energies) -> None:
    """An aborted half frame, half of the columns, lines in the middle, and a column that is dead at all energies."""
    planted = plant(np.random.default_rng(0), l3_energies, shape=(81, 87))
    od = _od(planted.counts, 200.0)
    od[10, 40:] = np.nan
    od[15, :, 45:] = np.nan
    od[19, 20:36] = np.nan
    od[:, :, 30] = np.nan
    shifts = estimate_shifts(od)
    assert not shifts.flagged.any()
    error = _error(shifts, planted)
    assert np.median(error) < ACCURACY_PX
    # Half of the particles say half as much, and a seam stands beside them.
    assert error[[10, 15, 19]].max() < 5.0 * ACCURACY_PX


def test_drift_beyond_the_cap_is_not_believed(plant, l3_energies) -> None:
    planted = plant(np.random.default_rng(8), l3_energies[4:12], shape=(101, 113), counts=2000.0, drift_px=0.0)
    od = _od(planted.counts, 2000.0)
    od[6:] = np.roll(od[6:], 9, axis=1)
    assert not estimate_shifts(od, options=AlignOptions(max_shift_px=12.0)).flagged.any()
    capped = estimate_shifts(od, options=AlignOptions(max_shift_px=5.0))
    assert capped.flagged.sum() == 2
    assert np.abs(capped.shift_px).max() < 5.0


@pytest.mark.parametrize("n", [1, 2])
def test_hardly_a_stack(plant, l3_energies, n) -> None:
    planted = plant(np.random.default_rng(9), l3_energies[8 : 8 + n], shape=(61, 67), counts=1000.0)
    shifts = estimate_shifts(_od(planted.counts, 1000.0))
    assert _error(shifts, planted).max() < ACCURACY_PX
    assert shifts.quality.shape == (n,)


def test_nothing_to_register() -> None:
    shifts = estimate_shifts(np.full((3, 16, 16), np.nan, np.float32))
    assert shifts.flagged.all()
    assert not shifts.shift_px.any()
