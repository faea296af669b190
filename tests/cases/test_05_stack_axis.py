"""Stacks over something else than photon energy are refused by what they run over; energies in keV are energies."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import ReadChoices, StxmRecording
from tests.cases.campaigns import SPECTRA, case, command

CASE = SPECTRA / "05-stack-axis-is-no-energy"
OVER = {"field": "MagnetField", "time": "Time (s)", "angle": "CoarseR (deg)"}


def copied(name: str, folder: Path, **replaced: str) -> Path:
    """A copy of a scan with words of its header replaced; ``cut`` leaves so many frames."""
    for file in CASE.glob(f"{name}*"):
        shutil.copy(file, folder)
    header = folder / f"{name}.hdr"
    text = header.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    header.write_text(text)
    return header


@pytest.mark.parametrize("name", OVER)
def test_what_a_stack_runs_over_is_said(name: str) -> None:
    shown = command("inspect", CASE / f"{name}.hdr").stdout
    assert f"a stack over {OVER[name]} is not processed" in shown
    assert "stxmdist can process it" not in shown
    with pytest.raises(UnsupportedError, match="is not processed"):
        readers.read(CASE / f"{name}.hdr")


def test_a_campaign_says_it_before_it_runs(tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path)
    assert all(row["exclude"] for row in found.rows() if row["scan_id"] in OVER)
    found.fill()
    validated = command("validate", found.campaign)
    assert validated.exit_code == 2
    for over in OVER.values():
        assert f"a stack over {over} is not processed" in validated.stdout


def test_the_unit_of_the_axis_is_used() -> None:
    (recording,) = readers.read(CASE / "kev.hdr")
    np.testing.assert_allclose(recording.energy_ev, [700.0, 708.0, 710.0])
    assert "StackAxis is in keV: converted to eV" in recording.notes
    assert "stxmdist can process it" in command("inspect", CASE / "kev.hdr").stdout


def test_a_field_that_could_be_an_energy_is_no_energy(tmp_path: Path) -> None:
    path = copied("field", tmp_path, **{"(3, 10.000, 20.000, 30.000)": "(3, 100.0, 200.0, 300.0)"})
    with pytest.raises(UnsupportedError, match="a stack over MagnetField is not processed"):
        readers.read(path)


@pytest.mark.parametrize(
    "axis", ['Name = "Pump delay"; Unit = ""', 'Name = "Energy"; Unit = "mT"', 'Name = "T"; Unit = "K"']
)
def test_other_words_and_units_of_other_quantities(axis: str, tmp_path: Path) -> None:
    path = copied("time", tmp_path, **{'Name = "Time"; Unit = "s"': axis})
    with pytest.raises(UnsupportedError, match="a stack over"):
        readers.read(path)


def test_an_unknown_unit_of_energy_is_asked_for(tmp_path: Path) -> None:
    path = copied("kev", tmp_path, keV="Rydberg")
    with pytest.raises(InputError, match=r"'Rydberg'.*ingest: energy_unit"):
        readers.read(path)
    (recording,) = readers.read(path, ReadChoices(energy_unit="keV"))
    assert recording.energy_ev[0] == 700.0
    assert "StackAxis is taken in keV, as was chosen" in recording.notes


def test_an_image_at_one_field_has_the_monochromators_energy(tmp_path: Path) -> None:
    path = copied("field", tmp_path, **{"(3, 10.000, 20.000, 30.000)": "(1, 10.0)", '"Image Stack"': '"Image"'})
    for frame in tmp_path.glob("field_a00[12].xim"):
        frame.unlink()
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    assert recording.energy_ev.tolist() == [707.8]
    assert "StackAxis is MagnetField: the photon energy is the monochromator's reading" in recording.notes
