"""pystxmcontrol ptychography: dark frames off, exposures merged, positions and energy from the file; bad input."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames.frame_class import frame_classes
from stxmdist.readers.pystxmcontrol.frames import merged
from stxmdist.readers.pystxmcontrol.scan import FAST_CCD, cut

Write = Callable[..., Path]
# Rows and columns of a camera whose basis vectors are not said lie along -y and -x.
UPRIGHT = {"geometry": {"distance": 0.1, "psize": 3e-5, "basis_vectors": [[0, 3e-5, 0], [3e-5, 0, 0]]}}
CEILING = 65535


def read(path: Path) -> PtychographyRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, PtychographyRecording)
    assert recording.format == "pystxmcontrol"
    return recording


@pytest.fixture
def darks() -> np.ndarray:
    """Four dark frames (4, 16, 16) whose mean is 100 to 355, every pixel another; even ones 3 below, odd ones above."""
    pattern = 100 + np.arange(256).reshape(16, 16)
    return np.stack([pattern - 3, pattern + 3, pattern - 3, pattern + 3]).astype(np.uint16)


def test_mean_dark_is_subtracted_and_negative_counts_stay(
    write_pystxmcontrol: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    raw = diffraction + darks.mean(axis=0).astype(np.uint16)
    raw[4, 2, 3] -= 60
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=raw[:, None], darks=darks, **UPRIGHT)
    recording = read(path)
    counts = recording.read(0, slice(None))
    wanted = diffraction.astype(np.float32)
    wanted[4, 2, 3] -= 60
    assert wanted.min() < 0
    np.testing.assert_allclose(counts, wanted, atol=1e-3)
    assert any("mean of 4 dark frames" in note for note in recording.notes)
    assert recording.dwell_ms == 100.0
    assert recording.energy_ev.tolist() == [710.0]
    assert recording.distance_m == 0.1
    np.testing.assert_allclose(recording.detector_pixel_um, 30.0)


def test_double_exposure_takes_the_long_where_it_is_not_saturated(
    write_pystxmcontrol: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    truth = diffraction.astype(np.float64) * 110
    short, long = truth / 11 + darks[0], truth / 1.1 + darks[1]
    exposures = np.stack([short, np.minimum(long, CEILING)], axis=1).round().astype(np.uint16)
    assert (exposures[:, 1] == CEILING).any()
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=exposures, darks=darks, **UPRIGHT)
    recording = read(path)
    counts = recording.read(0, slice(None))
    assert recording.dwell_ms == 110.0
    np.testing.assert_allclose(counts, truth, atol=11 / 2 + 0.01)
    whole = exposures[:, 1] < CEILING
    np.testing.assert_allclose(counts[whole], truth[whole], atol=1.1 / 2 + 0.01)
    assert any("10 and 100 ms are merged" in note for note in recording.notes)


def test_dwell_times_in_the_wrong_order_are_recognised_by_the_light(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    exposures = np.stack([diffraction * 10, diffraction], axis=1)
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=exposures, **UPRIGHT)
    recording = read(path)
    np.testing.assert_allclose(recording.read(0, slice(None)), diffraction * 11.0, rtol=1e-6)
    assert any("darker" in note for note in recording.notes)


def test_saturated_in_both_exposures_is_told_by_one_shared_value() -> None:
    exposures = np.full((2, 8, 8), 50.0, np.float32)
    exposures[1] = 500
    exposures[1, :4] = exposures[0, :2] = 4095
    darks = np.arange(64, dtype=np.float32).reshape(1, 8, 8).repeat(2, axis=0) / 10
    counts = merged(exposures, darks, (10.0, 100.0), 4095.0)
    np.testing.assert_allclose(counts[:2], 4095 * 11)
    np.testing.assert_allclose(counts[2:4], (50 - darks[0, 2:4]) * 11, rtol=1e-6)
    np.testing.assert_allclose(counts[4:], (500 - darks[0, 4:]) * 1.1, rtol=1e-6)
    assert frame_classes(counts[None]).tolist() == [MaskClass.saturated]


def test_repeats_are_added(write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    exposures = np.stack([diffraction, diffraction + 1, diffraction + 2], axis=1)
    darks = np.ones((2, 16, 16), np.uint16)
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=exposures, darks=darks, n_repeats=3, **UPRIGHT)
    recording = read(path)
    np.testing.assert_allclose(recording.read(0, slice(2, 4)), diffraction[2:4] * 3.0)
    assert recording.dwell_ms == 300.0


@pytest.mark.parametrize("measured", [True, False])
def test_positions_are_against_the_motors(
    measured: bool, write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    places = np.random.default_rng(8).uniform((1.0, -8.0), (3.0, -6.0), (13, 2))
    path = write_pystxmcontrol(
        tmp_path / "a.stxm", exposures=diffraction[:, None], positions_um=places, measured=measured
    )
    recording = read(path)
    np.testing.assert_allclose(recording.positions_um[0], places)
    assert any("measured positions" in lack for lack in recording.lacks) != measured


def test_orientation_that_is_not_said_is_the_default(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    recording = read(write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:, None]))
    assert any("basis_vectors" in lack for lack in recording.lacks)
    np.testing.assert_array_equal(recording.read(0, slice(0, 1))[0, 1:, 1:], diffraction[0, :0:-1, :0:-1])


def test_aborted_scan_leaves_nan(write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    exposures = np.stack([diffraction, diffraction * 10], axis=1)
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=exposures, left_out=(7, 24, 25), **UPRIGHT)
    recording = read(path)
    counts = recording.read(0, slice(None))
    assert np.isnan(counts).all(axis=(1, 2)).nonzero()[0].tolist() == [3, 12]
    assert frame_classes(counts).tolist() == [MaskClass.missing if at in (3, 12) else 0 for at in range(13)]
    assert any("2 of 13 frames were never written" in note for note in recording.notes)


def test_pattern_off_the_middle_is_brought_there(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    frames = np.zeros((13, 40, 32), np.uint16)
    frames[:, 20:36, 3:19] = diffraction
    recording = read(write_pystxmcontrol(tmp_path / "a.stxm", exposures=frames[:, None], **UPRIGHT))
    counts = recording.read(0, slice(None))
    peak = np.argwhere(recording.good & (counts.mean(axis=0) > 0.6 * counts.mean(axis=0).max())).mean(axis=0)
    np.testing.assert_allclose(peak, (20, 16), atol=1.5)
    assert 0 < np.count_nonzero(~recording.good) < 0.5 * recording.good.size
    assert not counts[:, ~recording.good].any()
    assert any("bright disc" in note for note in recording.notes)


def test_fast_ccd_loses_its_overscan_and_is_turned(write_pystxmcontrol: Write, tmp_path: Path) -> None:
    y, x = np.mgrid[:960, :960]
    light = (900 * np.exp(-((y - 480) ** 2 + (x - 480) ** 2) / 9e3)).astype(np.uint16) + (y > 700) * 5 + (x > 800) * 3
    raw = np.full(FAST_CCD, 7777, np.uint16)
    tiles = np.full((960, 96, 12), 7777, np.uint16)
    tiles[:, :, 1:11] = light.reshape(960, 96, 10)
    raw[6:486], raw[554:1034] = tiles[:480].reshape(480, 1152), tiles[480:].reshape(480, 1152)
    np.testing.assert_array_equal(cut(raw), light)
    exposures = np.repeat(raw[None, None], 3, axis=0)
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=exposures, geometry=None)
    recording = read(path)
    np.testing.assert_array_equal(recording.read(0, slice(0, 1))[0], light.T)
    assert recording.distance_m == 0.121
    assert any("FastCCD" in lack for lack in recording.lacks)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"energy": 1.1375e-16}, "looks like J"),
        ({"energy": 0.71}, "looks like keV"),
        ({"geometry": None}, "geometry"),
        ({"geometry": {"distance": -1.0, "psize": 30}}, "distance"),
        ({"translations": [[0.1, 0.2], [0.3]]}, "positions"),
        ({"translations": (np.arange(26).reshape(13, 2) * 1e-7).tolist()}, "not in micrometres"),
        ({"double_exposure": True, "dwell2": 0}, "two exposures"),
        ({"n_repeats": 1, "translations": [[0.1, 0.2], [0.3, 0.4]]}, "do not match"),
    ],
)
def test_what_a_reconstruction_cannot_use_is_refused(
    metadata: dict[str, object], said: str, write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:, None], measured=False, **metadata)
    with pytest.raises(InputError, match=said) as caught:
        readers.read(path)
    assert caught.value.mend
    assert not readers.describe(path).usable


def test_energy_without_metadata_is_that_of_the_monochromator(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:, None], energy=None)
    with pytest.raises(InputError, match="photon energy"):
        readers.read(path)
    with h5py.File(path, "a") as file:
        file["entry0/instrument/monochromator/energy"] = [853.25]
    assert read(path).energy_ev.tolist() == [853.25]


def test_broken_metadata_and_odd_frames(write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:, None])
    with h5py.File(path, "a") as file:
        del file["entry0/ccd0/exp/5"]
        file["entry0/ccd0/exp/5"] = np.zeros((4, 4), np.uint16)
    with pytest.raises(InputError, match="not like the others") as caught:
        read(path).read(0, slice(None))
    assert "exp/5" in caught.value.where
    with h5py.File(path, "a") as file:
        del file["metadata"]
        file["metadata"] = "{'energy': __import__('os').getcwd()}"
    with pytest.raises(InputError, match="metadata cannot be read"):
        readers.read(path)


def test_scan_without_its_camera_frames_is_left_to_its_images(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:2, None], left_out=(0, 1))
    assert readers.detect(path) == "nxstxm"
    with pytest.raises(UnsupportedError, match="without its camera frames"):
        readers.read(path)


def test_positions_too_far_apart_are_near_field(
    write_pystxmcontrol: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    places = np.random.default_rng(8).uniform(-90, 90, (13, 2))
    path = write_pystxmcontrol(tmp_path / "a.stxm", exposures=diffraction[:, None], positions_um=places)
    with pytest.raises(UnsupportedError, match="near-field"):
        readers.read(path)
