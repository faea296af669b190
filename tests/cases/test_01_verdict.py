"""Scans that give no state of charge say so, say why, and name the option: on the screen, in JSON, in the tables."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cases.campaigns import SPECTRA, TO_THE_TABLES, Case, case, document
from tests.cases.discs import campaign_of, write_discs

# No warning of a library reaches the screen: here each would stop its unit.
pytestmark = pytest.mark.filterwarnings("error")

"""The report takes longest and computes nothing."""


def ran(found: Case, status: int) -> tuple[str, dict[str, object]]:
    """What `run` prints, and what it says with ``--json`` when everything was done before; both end alike."""
    first, again = found.run(*TO_THE_TABLES), found.run(*TO_THE_TABLES, "--json")
    assert (first.exit_code, again.exit_code) == (status, status)
    said = json.loads(again.stdout)
    assert said["units_run"] == 0
    assert f"Verdict: {said['verdict']['sentence']}" in first.stdout
    return first.stdout, said["verdict"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Case:
    found = case("01-no-soc-no-word", tmp_path_factory.mktemp("film"))
    found.fill()
    found.set(stages={"fit": {"background": "none"}})
    return found


@pytest.mark.slow
def test_a_film_below_the_particles_is_said_with_its_mend(film: Case) -> None:
    out, verdict = ran(film, status=0)
    assert (verdict["particles"], verdict["particles_with_soc"], verdict["usable"]) == (2, 2, True)
    line = next(line for line in out.splitlines() if line.startswith("film: "))
    assert line.startswith("film: 2 of 2 particles have a state of charge, in doubt: 0.34 of optical density before ")
    assert line.endswith("where the end-members have 0.22; stages: fit: background: constant")
    assert document("status", film.campaign)["verdict"] == verdict
    # The film is no reason to leave particles out: it is an error, and their flags say that something is missing.
    table = film.table().sort_values("y_um")
    assert (abs(table["soc_mean"] - np.array([0.2, 0.8])) < table["soc_se"]).all()
    assert table["flags"].str.contains("missing component").all()


def test_the_option_that_was_named_mends_it(film: Case) -> None:
    film.set(stages={"fit": {"background": "constant"}})
    _, verdict = ran(film, status=0)
    assert (verdict["particles_with_soc"], verdict["usable"]) == (2, True)
    # True values are 0.2 and 0.8; the default corrects for a zone plate that this file was not blurred with.
    assert film.soc() == pytest.approx([0.2, 0.8], abs=0.05)
    assert len(film.table("exclusions")) == 0


def test_particles_that_let_no_light_through(tmp_path: Path) -> None:
    write_discs(tmp_path / "thick.hdr", thickness_nm=1000.0, counts=1e6)
    out, verdict = ran(campaign_of(tmp_path), status=1)
    assert (verdict["particles"], verdict["particles_with_soc"]) == (2, 0)
    assert "of the particles' pixels are too thick: above an optical density of 6" in out
    assert "fit: classes: most_od" in out


def test_a_field_with_nothing_in_it(tmp_path: Path) -> None:
    write_discs(tmp_path / "bare.hdr", thickness_nm=100.0, soc=())
    found = campaign_of(tmp_path)
    out, verdict = ran(found, status=1)
    assert (verdict["particles"], verdict["usable"]) == (0, False)
    assert "bare: no particle was found. 100 % of the field's pixels are background: " in out
    assert "below 0.05" in out
    left_out = found.table("exclusions")
    assert left_out["what"].tolist() == ["scan", "pixel"]
    assert left_out["n"].tolist() == [1, 1600]


def test_half_of_the_scans_are_refused(tmp_path: Path) -> None:
    write_discs(tmp_path / "good.hdr", thickness_nm=100.0)
    write_discs(tmp_path / "fine.hdr", thickness_nm=80.0, soc=(0.5,))
    write_discs(tmp_path / "lost.hdr", thickness_nm=100.0)
    for file in SPECTRA.glob("11-wrong-edge-validates/carbon*"):
        shutil.copy(file, tmp_path)
    found = campaign_of(tmp_path)
    (tmp_path / "lost.hdr").write_bytes(b"")
    out, verdict = ran(found, status=1)
    states = {scan["scan_id"]: scan["state"] for scan in verdict["by_scan"]}  # type: ignore[attr-defined]
    assert {name for name, state in states.items() if state == "done"} == {"good", "fine"}
    assert set(states.values()) == {"done", "stopped"}
    assert (verdict["particles_with_soc"], verdict["usable"]) == (3, False)
    assert "2 scans stopped before particles were looked for." in out
    assert sum(line.startswith("not done: ") for line in out.splitlines()) == 2
    why = found.table("exclusions").set_index("scan_id")["why"]
    for scan in verdict["by_scan"]:  # type: ignore[attr-defined]
        if scan["state"] == "stopped":
            assert why[scan["scan_id"]] in scan["sentence"]
