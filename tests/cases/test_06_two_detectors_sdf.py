"""Two detectors in one scan of SDF: the one that counts is read, any can be chosen, and what was read is said."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import ReadChoices, StxmRecording
from tests.cases.campaigns import SPECTRA, command

CASE = SPECTRA / "06-two-detectors"


def image_of(path: Path, part: str | None = None, **chosen: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The first image of a scan, and the notes."""
    recording = readers.read_scan((path,), part, ReadChoices(**chosen))
    assert isinstance(recording, StxmRecording)
    return recording.read(0), recording.notes


def test_the_counter_is_read_and_not_the_beam_before_it() -> None:
    image, notes = image_of(CASE / "two.hdr")
    np.testing.assert_array_equal(image, np.loadtxt(CASE / "two_b000.xim"))
    assert "channel b (PMT) is read, not a (Io)" in notes
    assert "note: channel b (PMT) is read, not a (Io)" in command("inspect", CASE / "two.hdr").stdout


@pytest.mark.parametrize("part", ["a", "Io", "io", ":a"])
def test_a_row_chooses_by_letter_or_name(part: str) -> None:
    image, notes = image_of(CASE / "two.hdr", part)
    np.testing.assert_array_equal(image, np.loadtxt(CASE / "two_a000.xim"))
    assert "channel a (Io) is read, as was chosen, not b (PMT)" in notes


def test_an_option_chooses_and_a_row_stands_above_it() -> None:
    image, _ = image_of(CASE / "two.hdr", channel="a")
    np.testing.assert_array_equal(image, np.loadtxt(CASE / "two_a000.xim"))
    image, _ = image_of(CASE / "two.hdr", "b", channel="a")
    np.testing.assert_array_equal(image, np.loadtxt(CASE / "two_b000.xim"))


def test_a_channel_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"no channel of this name; got 'diode', wanted a \(Io\) or b \(PMT\)"):
        image_of(CASE / "two.hdr", "diode")


def test_the_process_string_decides_where_names_do_not(tmp_path: Path) -> None:
    for file in CASE.glob("two*"):
        shutil.copy(file, tmp_path)
    header = tmp_path / "two.hdr"
    text = header.read_text().replace('"Io"', '"ch0"').replace('"PMT"', '"ch1"')
    processed = '{ ID = 0; Name = "ch0"; ProcessString = "Io";},\n{ ID = 1; Name = "ch1"; ProcessString = "I";}'
    header.write_text(text + f"Channels = (2,\n{processed});\n")
    assert "channel b (ch1) is read, not a (ch0)" in image_of(header)[1]
