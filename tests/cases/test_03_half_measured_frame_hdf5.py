"""A scan aborted in the sixth of eight frames: the rows that were not measured are missing at that energy alone."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, command
from tests.readers.examples import nxstxm

CASE = SPECTRA / "03-half-measured-frame"
NOTE = "frame 6 of 8 was measured in part: 16 of 32 rows"


def opened(path: Path) -> StxmRecording:
    recording = readers.read_scan((path,))
    assert isinstance(recording, StxmRecording)
    return recording


@pytest.mark.parametrize("file", ["zeros.stxm", "filled.hdf5"])
def test_half_a_frame_is_missing_and_said(file: str) -> None:
    recording, whole = opened(CASE / file), opened(CASE / "without_the_half_frame.stxm")
    missing = MaskClass.missing
    assert recording.frame_class.tolist() == [0, 0, 0, 0, 0, 0, missing, missing]
    assert NOTE in recording.notes
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index), whole.read(index))
    half = recording.read(5)
    assert (half[:16] > 0).all()
    assert np.isnan(half[16:]).all()


@pytest.mark.parametrize("file", ["zeros.stxm", "filled.hdf5"])
def test_a_user_reads_it(file: str) -> None:
    said = command("inspect", CASE / file).stdout
    assert f"note: {NOTE}" in said
    # The smallest number is that of a measured pixel, not of one left at zero.
    assert "counts_min                   3192" in said


def test_an_abort_in_mid_row_and_a_missed_line(tmp_path: Path) -> None:
    """pyStxm stops at any pixel; pystxmcontrol goes on after a line whose trigger was missed."""
    path = tmp_path / "scan.stxm"
    path.write_bytes((CASE / "zeros.stxm").read_bytes())
    with h5py.File(path, "a") as file:
        file["entry0/default/data"][2, 9] = 0
    assert "frame 3 of 8 was measured in part: 31 of 32 rows" in opened(path).notes
    counts = np.full((3, 8, 10), 900.0)
    counts[1, 4, 5:], counts[1, 5:], counts[2] = np.nan, np.nan, np.nan
    axes = {"energy_ev": np.array([700.0, 708.0, 710.0]), "y": np.arange(8.0), "x": np.arange(10.0)}
    filled = nxstxm.write(tmp_path / "scan.hdf5", counts=counts, **axes)
    assert "frame 2 of 3 was measured in part: 45 of 80 pixels" in opened(filled).notes
