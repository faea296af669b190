"""What of a frame was measured: rows that pystxmcontrol left at zero, pixels that pyStxm left at NaN."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.readers.recording import StxmRecording
from stxmdist.writers.nxstxm import writer

Write = Callable[..., Path]
COUNTS = "entry0/default/data"


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


@pytest.fixture
def path(planted: np.ndarray, tmp_path: Path) -> Path:
    """A stack of pystxmcontrol, energies descending, of which frame 4 of 5 was measured last."""
    made = tmp_path / "scan.stxm"
    axes = (np.arange(705.0, 700.0, -1), np.arange(7.0), np.arange(11.0))
    writer.write_stack(
        made,
        lambda index: planted[index],
        *axes,
        2.5,
        399.0,
        start_time=datetime(2026, 1, 2),
        dialect="pystxmcontrol",
        frames=(0, 1, 2, 3),
    )
    return made


def set_to(path: Path, place: str, where: tuple[object, ...], value: float) -> None:
    with h5py.File(path, "a") as file:
        file[place][where] = value


def test_rows_after_the_abort_are_missing(path: Path, planted: np.ndarray) -> None:
    set_to(path, COUNTS, (3, slice(3, None)), 0)
    recording = read(path)
    assert recording.frame_class.tolist() == [MaskClass.missing, 0, 0, 0, 0]
    assert "frame 4 of 5 was measured in part: 3 of 7 rows" in recording.notes
    # Energies descend in the file: its fourth frame is the second.
    counts = recording.read(1)
    np.testing.assert_array_equal(counts[:3], planted[3, :3])
    assert np.isnan(counts[3:]).all()


def test_rows_upside_down_in_the_file(path: Path, planted: np.ndarray) -> None:
    set_to(path, COUNTS, (3, slice(3, None)), 0)
    with h5py.File(path, "a") as file:
        file["entry0/default/sample_y"][...] = np.arange(7.0)[::-1]
    counts = read(path).read(1)
    assert np.isnan(counts[:4]).all()
    np.testing.assert_array_equal(counts[4:], planted[3, 2::-1])


def test_a_line_whose_trigger_was_missed(path: Path) -> None:
    set_to(path, COUNTS, (1, 4), 0)
    recording = read(path)
    assert "frame 2 of 5 was measured in part: 6 of 7 rows" in recording.notes
    assert np.flatnonzero(np.isnan(recording.read(3)).all(axis=1)).tolist() == [4]


def test_rows_that_are_dark_at_every_energy_are_counts(path: Path) -> None:
    set_to(path, COUNTS, (slice(None), slice(5, None)), 0)
    recording = read(path)
    assert not any("in part" in note for note in recording.notes)
    assert not recording.read(1)[5:].any()


def test_an_image_alone_is_judged_by_its_motors(path: Path) -> None:
    with h5py.File(path, "a") as file:
        counts = file[COUNTS][()]
        counts[0, 4:], counts[1:] = 0, 0
        file[COUNTS][...] = counts
    assert not any("in part" in note for note in read(path).notes)
    for name in ("sample_x", "sample_y"):
        set_to(path, f"entry0/instrument/{name}/data", (0, slice(5 * 11, None)), 0)
    assert "frame 1 of 5 was measured in part: 5 of 7 rows" in read(path).notes


def test_points_in_one_row(path: Path, planted: np.ndarray) -> None:
    set_to(path, COUNTS, (3, slice(3, None)), 0)
    with h5py.File(path, "a") as file:
        group = file["entry0/default"]
        counts = group["data"][()].reshape(5, -1)
        del group["data"], group.attrs["axes"]
        for name in ("energy", "sample_y", "sample_x"):
            del group[name].attrs["axis"]
        group["data"] = counts
    recording = read(path)
    assert "frame 4 of 5 was measured in part: 3 of 7 rows" in recording.notes
    np.testing.assert_array_equal(recording.read(1)[:3], planted[3, :3])


def test_pixels_without_a_number(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    counts = planted.copy()
    counts[2, 3, 5:], counts[2, 4:], counts[3:] = np.nan, np.nan, np.nan
    recording = read(write_nxstxm(tmp_path / "scan.hdf5", counts=counts))
    assert recording.frame_class.tolist() == [0, 0, 0, MaskClass.missing, MaskClass.missing]
    assert "2 of 5 frames are missing (aborted scan): masked" in recording.notes
    assert "frame 3 of 5 was measured in part: 38 of 77 pixels" in recording.notes
    np.testing.assert_array_equal(recording.read(2), counts[2])
