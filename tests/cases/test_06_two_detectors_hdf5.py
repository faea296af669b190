"""Two detectors in one scan of HDF5: the one that counts is read, any can be chosen, and what was read is said."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import ReadChoices, StxmRecording
from tests.cases.campaigns import SPECTRA, case, command
from tests.cases.test_04_millimetres_without_unit import STAGES

CASE = SPECTRA / "06-two-detectors"


def image_of(path: Path, part: str | None = None, **chosen: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The first image of a scan, and the notes."""
    recording = readers.read_scan((path,), part, ReadChoices(**chosen))
    assert isinstance(recording, StxmRecording)
    return recording.read(0), recording.notes


def group(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        first: np.ndarray = file[f"entry0/{name}/data"][0]
    return first


@pytest.mark.parametrize(("file", "other"), [("two.stxm", "adc"), ("mca.stxm", "amptek")])
def test_the_scan_is_what_the_control_program_takes_for_it(file: str, other: str) -> None:
    image, notes = image_of(CASE / file)
    np.testing.assert_array_equal(image, group(CASE / file, "default"))
    assert f"channel default is read, not {other}" in notes
    assert f"note: channel default is read, not {other}" in command("inspect", CASE / file).stdout


@pytest.mark.parametrize("part", ["adc", "ADC", ":adc"])
def test_a_row_chooses(part: str) -> None:
    image, notes = image_of(CASE / "two.stxm", part)
    np.testing.assert_array_equal(image, group(CASE / "two.stxm", "adc"))
    assert "channel adc is read, as was chosen, not default" in notes


def test_an_option_chooses_and_a_row_stands_above_it() -> None:
    image, _ = image_of(CASE / "two.stxm", channel="adc")
    np.testing.assert_array_equal(image, group(CASE / "two.stxm", "adc"))
    image, _ = image_of(CASE / "two.stxm", "default", channel="adc")
    np.testing.assert_array_equal(image, group(CASE / "two.stxm", "default"))


def test_a_channel_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(InputError, match="no channel of this name; got 'pmt', wanted default or adc"):
        image_of(CASE / "two.stxm", "pmt")


def test_numbers_decide_where_names_do_not(tmp_path: Path) -> None:
    """A file of another program: no group is called default, and the names say nothing."""
    path = tmp_path / "two.hdf5"
    path.write_bytes((CASE / "two.stxm").read_bytes())
    with h5py.File(path, "a") as file:
        entry = file["entry0"]
        entry.move("default", "ch2")
        entry.move("adc", "ch1")
    image, notes = image_of(path)
    np.testing.assert_array_equal(image, group(path, "ch2"))
    assert "channel ch2 is read, not ch1" in notes


@pytest.mark.long
@pytest.mark.parametrize("file", ["two.stxm", "mca.stxm"])
def test_both_discs_come_out(file: str, tmp_path: Path) -> None:
    stack = case(CASE.name, tmp_path, file)
    stack.fill()
    done = stack.run(*(word for stage in STAGES for word in ("--stage", stage)))
    assert done.exit_code == 0, done.stdout
    assert stack.soc() == pytest.approx([0.18, 0.83], abs=0.015)
