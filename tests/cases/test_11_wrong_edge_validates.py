"""Scans of another edge and single images are named by validate, plan and run alike, with their line, at no cost."""

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from stxmdist.cli.app import IN_PART, WRONG_INPUT
from stxmdist.writers import sdf
from tests.cases.campaigns import SPECTRA, Case, case, command, document

AXIS_UM = np.arange(12) * 0.06
FE_EV = [704.0, 706.0, 708.0, 709.0, 710.0, 712.0, 715.0, 722.0]


def write(path: Path, energies_ev: list[float], day: int = 1, seed: int = 0) -> Path:
    """A stack of noise: nobody looks at its pixels."""
    frame = np.random.default_rng(seed).poisson(1000.0, (12, 12))
    at = datetime(2026, 5, day)
    return sdf.write_stack(path, lambda energy: frame, energies_ev, AXIS_UM, AXIS_UM, 1.0, 500.0, start_time=at)[0]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case, and beside it a Ni L stack, a scan broken off after two frames, a copy, and a scan that is right."""
    folder = tmp_path_factory.mktemp("mixed")
    write(folder / "right.hdr", FE_EV, day=2)
    write(folder / "nickel.hdr", [848.0, 853.0, 855.0, 860.0], day=3)
    write(folder / "aborted.hdr", FE_EV, day=4, seed=1)
    for frame in range(2, 8):
        (folder / f"aborted_a{frame:03d}.xim").unlink()
    (folder / "copied").mkdir()
    for path in folder.glob("right*"):
        shutil.copy2(path, folder / "copied" / path.name)
    found = case("11-wrong-edge-validates", folder)
    found.fill()
    text = found.campaign.read_text()
    found.campaign.write_text(text.replace("chemistry: NMC", "chemistry: LFP"))
    return found


WORDS = {
    "carbon": [
        "too few energies lie inside the references; got 0 of 8 (284.0 to 302.0 eV, C K)",
        "Fe L (703 to 732 eV)",
    ],
    "one": ["one photon energy alone gives no state of charge; got 709.0 eV, Fe L", "one.hdr;two.hdr;three.hdr"],
    "nickel": ["got 0 of 4 (848.0 to 860.0 eV, Ni L)"],
    "aborted": ["the scan was aborted: 6 of 8 frames are missing; got 2 frames, at 704.0, 706.0 eV"],
}


def lines_of(found: Case) -> dict[str, int]:
    return {row["scan_id"]: line for line, row in enumerate(found.rows(), start=2)}


def test_validate_names_each_with_its_line(mixed: Case) -> None:
    result = command("validate", mixed.campaign)
    assert result.exit_code == WRONG_INPUT
    lines = lines_of(mixed)
    for scan_id, words in WORDS.items():
        (said,) = [line for line in result.stdout.splitlines() if f": {scan_id}, file: " in line]
        assert said.startswith(f"{mixed.sheet}:{lines[scan_id]}: ")
        assert all(word in said for word in words), said
    copies = [line for line in result.stdout.splitlines() if "the file is a copy of another row's" in line]
    assert len(copies) == 1
    assert result.stdout.splitlines()[-1] == "5 mistakes."


def test_plan_leaves_them_out_and_plans_the_other(mixed: Case) -> None:
    found = document("plan", mixed.campaign)
    units = {row["stage"]: row["units"] for row in found["stages"]}
    assert units["ingest"] == units["absorbance"] == units["fit"] == units["segment"] == 1
    assert {refusal["scan_id"] for refusal in found["refusals"]} >= set(WORDS)
    assert len(found["refusals"]) == 5


def test_run_spends_nothing_on_them(tmp_path: Path) -> None:
    found = case("11-wrong-edge-validates", tmp_path)
    found.fill()
    found.set(chemistry="LFP")
    result = found.run()
    assert result.exit_code == IN_PART
    for scan_id in ("carbon", "one"):
        assert all(word in result.stdout for word in WORDS[scan_id])
    assert not (tmp_path / "store" / "stages" / "ingest").exists()
    scans = found.table("scans")
    assert not scans["stage"].isin(["ingest", "absorbance", "align", "explore", "fit"]).any()
    excluded = found.table("exclusions")
    assert set(excluded["scan_id"]) == {"carbon", "one"}


def test_init_leaves_them_out_with_the_reason(tmp_path: Path) -> None:
    for path in (SPECTRA / "11-wrong-edge-validates").glob("*.hdf5"):
        shutil.copy(path, tmp_path)
    write(tmp_path / "right.hdr", FE_EV)
    result = command("init", tmp_path)
    assert "chemistry LFP: a guess: 1 scan over the Fe L edge" in result.stdout
    reasons = {row["scan_id"]: row["reason"] for row in Case(tmp_path).rows()}
    assert reasons["right"] == ""
    assert reasons["carbon"].startswith("another edge: 284.0 to 302.0 eV, C K, where LFP wants Fe L")
    assert reasons["one"] == "one photon energy only: a state of charge needs a stack"
    assert all(f"{scan_id} excluded: {reasons[scan_id]}" in result.stdout for scan_id in ("carbon", "one"))
