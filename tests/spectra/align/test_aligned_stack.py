"""A stack is moved back frame by frame; what resampling does to its noise is told in effective counts."""

import numpy as np
import pytest

from stxmdist.arrays import MaskClass
from stxmdist.spectra.align.aligned_stack import (
    correlation_after_px2,
    effective_counts,
    resample_phase,
    resample_stack,
    unmoved,
    whole_energies,
)
from stxmdist.spectra.align.resample import resample

SHAPE = (24, 30)
SHIFT_PX = np.array([[0.0, 0.0], [2.0, -3.0], [0.5, 0.25], [1.0, 0.0]])
MEASURED = np.array([True, True, True, False])


def frames() -> list[np.ndarray]:
    return list(np.random.default_rng(1).random((4, *SHAPE)).astype(np.float32))


def test_measured_frames_are_moved_and_the_others_are_unknown() -> None:
    into: dict[int, np.ndarray] = {}
    coverage = resample_stack(frames(), SHIFT_PX, MEASURED, into, SHAPE)
    for energy in range(3):
        np.testing.assert_array_equal(into[energy], resample(frames()[energy], SHIFT_PX[energy]))
    assert np.isnan(into[3]).all()
    # What left the field by two rows and three columns, or came from the half pixel outside it, is not known.
    expected = np.zeros(SHAPE, bool)
    expected[2:, :-3] = True
    assert not coverage.inside[~expected].any()
    assert coverage.inside[3:, 1:-4].all()
    assert coverage.all_known
    np.testing.assert_array_equal(coverage.classes == MaskClass.valid, coverage.inside)


def test_a_pixel_that_was_not_measured_at_one_energy_is_unknown_at_that_one_alone() -> None:
    stack, whole = frames(), dict[int, np.ndarray]()
    resample_stack(stack, SHIFT_PX, MEASURED, whole, SHAPE)
    stack[1][15:] = np.nan  # a half frame
    stack[2][8, 9] = np.nan  # a spike
    for frame in stack:
        frame[:, 20] = np.nan  # a dead column
    into: dict[int, np.ndarray] = {}
    coverage = resample_stack(stack, SHIFT_PX, MEASURED, into, SHAPE)
    # What drift costs is the same as without: nothing but the field's border is outside.
    expected = np.zeros(SHAPE, bool)
    expected[2:, :-3] = True
    assert not (coverage.inside & ~expected).any()
    for energy in range(3):
        known = np.isfinite(into[energy])
        # A spline spreads what is unknown to its neighbours' values, not further than some pixels.
        np.testing.assert_array_equal(into[0][np.isfinite(into[0])], whole[0][np.isfinite(into[0])])
        assert 0.0 < known.mean() < 1.0
    assert np.isnan(into[1][17:]).all()
    assert np.isfinite(into[1][4:15, 2:15]).all()
    assert coverage.classes[10, 5] == MaskClass.valid
    share = coverage.known_share
    assert share[1] < share[2] < share[0] < 1.0
    assert share[3] == 0.0
    np.testing.assert_array_equal(whole_energies(MEASURED, share), [True, False, True, False])
    np.testing.assert_array_equal(whole_energies(MEASURED, None), MEASURED)


def test_a_pixel_without_any_number_is_missing_and_one_that_drifted_away_outside() -> None:
    stack = frames()
    for frame in stack:
        frame[10:14, 10:14] = np.nan
    coverage = resample_stack(stack, SHIFT_PX * 0.0, MEASURED, {}, SHAPE)
    assert (coverage.classes[10:14, 10:14] == MaskClass.missing).all()
    assert (coverage.classes == MaskClass.missing).sum() == 16
    assert coverage.inside.all()
    # Where the beam of a reconstruction did not go, there is no field.
    coverage = resample_stack(stack, SHIFT_PX * 0.0, MEASURED, {}, SHAPE, unknown_is_outside=True)
    assert (coverage.classes[10:14, 10:14] == MaskClass.outside).all()
    assert coverage.all_known


def test_a_stack_that_is_not_moved_stays_as_it_is() -> None:
    into: dict[int, np.ndarray] = {}
    shifts = unmoved(4)
    assert np.isnan(shifts.quality).all()
    assert not shifts.flagged.any()
    assert resample_stack(frames(), shifts.shift_px, np.ones(4, bool), into, SHAPE).inside.all()
    np.testing.assert_array_equal(np.stack([into[k] for k in range(4)]), np.stack(frames()))


def test_a_phase_is_moved_across_its_wrap() -> None:
    y, x = np.mgrid[:40, :50]
    ramp = 0.2 * y + 0.3 * x
    wrapped = np.angle(np.exp(1j * ramp)).astype(np.float32)
    moved = resample_phase(wrapped, np.array([1.5, -0.5]))
    inside = (slice(6, -6), slice(6, -6))
    expected = np.exp(1j * (0.2 * (y - 1.5) + 0.3 * (x + 0.5)))
    assert np.abs(np.angle(np.exp(1j * moved) / expected))[inside].max() < 0.01
    assert moved.dtype == np.float32


def test_effective_counts_give_the_noise_that_a_resampled_frame_has() -> None:
    rng = np.random.default_rng(2)
    i0 = np.array([400.0, 500.0, 600.0, 700.0])
    effective = effective_counts(i0, np.array([1.0, 2.0, 1.0, 1.0]), SHIFT_PX, MEASURED)
    assert effective[:2] == pytest.approx([400.0, 250.0])
    assert np.isnan(effective[3])
    noise = rng.normal(1.0, 1.0 / np.sqrt(600.0), (200, 300)).astype(np.float32)
    moved = resample(noise, SHIFT_PX[2])[3:-3, 3:-3]
    assert 1.0 / moved.var() == pytest.approx(effective[2], rel=0.03)


def test_what_the_variance_gains_is_lost_in_correlation() -> None:
    ones = np.ones(4)
    inverse = float(np.mean(effective_counts(ones, ones, SHIFT_PX, MEASURED)[MEASURED]))
    assert correlation_after_px2(1.0, SHIFT_PX, MEASURED) == pytest.approx(inverse)
    assert correlation_after_px2(3.0, SHIFT_PX, MEASURED) == pytest.approx(3.0 * inverse)
    assert correlation_after_px2(3.0, SHIFT_PX[:2], MEASURED[:2]) == pytest.approx(3.0)
