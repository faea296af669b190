"""Positions without a unit: in the one in which a microscope has such pixels, said; else a question, before the run."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import ReadChoices, StxmRecording
from tests.cases.campaigns import SPECTRA, Case, case, command

FILE = SPECTRA / "04-millimetres-without-unit" / "i08.nxs"
STAGES = ("ingest", "absorbance", "align", "fit", "segment", "infer")


def scaled(folder: Path, factor: float) -> Path:
    """The file with positions in another unit, which it does not say."""
    folder.mkdir(exist_ok=True)
    path = folder / "i08.nxs"
    path.write_bytes(FILE.read_bytes())
    with h5py.File(path, "a") as file:
        for name in ("sample_x", "sample_y"):
            file[f"entry1/Counter1/{name}"][...] *= factor
    return path


def pixel_nm(recording: object) -> float:
    assert isinstance(recording, StxmRecording)
    return float(np.diff(recording.x_um).mean() * 1e3)


def test_millimetres_are_taken_and_said() -> None:
    recording = readers.read_scan((FILE,))
    assert pixel_nm(recording) == pytest.approx(60.0)
    assert "unit of sample_x (taken as mm: in um its step would be 6e-05 um)" in recording.lacks
    assert "taken as mm" in command("inspect", FILE).stdout


@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "m"), (1e3, "um"), (1e6, "nm")])
def test_other_units(factor: float, unit: str, tmp_path: Path) -> None:
    recording = readers.read_scan((scaled(tmp_path, factor),))
    assert pixel_nm(recording) == pytest.approx(60.0)
    assert any(f"unit of sample_x (taken as {unit}" in lack for lack in recording.lacks)


def test_a_unit_that_is_chosen(tmp_path: Path) -> None:
    """In um the pixels are of 5 nm, in mm of 5 um: a microscope may have either."""
    path = scaled(tmp_path, 5e-3 / 6e-5)
    assert pixel_nm(readers.read_scan((path,))) == pytest.approx(5.0)
    recording = readers.read_scan((path,), choices=ReadChoices(position_unit="mm"))
    assert pixel_nm(recording) == pytest.approx(5000.0)
    assert "sample_x is taken in mm, as was chosen" in recording.notes


def test_pixels_that_are_possible_in_no_unit_are_asked_about_before_the_run(tmp_path: Path) -> None:
    path = scaled(tmp_path, 1e-12)
    with pytest.raises(InputError, match="no microscope has such pixels"):
        readers.read_scan((path,))
    assert "cannot process it" in command("inspect", path).stdout
    command("init", tmp_path)
    asked = Case(tmp_path)
    asked.fill()
    refused = command("validate", asked.campaign)
    assert refused.exit_code == 2
    assert "position_unit" in refused.stdout


@pytest.mark.long
def test_both_discs_come_out(tmp_path: Path) -> None:
    stack = case(FILE.parent.name, tmp_path, FILE.name)
    stack.fill()
    done = stack.run(*(word for stage in STAGES for word in ("--stage", stage)))
    assert done.exit_code == 0, done.stdout
    assert stack.soc() == pytest.approx([0.18, 0.83], abs=0.015)
