"""Data that a detector has packed: read where hdf5plugin is installed; where not, the filter is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from stxmdist import readers
from stxmdist.readers import StxmRecording
from tests.cases.campaigns import SPECTRA, case, command
from tests.cases.test_04_millimetres_without_unit import STAGES

CASE = SPECTRA / "07-bitshuffle"
FILTERS = {"bslz4.hdf5": "bitshuffle/LZ4 (32008)", "lz4.hdf5": "LZ4 (32004)"}
WITHOUT = "import sys; sys.modules['hdf5plugin'] = None; from stxmdist.__main__ import main; main()"


@pytest.mark.parametrize("file", FILTERS)
def test_read_with_the_plugin(file: str) -> None:
    pytest.importorskip("hdf5plugin")
    assert "can process it" in command("inspect", CASE / file).stdout
    recording = readers.read_scan((CASE / file,))
    assert isinstance(recording, StxmRecording)
    assert recording.read(0).min() > 3000


@pytest.mark.parametrize("words", ["inspect {path}", "init {folder}"])
def test_the_filter_is_named_without_it(words: str, tmp_path: Path) -> None:
    for file in FILTERS:
        (tmp_path / file).write_bytes((CASE / file).read_bytes())
    said = words.format(path=tmp_path / "bslz4.hdf5", folder=tmp_path).split()
    done = subprocess.run([sys.executable, "-c", WITHOUT, *said], capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    if words.startswith("init"):
        told = (tmp_path / "samples.csv").read_text()
        assert FILTERS["lz4.hdf5"] in told
    assert f"compressed by the filter {FILTERS['bslz4.hdf5']}" in " ".join(told.split())
    assert "hdf5plugin" in told
    assert "damaged" not in told


@pytest.mark.long
def test_both_discs_come_out(tmp_path: Path) -> None:
    pytest.importorskip("hdf5plugin")
    stack = case(CASE.name, tmp_path, "bslz4.hdf5")
    stack.fill()
    done = stack.run(*(word for stage in STAGES for word in ("--stage", stage)))
    assert done.exit_code == 0, done.stdout
    assert stack.soc() == pytest.approx([0.18, 0.83], abs=0.015)
