"""Units by the long names that NeXus allows; an unknown unit of what is not needed is a lack, no refusal."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, case, command
from tests.cases.test_04_millimetres_without_unit import STAGES

FILE = SPECTRA / "09-unit-of-the-dwell" / "msec.hdf5"


def with_units(folder: Path, **units: str) -> StxmRecording:
    path = folder / "scan.hdf5"
    path.write_bytes(FILE.read_bytes())
    with h5py.File(path, "a") as file:
        for name, unit in units.items():
            file[f"entry1/counter0/{name}"].attrs["units"] = unit
    recording = readers.read_scan((path,))
    assert isinstance(recording, StxmRecording)
    return recording


def test_milliseconds() -> None:
    recording = readers.read_scan((FILE,))
    np.testing.assert_array_equal(recording.dwell_ms, 3.0)
    assert "dwell_ms                     3\n" in command("inspect", FILE).stdout


@pytest.mark.parametrize("unit", ["msec", "millisecond", "ms", "MILLISECONDS"])
def test_other_spellings(unit: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(with_units(tmp_path, count_time=unit).dwell_ms, 3.0)


def test_energies_and_positions_by_their_long_names(tmp_path: Path) -> None:
    recording = with_units(tmp_path, energy="electronvolt", sample_x="micrometers", sample_y="microns")
    assert recording.energy_ev[0] == 704.0
    assert np.diff(recording.x_um).mean() == pytest.approx(0.06)


def test_an_unknown_unit_of_the_dwell_is_a_lack(tmp_path: Path) -> None:
    recording = with_units(tmp_path, count_time="fortnights")
    assert np.isnan(recording.dwell_ms).all()
    assert "dwell time (its unit 'fortnights' is not known)" in recording.lacks


@pytest.mark.long
def test_both_discs_come_out(tmp_path: Path) -> None:
    stack = case(FILE.parent.name, tmp_path, FILE.name)
    stack.fill()
    done = stack.run(*(word for stage in STAGES for word in ("--stage", stage)))
    assert done.exit_code == 0, done.stdout
    assert stack.soc() == pytest.approx([0.18, 0.83], abs=0.015)
