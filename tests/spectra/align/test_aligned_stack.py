"""A stack is moved back frame by frame; what resampling does to its noise is told in effective counts."""

import numpy as np
import pytest

from stxmdist.spectra.align.aligned_stack import (
    correlation_after_px2,
    effective_counts,
    resample_phase,
    resample_stack,
    unmoved,
)
from stxmdist.spectra.align.resample import resample

SHAPE = (24, 30)
SHIFT_PX = np.array([[0.0, 0.0], [2.0, -3.0], [0.5, 0.25], [1.0, 0.0]])
MEASURED = np.array([True, True, True, False])


def frames() -> list[np.ndarray]:
    return list(np.random.default_rng(1).random((4, *SHAPE)).astype(np.float32))


def test_measured_frames_are_moved_and_the_others_are_unknown() -> None:
    into: dict[int, np.ndarray] = {}
    known = resample_stack(frames(), SHIFT_PX, MEASURED, into, SHAPE)
    for energy in range(3):
        np.testing.assert_array_equal(into[energy], resample(frames()[energy], SHIFT_PX[energy]))
    assert np.isnan(into[3]).all()
    # What left the field by two rows and three columns, or came from the half pixel outside it, is not known.
    expected = np.zeros(SHAPE, bool)
    expected[2:, :-3] = True
    assert not known[~expected].any()
    assert known[3:, 1:-4].all()


def test_a_stack_that_is_not_moved_stays_as_it_is() -> None:
    into: dict[int, np.ndarray] = {}
    shifts = unmoved(4)
    assert np.isnan(shifts.quality).all()
    assert not shifts.flagged.any()
    assert resample_stack(frames(), shifts.shift_px, np.ones(4, bool), into, SHAPE).all()
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
