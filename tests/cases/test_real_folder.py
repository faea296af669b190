"""Every real file of four beamlines in one folder: each scan has a line that says why, or is planned."""

import shutil
from pathlib import Path

import pytest

from stxmdist.cli.app import DONE, IN_PART, WRONG_INPUT
from tests.cases.campaigns import Case, command, document

FE, STAR = "71214078", "aps-siemens-star"
REASONS = {
    # Scan: why `init` leaves it out, and what `validate` says where somebody takes it in all the same.
    "stxm-scan": ("aborted: 32 of 34 frames are missing", "the scan was aborted: 32 of 34 frames are missing"),
    "NS_181111148": ("there are no frames beside the header", "there are no frames beside the header"),
    "ptycho-scan-856eV": ("a reconstruction", "a reconstruction"),
    "Sample_Image_2021-03-16_095": ("one photon energy only", "one photon energy alone"),
    "Sample_Stack_2021-03-16_128": ("another edge: 280.0 to 320.0 eV, C K", "280.0 to 320.0 eV, C K"),
    "Sample_Line_2021-03-16_096": ("a line scan shows no whole particles", "a line scan shows no whole particles"),
    "Focus_2021-03-16_051": ("a focus scan is not processed", "a focus scan is not processed"),
    "PETRAIII_P25_Near_Field_Ptycho": ("near-field ptychography", "near-field ptychography"),
    STAR: ("another edge: 8800.0 eV", "one photon energy alone"),
}


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """All of them, as `init` leaves them."""
    path = tmp_path_factory.mktemp("real") / "all"
    shutil.copytree(shared_data, path)
    assert command("init", path).exit_code == DONE
    return Case(path)


def test_init_says_why_it_leaves_each_out(folder: Case) -> None:
    rows = {row["scan_id"]: row for row in folder.rows()}
    assert {FE, *REASONS} == set(rows)
    assert rows[FE]["exclude"] == ""
    for scan_id, (reason, _) in REASONS.items():
        assert rows[scan_id]["exclude"] == "true"
        assert rows[scan_id]["reason"].startswith(reason)
    text = folder.campaign.read_text()
    assert "\nchemistry: LFP\n" in text
    for line in (
        '\n  discharged: "als-11.0.2-fe-stack/reduced.t"',
        '\n  charged: "als-11.0.2-fe-stack/oxidized.t"',
        '#   i0: "als-11.0.2-fe-stack/i0.xsp"',
    ):
        assert line in text
    days = {scan_id: row["beamtime_id"] for scan_id, row in rows.items() if row["beamtime_id"]}
    assert days[FE] == "2007-12-14"
    assert len(set(days.values())) == 3


def test_validate_plan_and_run_say_the_same_of_each(folder: Case, tmp_path: Path) -> None:
    taken = Case(shutil.copytree(folder.folder, tmp_path / "taken"))
    taken.fill()
    lines = {row["scan_id"]: number for number, row in enumerate(taken.rows(), start=2)}
    result = command("validate", taken.campaign)
    assert result.exit_code == WRONG_INPUT
    planned = document("plan", taken.campaign)
    refused = {refusal["scan_id"]: refusal["sentence"] for refusal in planned["refusals"]}
    assert set(refused) == set(REASONS)
    for scan_id, (_, words) in REASONS.items():
        assert any(f":{lines[scan_id]}: {scan_id}, " in line and words in line for line in result.stdout.splitlines())
        assert words in refused[scan_id]
    units = {row["stage"]: row["units"] for row in planned["stages"]}
    # The star at 8.8 keV is worth its image and its resolution; nothing is spent on the other eight.
    assert (units["ingest"], units["stitch"], units["absorbance"], units["segment"]) == (2, 1, 1, 1)
    ran = taken.run("--stage", "ingest", "--json")
    assert ran.exit_code == IN_PART
    assert {path.name for path in (taken.folder / "store" / "stages" / "ingest").iterdir()} == {FE, STAR}
