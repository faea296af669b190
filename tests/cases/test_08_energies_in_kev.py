"""Lists of photon energies in keV are taken for what they are, and the pixels of a TIFF can be told."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.readers import ReadChoices, StxmRecording
from stxmdist.readers.settled import step_nm
from tests.cases.campaigns import SPECTRA, case, command
from tests.readers.examples import stk

CASE = SPECTRA / "08-energies-in-kev"


@pytest.mark.parametrize(("name", "energies_ev"), [("ni", [8212.0, 8222.0, 8232.0]), ("fe", [704.0, 708.0, 710.0])])
def test_lists_in_kev_are_multiplied_and_it_is_said(name: str, energies_ev: list[float]) -> None:
    (recording,) = readers.read(CASE / f"{name}.tif")
    np.testing.assert_allclose(recording.energy_ev, energies_ev)
    assert any("these look like keV, and are multiplied by 1000" in note for note in recording.notes)
    shown = " ".join(command("inspect", CASE / f"{name}.tif").stdout.split())
    assert "these look like keV" in shown
    assert "the file does not say: pixel size (taken as 1 um)" in shown


def test_what_was_taken_for_what_is_said_before_a_run(tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path, "fe.tif", "fe.txt")
    found.fill()
    said = " ".join(command("validate", found.campaign).stdout.split())
    assert "these look like keV" in said
    assert "pixel size (taken as 1 um)" in said


def test_an_option_says_the_size_of_the_pixels() -> None:
    (recording,) = readers.read(CASE / "fe.tif", ReadChoices(pixel_size_nm=40.0))
    assert isinstance(recording, StxmRecording)
    np.testing.assert_allclose([step_nm(recording.y_um), step_nm(recording.x_um)], 40.0)
    assert not any("pixel size" in lack for lack in recording.lacks)


def test_the_option_stands_in_the_campaign_file(tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path, "fe.tif", "fe.txt")
    found.fill()
    found.set(stages={"ingest": {"pixel_size_nm": 40, "energy_unit": "keV"}})
    survey = survey_of(*campaign_and_options(found.campaign))
    np.testing.assert_allclose(step_nm(survey.stxm("fe").x_um), 40.0)
    assert "the photon energy is taken in keV, as was chosen" in survey.stxm("fe").notes
    found.set(stages={"ingest": {"pixel_size_nm": -40, "energy_unit": "MeV"}})
    assert command("validate", found.campaign).exit_code == 2


def test_a_unit_that_is_chosen_is_not_doubted(tmp_path: Path) -> None:
    for file in CASE.glob("fe.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "fe.txt").write_text("45.0\n54.7\n60.0\n")
    (recording,) = readers.read(tmp_path / "fe.tif")
    np.testing.assert_allclose(recording.energy_ev, [45.0, 54.7, 60.0])
    (recording,) = readers.read(tmp_path / "fe.tif", ReadChoices(energy_unit="keV"))
    np.testing.assert_allclose(recording.energy_ev, [45e3, 54.7e3, 60e3])


def test_a_stack_of_stony_brook_in_kev(tmp_path: Path) -> None:
    energies_kev = np.array([0.700, 0.7015, 0.702, 0.70725, 0.708])
    (recording,) = readers.read(stk.write(tmp_path / "scan.stk", energies=energies_kev))
    np.testing.assert_allclose(recording.energy_ev, 1e3 * energies_kev, rtol=1e-6)
    assert any("these look like keV" in note for note in recording.notes)


def test_numbers_that_are_energies_in_no_unit_are_refused(tmp_path: Path) -> None:
    for file in CASE.glob("fe.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "fe.txt").write_text("0.0001\n0.0002\n0.0003\n")
    with pytest.raises(InputError, match="the photon energies cannot be used"):
        readers.read(tmp_path / "fe.tif")
