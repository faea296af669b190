"""Frames that cannot be used are told from those that can, before their pixels are summed; faulty pixels are masked."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames.judged import (
    checked_detector,
    frames_by_class,
    judge_images,
    judged_frames,
    refuse_unless_some_valid,
)
from stxmdist.readers.frames.windowing import summed

N = 32
SATURATED_FRACTION = 0.01
LOST_FRACTION = 0.25


def frames(count: int = 6) -> np.ndarray:
    """(FRAME, QY, QX) uint16 counts of a smooth spot."""
    y, x = np.mgrid[:N, :N] - N // 2
    spot = 200.0 * np.exp(-(y**2 + x**2) / 60.0) + 2.0
    return np.random.default_rng(8).poisson(spot, (count, N, N)).astype(np.uint16)


def recording(counts: np.ndarray, good: np.ndarray | None = None) -> PtychographyRecording:
    """One energy."""
    return PtychographyRecording(
        source=Path("made.cxi"),
        format="made",
        energy_ev=np.array([700.0]),
        positions_um=np.zeros((1, len(counts), 2)),
        frame_shape=(N, N),
        frame_dtype=counts.dtype,
        good=np.ones((N, N), bool) if good is None else good,
        distance_m=0.1,
        detector_pixel_um=(50.0, 50.0),
        orientation="+y+x",
        dwell_ms=1.0,
        illumination=None,
        read=lambda energy, positions: counts[positions],
        files=(),
    )


def test_images_that_cannot_be_used_become_unknown_and_keep_the_class_of_their_file() -> None:
    images = frames().astype(np.float32)
    images[1] = 0.0
    images[2, :20] = 65535.0
    before = images.copy()
    of_file = np.zeros(6, np.uint8)
    of_file[3] = MaskClass.missing
    classes = judge_images(images, of_file, SATURATED_FRACTION)
    missing, saturated = MaskClass.missing, MaskClass.saturated
    assert classes.tolist() == [0, missing, saturated, missing, 0, 0]
    assert of_file.tolist() == [0, 0, 0, missing, 0, 0]
    assert np.isnan(images[1:4]).all()
    np.testing.assert_array_equal(images[[0, 4, 5]], before[[0, 4, 5]])


@pytest.mark.parametrize("bin_px", [1, 2])
def test_diffraction_frames_are_judged_by_the_pixels_of_the_file(bin_px: int) -> None:
    counts = frames()
    counts[2, 10:14, 10:14] = 65535
    counts[3, :20] = 65535
    good = np.ones((N, N), bool)
    good[0, 0] = False
    good_of_sums = summed((~good).astype(np.uint8), bin_px) == 0
    found = judged_frames(counts, good, good_of_sums, bin_px, LOST_FRACTION, 65535)
    assert found.classes.tolist() == [0, 0, 0, MaskClass.saturated, 0, 0]
    whole = summed(counts, bin_px)
    clipped = summed((counts == 65535).astype(np.uint8), bin_px) > 0
    np.testing.assert_array_equal(found.frames[~clipped], whole[~clipped])
    # One saturated pixel of a sum says nothing of the sum; alone it says how much there was at least.
    assert (found.frames[clipped] == (65535 if bin_px == 1 else 2**32 - 1)).all()
    np.testing.assert_array_equal(found.counts, whole[:, good_of_sums].sum(axis=1, dtype=np.float64))
    assert (found.unread, found.clipped) == (0, 16 + 20 * N - 1)


def test_a_frame_without_some_numbers_is_kept_and_one_with_hardly_any_is_not() -> None:
    counts = frames().astype(np.float32)
    counts[1, 5, 5] = np.nan
    counts[3, 0, 0] = np.inf
    counts[4, :12] = np.nan
    good = np.ones((N, N), bool)
    good[0, 0] = False
    found = judged_frames(counts, good, good, 1, LOST_FRACTION)
    assert found.classes.tolist() == [0, 0, 0, 0, MaskClass.missing, 0]
    read = np.where(np.isfinite(counts), counts, 0)[:, good]
    np.testing.assert_allclose(found.counts, read.sum(axis=1, dtype=np.float64))
    assert found.unread == 1 + 12 * N - 1
    assert np.isnan(found.frames[1, 5, 5])
    whole = np.where(np.isfinite(counts), counts, 0).astype(np.uint32)
    whole[1, 5, 5] = 2**32 - 1
    assert judged_frames(whole[:2], good, good, 1, LOST_FRACTION).frames[1, 5, 5] == 2**32 - 1
    # Signed numbers are kept as floating ones.
    signed = np.where(whole[:2] == 2**32 - 1, 2**31 - 1, whole[:2]).astype(np.int32)
    assert np.isnan(judged_frames(signed, good, good, 1, LOST_FRACTION).frames[1, 5, 5])


def test_faulty_pixels_are_masked_where_that_is_asked_for() -> None:
    counts = frames(12)
    counts[:, 3, 5] += 5000
    of_file = recording(counts)
    checked = checked_detector(of_file, mask_faults=True, lost_fraction=LOST_FRACTION)
    assert np.argwhere(~checked.recording.good).tolist() == [[3, 5]]
    assert checked.faults is not None
    assert checked.faults.words == "1 hot"
    as_it_is = checked_detector(of_file, mask_faults=False, lost_fraction=LOST_FRACTION)
    assert as_it_is.recording is of_file
    assert as_it_is.faults is None
    assert as_it_is.notes == ()


def test_the_shadow_of_a_beamstop_is_noted() -> None:
    y, x = np.mgrid[:N, :N] - N // 2
    radius = np.hypot(y, x)
    counts = np.random.default_rng(3).poisson(200.0 * ((radius >= 4) & (radius < 11)), (12, N, N)).astype(np.uint16)
    (note,) = checked_detector(recording(counts), mask_faults=True, lost_fraction=LOST_FRACTION).notes
    assert "no light within 4 pixels" in note


def test_a_scan_without_a_frame_is_refused_with_what_is_wrong_with_them() -> None:
    classes = np.array([MaskClass.missing] * 3 + [MaskClass.saturated], np.uint8)
    assert frames_by_class(classes) == {MaskClass.missing: 3, MaskClass.saturated: 1}
    with pytest.raises(InputError, match="3 frames missing, 1 frames saturated"):
        refuse_unless_some_valid(classes, "scan.hdr")
    with pytest.raises(InputError, match="no frames"):
        refuse_unless_some_valid(classes[:0], "scan.hdr")
    refuse_unless_some_valid(np.append(classes, np.uint8(0)), "scan.hdr")
