"""Images of one field at several photon energies, a file each, are one stack where a row names them together."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, TO_THE_TABLES, Case, case, command

CASE = SPECTRA / "12-single-energy-images"
# Right results of this truth, which the default correction for the zone plate gives; with three energies.
LOW, HIGH, NEAR = 0.2, 0.8, 0.04


def one_row(found: Case, cell: str) -> None:
    """A sheet of one scan, which names these files."""
    row = found.rows()[0] | {"scan_id": "map", "file": cell, "electrode_id": "E1", "exclude": "", "reason": ""}
    with found.sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)


def test_three_images_give_what_one_stack_gives(tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path)
    one_row(found, "im2.hdr;im0.hdr;im1.hdr")
    assert command("validate", found.campaign).exit_code == 0
    ended = found.run(*TO_THE_TABLES)
    assert ended.exit_code == 0, ended.stdout
    np.testing.assert_allclose(found.soc(), [LOW, HIGH], atol=NEAR)
    assert set(found.table()["file"]) == {"im2.hdr;im0.hdr;im1.hdr"}


def test_each_image_keeps_its_own_dwell_time_and_current(tmp_path: Path) -> None:
    for file in CASE.glob("im*"):
        shutil.copy(file, tmp_path)
    header = tmp_path / "im1.hdr"
    header.write_text(header.read_text().replace("Dwell = 3;", "Dwell = 5;").replace("400.1", "380.0"))
    found = readers.read_scan([tmp_path / f"im{number}.hdr" for number in range(3)])
    assert isinstance(found, StxmRecording)
    assert found.energy_ev.tolist() == [704.0, 708.0, 710.0]
    assert found.dwell_ms.tolist() == [3.0, 5.0, 3.0]
    assert found.ring_current_ma.tolist() == [400.1, 380.0, 400.1]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path)
    one_row(found, "im0.hdr;im1.hdr;im7.hdr")
    validated = command("validate", found.campaign)
    assert validated.exit_code == 2
    assert "im7.hdr" in validated.stdout


@pytest.mark.parametrize("other", ["polluxconv.hdr"])
def test_images_of_another_field_are_refused_in_validate(other: str, tmp_path: Path) -> None:
    found = case(CASE.name, tmp_path)
    for file in (SPECTRA / "13-said-but-not-so").glob("polluxconv*"):
        shutil.copy(file, found.folder)
    one_row(found, f"im0.hdr;{other}")
    validated = command("validate", found.campaign)
    assert validated.exit_code == 2
    assert "the files are not images of one field" in " ".join(validated.stdout.split())
