"""A simulated file is known by the receipt of its simulation, and by nothing else."""

from pathlib import Path

from stxmdist.campaign.manifest import load
from stxmdist.simulation.recognise import simulated_files
from tests.stages.tiny import STXM


def test_a_name_does_not_make_a_file_simulated(simulated: Path, tmp_path: Path) -> None:
    copied = tmp_path / "beamline" / f"{STXM[0]}.hdr"
    copied.parent.mkdir()
    copied.touch()
    assert simulated_files([copied]) == frozenset()
    (own,) = (scan.file for scan in load(simulated).scans if scan.scan_id == STXM[0])
    assert simulated_files([copied, own]) == {own}


def test_a_file_that_took_the_place_of_a_simulated_one_is_measured(tmp_path: Path) -> None:
    file, receipt = tmp_path / "beamline" / "one.hdf5", tmp_path / "truth" / "scans" / "one.json"
    for path in (file, receipt):
        path.parent.mkdir(parents=True)
    file.write_bytes(b"four")
    for written, expected in (
        ('{"files": {"beamline/one.hdf5": 4}}', {file}),
        ('{"files": {"beamline/one.hdf5": 5}}', set()),
        ('{"files": {}}', set()),
        ("[]", set()),
        ("no receipt", set()),
    ):
        receipt.write_text(written)
        assert simulated_files([file]) == expected
