"""A scan of SDF that was aborted within a frame: its whole rows are read, the rest is missing at that energy alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, command

CASE = SPECTRA / "03-half-measured-frame" / "sdf"
N_ROWS = 32


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    for file in CASE.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / "scan.hdr"


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def test_the_rows_that_were_measured_are_read(scan: Path) -> None:
    recording = read(scan)
    assert recording.frame_class.tolist() == [MaskClass.valid] * 6 + [MaskClass.missing] * 2
    assert "frame 6 of 8 was measured in part: 16 of 32 rows" in recording.notes
    half = recording.read(5)
    np.testing.assert_array_equal(half[:16], np.genfromtxt(CASE / "scan_a005.xim", max_rows=16)[:, :N_ROWS])
    assert np.isnan(half[16:]).all()
    shown = command("inspect", scan).stdout
    assert "frame 6 of 8 was measured in part: 16 of 32 rows" in shown
    assert "stxmdist can process it" in shown


def test_a_frame_that_broke_off_in_the_middle_of_the_scan(scan: Path) -> None:
    frame = scan.with_name("scan_a002.xim")
    frame.write_bytes(b"".join(frame.read_bytes().splitlines(keepends=True)[:10]) + b"123")
    recording = read(scan)
    assert "frame 3 of 8 was measured in part: 10 of 32 rows" in recording.notes
    found = recording.read(2)
    assert np.isfinite(found[:10]).all()
    assert np.isnan(found[10:]).all()


@pytest.mark.parametrize("content", [b"", b"8425\t82"])
def test_a_frame_without_a_whole_row_is_missing(content: bytes, scan: Path) -> None:
    scan.with_name("scan_a005.xim").write_bytes(content)
    recording = read(scan)
    assert recording.frame_class.tolist() == [MaskClass.valid] * 5 + [MaskClass.missing] * 3
    assert np.isnan(recording.read(5)).all()
    assert "3 of 8 frames are missing (aborted scan): masked" in recording.notes


@pytest.mark.parametrize("content", [b"8425\t8284\n8425\t8284\n", b"no numbers\n" * N_ROWS, b"1\t" * N_ROWS + b"\n1\n"])
def test_other_frames_and_garbage_stay_an_error(content: bytes, scan: Path) -> None:
    scan.with_name("scan_a005.xim").write_bytes(content)
    with pytest.raises(InputError, match=r"scan_a005\.xim"):
        read(scan).read(5)


def test_a_last_line_without_its_end_is_whole_where_all_rows_are_there(scan: Path) -> None:
    frame = scan.with_name("scan_a000.xim")
    frame.write_bytes(frame.read_bytes().rstrip())
    recording = read(scan)
    assert np.isfinite(recording.read(0)).all()
    assert not any("frame 1 of" in note for note in recording.notes)
