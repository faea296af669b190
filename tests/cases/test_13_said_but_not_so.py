"""What a file says is read, what stands for unknown is no reading, and every command gives the same answer."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, case, command

CASE = SPECTRA / "13-said-but-not-so"
ANSWER = "a point spectrum shows no whole particles and is not processed"


def test_a_point_lies_where_the_header_says() -> None:
    (recording,) = readers.read(CASE / "point.hdr")
    assert isinstance(recording, StxmRecording)
    assert (recording.y_um.tolist(), recording.x_um.tolist()) == ([2668.9], [-70.5])
    assert not any("position" in lack for lack in recording.lacks)


def test_inspect_init_and_validate_give_one_answer(tmp_path: Path) -> None:
    shown = " ".join(command("inspect", CASE / "point.hdr").stdout.split())
    assert f"stxmdist cannot process it: {CASE / 'point.hdr'}: {ANSWER}" in shown
    assert "can be a spectrum under references" in shown
    found = case(CASE.name, tmp_path, "point.hdr", "point_0.xsp")
    assert ANSWER in found.rows()[0]["reason"]
    found.fill()
    validated = command("validate", found.campaign)
    assert validated.exit_code == 2
    assert ANSWER in " ".join(validated.stdout.split())


@pytest.mark.parametrize("unknown", ["-5.00", "0.00", "0.7"])
def test_what_stands_for_unknown_is_no_reading(unknown: str, tmp_path: Path) -> None:
    for file in CASE.glob("polluxconv*"):
        shutil.copy(file, tmp_path)
    header = tmp_path / "polluxconv.hdr"
    header.write_text(header.read_text().replace("Energy = -5.00", f"Energy = {unknown}"))
    (recording,) = readers.read(header)
    assert recording.energy_ev.tolist() == [704.0, 707.5, 708.0]
    assert not any("monochromator" in note for note in recording.notes)


def test_a_reading_that_is_one_is_still_compared(tmp_path: Path) -> None:
    for file in CASE.glob("polluxconv*"):
        shutil.copy(file, tmp_path)
    header = tmp_path / "polluxconv.hdr"
    header.write_text(header.read_text().replace("Energy = -5.00", "Energy = 709.5", 1))
    (recording,) = readers.read(header)
    assert "the monochromator's reading differs from the requested energy by up to 5.50 eV" in recording.notes


def test_two_regions_and_one_row_are_told_how_to_write_it(tmp_path: Path) -> None:
    header = tmp_path / "two.hdr"
    text = (CASE / "polluxconv.hdr").read_text()
    start = text.index("(1,\n{") + 4
    end = text.index("\n});\n\n\tStackAxis") + 2
    region = text[start:end]
    text = text.replace(text[start - 4 : end], f"(2,\n{region},\n{region}", 1)
    header.write_text(text.replace('"Image Stack"', '"Multi-Region Image Stack"'))
    for frame in CASE.glob("polluxconv_a*.xim"):
        for number in range(2):
            shutil.copy(frame, tmp_path / f"two_{frame.stem.rpartition('_')[2]}{number}.xim")
    with pytest.raises(
        InputError, match=r"several regions; got region0, region1.* two\.hdr#region0 and two\.hdr#region1"
    ):
        readers.read_scan((header,))


def test_frames_below_zero_are_not_called_zeros(tmp_path: Path) -> None:
    for file in CASE.glob("polluxconv*"):
        shutil.copy(file, tmp_path)
    for frame in tmp_path.glob("*.xim"):
        np.savetxt(frame, -np.loadtxt(frame) - 1.0, fmt="%g")
    command("init", tmp_path)
    found = case(CASE.name, tmp_path / "copy", "polluxconv.hdr")
    for frame in tmp_path.glob("*.xim"):
        shutil.copy(frame, found.folder)
    command("init", found.folder)
    found.fill()
    ended = found.run("--stage", "ingest", "--stage", "absorbance")
    assert ended.exit_code != 0
    assert "zeros" not in ended.stdout
