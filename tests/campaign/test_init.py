"""From a folder of beamline files to a campaign to complete."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from stxmdist.campaign.init import init
from stxmdist.campaign.manifest import load
from stxmdist.campaign.problems import CampaignError
from stxmdist.campaign.scan import COLUMNS
from stxmdist.errors import InputError
from stxmdist.readers.recording import Description

KINDS: dict[str, dict[str, Any]] = {
    "stack.hdr": {"kind": "image stack", "energies_ev": (700.0, 730.0)},
    "image.hdr": {"kind": "image", "energies_ev": (710.0, 710.0)},
    "line.hdr": {
        "kind": "line scan",
        "usable": False,
        "refusal": "line.hdr: a line scan is not processed; got x, wanted y",
    },
    "scan.cxi": {"kind": "ptychography", "format": "cxi", "energies_ev": (706.0, 722.5)},
}


def describe(path: Path) -> Description:
    if path.name not in KINDS:
        raise InputError(where=path, problem="no reader knows this", got="text", wanted="SDF", mend="Look at it")
    said = {"source": path, "format": "sdf", "usable": True} | KINDS[path.name]
    return Description(**said | {"refusal": said.get("refusal", "").replace("line.hdr", str(path))})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / 'beam "time" 1: Mai'
    for name in (
        "stack.hdr",
        "image.hdr",
        "line.hdr",
        "day 2/scan.cxi",
        "day 2/stack.hdr",
        "stack_a000.xim",
        "odd.bin",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_every_beamline_file_becomes_a_row(folder: Path) -> None:
    started = init(folder, describe)
    with started.sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["scan_id"], row["file"], row["modality"], row["exclude"]) for row in rows] == [
        ("scan", "day 2/scan.cxi", "ptychography", ""),
        ("stack", "day 2/stack.hdr", "stxm", ""),
        ("image", "image.hdr", "stxm", "true"),
        ("line", "line.hdr", "stxm", "true"),
        ("stack-2", "stack.hdr", "stxm", ""),
    ]
    assert rows[3]["reason"] == "a line scan is not processed"
    assert [path.name for path, _ in started.not_understood] == ["odd.bin"]
    assert "5 scans, 2 of them excluded" in str(started)
    assert "not understood: odd.bin" in str(started)


def test_what_is_missing_is_told_by_validation_and_completing_it_is_enough(folder: Path) -> None:
    started = init(folder, describe)
    with pytest.raises(CampaignError) as caught:
        load(started.campaign)
    assert [problem.where for problem in caught.value.problems] == [
        f"{scan}, electrode_id" for scan in ("scan", "stack", "stack-2")
    ]
    text = started.sheet.read_text().replace("stxm,", "stxm,E1").replace("ptychography,", "ptychography,E1")
    started.sheet.write_text(text)
    campaign = load(started.campaign)
    assert campaign.name == folder.name
    assert campaign.chemistry == "LFP"
    assert campaign.store == folder / "store"
    assert "3 scans over the Fe L edge" in started.campaign.read_text()


def test_what_is_there_is_never_overwritten(folder: Path) -> None:
    (folder / "samples.csv").write_text("mine")
    with pytest.raises(InputError, match="never overwrites a file"):
        init(folder, describe)
    assert (folder / "samples.csv").read_text() == "mine"
    assert not (folder / "campaign.yaml").exists()


def test_a_folder_without_beamline_files_gets_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "notes.txt"):
        with pytest.raises(InputError):
            init(path, describe)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_real_files_of_two_beamlines(shared_data: Path, tmp_path: Path) -> None:
    for name in ("pollux-nxstxm", "cosmic-ni"):
        shutil.copytree(shared_data / name, tmp_path / name)
    started = init(tmp_path)
    reasons = {entry.file.name: entry.reason for entry in started.entries}
    processed = {name for name, reason in reasons.items() if not reason}
    assert processed == {"stxm-scan.hdr", "Sample_Stack_2021-03-16_128.hdf5"}
    assert reasons["Sample_Line_2021-03-16_096.hdf5"] == "a line scan shows no whole particles"
    assert "no frames" in reasons["NS_181111148.hdr"]
    assert "reconstruction" in reasons["ptycho-scan-856eV.cxi"]
    # Ni L edge: the only scan of an edge that a cathode chemistry has.
    assert "\nchemistry: NMC\n" in started.campaign.read_text()
