"""From a folder of beamline files to a campaign to complete."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from stxmdist.campaign.init import init
from stxmdist.campaign.manifest import load
from stxmdist.campaign.scan import COLUMNS, UNNAMED
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
    assert rows[2]["reason"] == "one photon energy only: a state of charge needs a stack"
    assert rows[3]["reason"] == "a line scan is not processed"
    assert [path.name for path, _ in started.not_understood] == ["odd.bin"]
    assert "5 scans, 2 of them excluded" in str(started)
    assert "not understood: odd.bin" in str(started)


def test_a_campaign_can_run_as_it_was_begun_and_electrodes_are_named_in_their_place(folder: Path) -> None:
    started = init(folder, describe)
    assert {scan.electrode_id for scan in load(started.campaign).scans} == {UNNAMED}
    started.sheet.write_text(started.sheet.read_text().replace(UNNAMED, "E1"))
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
    (folder / "samples.csv").unlink()
    (folder / "campaign.yaml").write_text("mine: true")
    init(folder, describe)
    assert (folder / "campaign.yaml").read_text() == "mine: true"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_second_call_adds_what_is_new_and_touches_nothing_else(folder: Path, end: str) -> None:
    started = init(folder, describe)
    sheet, campaign = started.sheet, started.campaign
    edited = sheet.read_text().replace("stack,day 2/stack.hdr,stxm,", "mine,day 2/stack.hdr,stxm,E7")
    sheet.write_text(edited.replace("\n", end), newline="")
    campaign.write_text(campaign.read_text() + "# a comment of mine\n")
    before = sheet.read_bytes(), campaign.read_bytes()
    again = init(folder, describe)
    assert (again.entries, again.kept) == ((), 5)
    assert "Nothing is new." in str(again)
    assert (sheet.read_bytes(), campaign.read_bytes()) == before

    (folder / "day 3").mkdir()
    for name in ("stack.hdr", "line.hdr"):
        (folder / "day 3" / name).write_bytes(b"x")
    later = init(folder, describe)
    assert [entry.scan_id for entry in later.entries] == ["line-2", "stack"]
    assert "5 rows kept as they were, 2 scans, 1 of them excluded with the reason added" in str(later)
    assert sheet.read_bytes().startswith(before[0])
    assert campaign.read_bytes() == before[1]
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows[5:]] == ["day 3/line.hdr", "day 3/stack.hdr"]
    assert (rows[5]["exclude"], rows[5]["reason"]) == ("true", "a line scan is not processed")
    assert sheet.read_bytes().count(end.encode()) == 8


def test_a_short_sheet_under_another_name_gets_rows_and_the_columns_that_they_want(folder: Path) -> None:
    (folder / "campaign.yaml").write_text("name: a\nsamples: mine.csv\n")
    sheet = folder / "mine.csv"
    sheet.write_bytes("\ufeffscan_id,file,modality,electrode_id\nA,stack.hdr,stxm,E1".encode())
    init(folder, describe)
    lines = sheet.read_text("utf-8").splitlines()
    assert lines[:2] == ["\ufeffscan_id,file,modality,electrode_id,exclude,reason", "A,stack.hdr,stxm,E1"]
    assert "scan,day 2/scan.cxi,ptychography,unnamed,," in lines
    assert "line,line.hdr,stxm,,true,a line scan is not processed" in lines
    assert not (folder / "samples.csv").exists()


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
    reasons = {entry.files[0].name: entry.reason for entry in started.entries}
    assert reasons["stxm-scan.hdr"] == "aborted: 32 of 34 frames are missing"
    # The aborted scan is of nickel, and no other scan covers an edge.
    assert reasons["Sample_Stack_2021-03-16_128.hdf5"].startswith("another edge: 280.0 to 320.0 eV, C K, where NMC")
    assert reasons["Sample_Line_2021-03-16_096.hdf5"].startswith("a line scan shows no whole particles")
    assert reasons["Focus_2021-03-16_051.hdf5"] == "a focus scan is not processed"
    assert "no frames" in reasons["NS_181111148.hdr"]
    assert "reconstruction" in reasons["ptycho-scan-856eV.cxi"]
    # The files of one beamline say when their scans began, and those of the other too.
    assert {entry.beamtime_id for entry in started.entries if entry.recording is not None} == {
        "2018-11-10",
        "2021-03-16",
    }


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("reduced.txt", "oxidized.txt"), ("reduced.txt", "oxidized.txt")),
        (("reduced.txt",), ()),
        (("reduced.txt", "oxidized.txt", "fp.txt"), ()),  # which of two charged ones is meant, nothing says
    ],
)
def test_spectra_whose_names_say_what_they_are_are_taken_for_the_end_members(
    folder: Path, names: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    for name in names:
        (folder / name).write_text("".join(f"{energy} {int(energy > 708)}\n" for energy in range(695, 736)))
    started = init(folder, describe)
    references = load(started.campaign).references
    found = () if references is None else (references.discharged.name, references.charged.name)
    assert found == taken
    for name in names:
        assert f'"{name}"' in started.campaign.read_text()


def test_spectra_that_do_not_reach_every_scan_are_only_named(folder: Path) -> None:
    for name in ("reduced.txt", "oxidized.txt"):
        (folder / name).write_text("".join(f"{energy} {int(energy > 708)}\n" for energy in range(704, 721)))
    started = init(folder, describe)
    assert load(started.campaign).references is None
    assert '#   discharged: "reduced.txt"' in started.campaign.read_text()
