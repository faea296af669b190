"""Hot, saturated and dead detector pixels are found, and nothing else is; masks of the wrong polarity are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames.frame_class import frame_classes
from stxmdist.readers.frames.pixels import faults_masked, pixel_faults, refuse_inverted, sampled_frames


@pytest.fixture
def frames() -> np.ndarray:
    """(FRAME, QY, QX) speckle on a bright disc, as sharp as a band-limited pattern can be."""
    rng = np.random.default_rng(13)
    y, x = np.mgrid[:48, :40] - np.array([24, 20])[:, None, None]
    disc = ndimage.gaussian_filter((y**2 + x**2 < 100).astype(float), 1)
    wave = np.fft.fft2(rng.normal(size=(20, 48, 40)) + 1j * rng.normal(size=(20, 48, 40)))
    narrow = np.fft.ifft2(wave * (np.hypot(*np.meshgrid(np.fft.fftfreq(48), np.fft.fftfreq(40), indexing="ij")) < 0.25))
    speckle = np.abs(narrow) ** 2 / (np.abs(narrow) ** 2).mean()
    return rng.poisson(speckle * (300 * disc + 4)).astype(np.uint16)


@pytest.mark.parametrize("dose", [0.01, 0.3, 1.0, 40.0])
def test_nothing_is_found_where_nothing_is_wrong(dose: float, frames: np.ndarray) -> None:
    thinned = np.random.default_rng(1).poisson(frames * dose).astype(np.uint16)
    assert pixel_faults(thinned).words == ""


def test_hot_pixels_whatever_their_neighbours(frames: np.ndarray) -> None:
    hot = [(0, 0), (24, 20), (24, 21), (5, 7), (47, 39)]
    for place in hot:
        frames[:, *place] += 4000
    frames[:10, 30, 30] += 4000
    faults = pixel_faults(frames)
    assert np.argwhere(faults.hot).tolist() == sorted([list(place) for place in hot])
    assert faults.words == "5 hot"


def test_known_bad_pixels_hide_nothing(frames: np.ndarray) -> None:
    good = np.ones((48, 40), bool)
    good[10:13, 10:13] = False
    frames[:, 10:13, 10:13] = 60000
    good[11, 11] = True
    frames[:, 9, 9] += 4000
    assert np.argwhere(pixel_faults(frames, good).bad).tolist() == [[9, 9]]


@pytest.mark.parametrize("ceiling", [None, 350.0, 65535.0])
def test_saturated_pixels(ceiling: float | None, frames: np.ndarray) -> None:
    top = 65535 if ceiling == 65535 else 350
    clipped = frames >= 350
    frames[clipped] = top
    assert clipped.any(axis=0).sum() > 50
    faults = pixel_faults(frames, ceiling=ceiling)
    np.testing.assert_array_equal(faults.saturated, clipped.any(axis=0))
    # They tell the least that there was: none is bad.
    assert not faults.bad.any()
    assert faults.ceiling == top


@pytest.mark.parametrize("values", [(np.int32, -1), (np.uint32, 2**32 - 1), (np.float32, np.nan), (np.uint16, 65535)])
def test_gaps_between_modules(values: tuple[type, float], frames: np.ndarray) -> None:
    dtype, value = values
    gaps = np.zeros((48, 40), bool)
    gaps[22:24] = gaps[:, 30] = True
    frames = frames.astype(dtype)
    frames[:, gaps] = value
    faults = pixel_faults(frames)
    np.testing.assert_array_equal(faults.unread, gaps)
    assert faults.words == f"{gaps.sum()} unread"


def test_noise_about_zero_is_no_gap(frames: np.ndarray) -> None:
    dim = np.random.default_rng(1).poisson(frames * 0.001) - np.random.default_rng(2).poisson(0.2, frames.shape)
    assert pixel_faults(dim.astype(np.int32)).words == ""


def test_a_pixel_stuck_at_the_ceiling_is_hot(frames: np.ndarray) -> None:
    frames[:, 3, 4] = 65535
    faults = pixel_faults(frames)
    assert np.argwhere(faults.hot).tolist() == [[3, 4]]
    assert not faults.saturated.any()


def test_dead_lines_are_told_from_dark_ones(frames: np.ndarray) -> None:
    small = np.zeros_like(frames)
    small[:, 20:28, 16:24] = frames[:, 20:28, 16:24]
    assert not pixel_faults(small).dead.any()
    frames[:, 21] = 0
    frames[:, 22] = 0
    frames[:, :, 5] = 0
    dead = pixel_faults(frames).dead
    assert dead.all(axis=1).nonzero()[0].tolist() == [21, 22]
    assert dead.all(axis=0).nonzero()[0].tolist() == [5]
    assert dead.sum() == 2 * 40 + 48 - 2


def test_frames_that_were_not_measured_say_nothing(frames: np.ndarray) -> None:
    frames[:, 24, 20] += 4000
    real = frames.astype(np.float32)
    real[12:] = np.nan
    real[11] = 0
    assert np.argwhere(pixel_faults(real).bad).tolist() == [[24, 20]]
    assert not pixel_faults(real[5:]).bad.any()
    assert not pixel_faults(real[12:]).bad.any()


def test_recording_is_masked_when_asked(
    write_cxi: Callable[..., Path], write_pystxmcontrol: Callable[..., Path], frames: np.ndarray, tmp_path: Path
) -> None:
    frames = frames[:13, :, :]
    frames[:, 10, 30] += 4000
    frames[:, 20] = 0
    real = frames.astype(np.float32)
    real[5] = np.nan
    (recording,) = readers.read(write_cxi(tmp_path / "a.cxi", frames=real))
    assert isinstance(recording, PtychographyRecording)
    masked, faults = faults_masked(recording, sampled_frames(recording, 32))
    wanted = np.ones((48, 40), bool)
    wanted[10, 30] = wanted[20] = False
    assert recording.good.all()
    np.testing.assert_array_equal(masked.good, wanted)
    assert masked.notes[-1].endswith("1 hot, 40 dead")
    np.testing.assert_array_equal(faults.bad, ~wanted)
    classes = frame_classes(masked.read(0, slice(None)), masked.good)
    assert classes.nonzero()[0].tolist() == [5]
    assert classes[5] == MaskClass.missing
    assert faults_masked(masked, sampled_frames(masked, 32))[0] is masked


def test_a_detector_without_a_pixel_to_trust_is_refused(write_cxi: Callable[..., Path], tmp_path: Path) -> None:
    frames = np.full((13, 16, 16), -1, np.int32)
    (recording,) = readers.read(write_cxi(tmp_path / "a.cxi", frames=frames))
    assert isinstance(recording, PtychographyRecording)
    with pytest.raises(InputError, match="no detector pixel can be trusted") as caught:
        faults_masked(recording, frames)
    assert "256 unread" in str(caught.value.got)


def test_mask_of_the_opposite_polarity(frames: np.ndarray) -> None:
    bad = np.zeros((48, 40), bool)
    bad[24, 20] = bad[3, 3] = True
    bad[30:33] = True
    frames[:, bad] = 0
    frames[:, 24, 20] = 60000
    refuse_inverted(~bad, frames, "a.cxi", "0 is good")
    with pytest.raises(InputError, match="opposite polarity") as caught:
        refuse_inverted(bad, frames, "a.cxi", "0 is good")
    assert caught.value.wanted == "0 is good"
    assert "Invert" in caught.value.mend


def test_mask_that_leaves_only_the_light_is_right(frames: np.ndarray) -> None:
    y, x = np.mgrid[:48, :40] - np.array([24, 20])[:, None, None]
    disc = y**2 + x**2 < 100
    assert disc.mean() < 0.2
    refuse_inverted(disc, frames, "a.cxi", "0 is good")
    assert np.count_nonzero(disc)
