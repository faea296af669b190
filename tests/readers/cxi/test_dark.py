"""Dark frames of CXI files: their mean is taken off every frame, wherever it lies and however the frames are turned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.cxi.dark import DARKS, without_dark
from stxmdist.readers.frames.frame_class import frame_classes

DETECTOR = "instrument_1/detector_1"
Write = Callable[..., Path]


@pytest.fixture
def darks() -> np.ndarray:
    """(n, rows, columns), every pixel different."""
    return (np.arange(256).reshape(16, 16) / 8 + np.array([-2.0, 1.0, 4.0])[:, None, None]).astype(np.float32)


def read(path: Path) -> PtychographyRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, PtychographyRecording)
    return recording


def with_dark(path: Path, values: Any, name: str = "data_dark", entries: tuple[int, ...] = (1,), **more: Any) -> Path:
    with h5py.File(path, "a") as file:
        for number in entries:
            file[f"entry_{number}/{DETECTOR}/{name}"] = values
            for key, value in more.items():
                file[f"entry_{number}/{DETECTOR}/{key}"] = value
    return path


@pytest.mark.parametrize("name", DARKS)
@pytest.mark.parametrize("family", ["geometry_1", "data_1"])
def test_the_mean_dark_is_taken_off_every_frame(
    name: str, family: str, write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    path = with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction, family=family), darks, name)
    recording = read(path)
    assert recording.frame_dtype == np.float32
    frames = recording.read(0, slice(3, 9))
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, diffraction[3:9] - darks.mean(axis=0), rtol=1e-6, atol=1e-4)
    assert (frames < 0).any()
    assert "the mean of 3 dark frames is subtracted; counts may be negative" in recording.notes


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (2, 3, 16, 16)])
def test_one_dark_frame_or_a_raster_of_them(
    shape: tuple[int, ...], write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    values = np.broadcast_to(darks[0], shape)
    frames = read(with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), values)).read(0, slice(None))
    np.testing.assert_allclose(frames, diffraction - darks[0], rtol=1e-6, atol=1e-4)


def test_the_dark_lies_as_the_frames_do(
    write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    """Transposed and mirrored frames less the dark, or frames without it mirrored: the same."""
    basis = ((-3e-5, 0), (0, -3e-5), (0, 0))
    turned = read(with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction, basis=basis), darks))
    plain = read(write_cxi(tmp_path / "b.cxi", frames=diffraction - darks.mean(axis=0), basis=basis))
    np.testing.assert_allclose(turned.read(0, slice(None)), plain.read(0, slice(None)), rtol=1e-6, atol=1e-4)


def test_each_energy_has_its_own_dark(
    write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    path = write_cxi(tmp_path / "a.cxi", frames=diffraction, energies_ev=(700.0, 705.0, 710.0))
    with_dark(with_dark(path, darks[0], entries=(1,)), darks[2], entries=(3,))
    recording = read(path)
    for energy, dark in enumerate((darks[0], 0, darks[2])):
        frames = recording.read(energy, slice(None))
        assert frames.dtype == recording.frame_dtype == np.float32
        np.testing.assert_allclose(frames, diffraction + energy - dark, rtol=1e-6, atol=1e-4)


def test_a_dark_field_that_the_detector_has_subtracted_stays(
    write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    path = with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), darks[0], "darkfield", darkfield_applied=True)
    recording = read(path)
    np.testing.assert_array_equal(recording.read(0, slice(None)), diffraction)
    assert recording.frame_dtype == np.uint16
    assert any("by itself" in note for note in recording.notes)


def test_a_file_that_was_written_again_has_its_new_dark(
    write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    first = read(with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), darks[0])).read(0, slice(1))
    second = read(with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), darks[2])).read(0, slice(1))
    np.testing.assert_allclose(first - second, 6.0, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((16, 15)), r"\(16, 15\)"),
        (np.zeros((3, 8, 8)), r"\(3, 8, 8\)"),
        (np.zeros(256), r"\(256,\)"),
        (np.zeros((0, 16, 16)), r"\(0, 16, 16\)"),
        (np.zeros((16, 16), "S3"), "S3"),
    ],
)
def test_dark_frames_of_another_shape_are_refused(
    values: np.ndarray, said: str, write_cxi: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), values)
    with pytest.raises(InputError, match="do not fit the frames") as caught:
        readers.read(path)
    assert caught.value.where.endswith(f"a.cxi:entry_1/{DETECTOR}/data_dark")
    assert str(caught.value).count(said.replace("\\", "")) == 1
    assert not readers.describe(path).usable


def test_dark_frames_without_numbers_are_refused_when_they_are_read(
    write_cxi: Write, diffraction: np.ndarray, darks: np.ndarray, tmp_path: Path
) -> None:
    darks[1, 3, 4] = np.nan
    recording = read(with_dark(write_cxi(tmp_path / "a.cxi", frames=diffraction), darks))
    with pytest.raises(InputError, match="without a number") as caught:
        recording.read(0, slice(1))
    assert "1 pixels" in str(caught.value.got)


def test_what_was_never_written_or_is_clipped_can_still_be_told(darks: np.ndarray) -> None:
    frames = np.random.default_rng(4).poisson(300, (3, 16, 16)).astype(np.uint16)
    frames[1] = 0
    frames[2, 4:8, 4:8] = 65535
    counts = without_dark(frames, darks[0])
    assert frame_classes(counts).tolist() == [MaskClass.valid, MaskClass.missing, MaskClass.saturated]
    assert (counts[2] == counts[2].max()).sum() == 16
    # A gap of a detector that counts in 32 bits is no light.
    gap = frames.astype(np.uint32)
    gap[:, 3] = 2**32 - 1
    assert np.argwhere(np.isnan(without_dark(gap, darks[0])).all(axis=(0, 2))).tolist() == [[3]]


def test_a_mask_that_leaves_only_the_light_is_right_above_a_pedestal(write_cxi: Write, tmp_path: Path) -> None:
    """The dark counts of all the bad pixels together are no light."""
    y, x = np.indices((40, 40)) - 20
    disc = y**2 + x**2 < 36
    frames = np.random.default_rng(2).poisson(np.where(disc, 60, 0) + 500, (13, 40, 40)).astype(np.uint16)
    path = write_cxi(tmp_path / "a.cxi", frames=frames, mask=(~disc).astype(np.uint32))
    with pytest.raises(InputError, match="opposite polarity"):
        readers.read(path)
    assert read(with_dark(path, np.full((40, 40), 500.0))).good.sum() == disc.sum()
