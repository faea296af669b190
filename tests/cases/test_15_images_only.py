"""Scans of which no state of charge can be had or is wanted: images, and words that say that nothing is fitted."""

import csv
import shutil
from pathlib import Path

import pytest

from stxmdist.cli.app import DONE, WRONG_INPUT
from tests.cases.campaigns import SPECTRA, Case, case, command, document

FITTED = ("fit", "segment", "register", "network", "react")


@pytest.fixture(scope="module")
def other_edge(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A stack over the carbon edge and an image at one energy, as `init` leaves them, run."""
    found = case("11-wrong-edge-validates", tmp_path_factory.mktemp("images") / "other")
    result = found.run()
    assert result.exit_code == DONE, result.output
    return found


def test_init_proposes_images_where_no_edge_of_the_library_is_covered(other_edge: Case) -> None:
    assert "\nchemistry: none\n" in other_edge.campaign.read_text()
    assert {row["exclude"] for row in other_edge.rows()} == {""}
    assert {row["electrode_id"] for row in other_edge.rows()} == {""}


def test_a_run_ends_well_and_says_that_nothing_was_fitted(other_edge: Case) -> None:
    verdict = document("status", other_edge.campaign)["verdict"]
    assert verdict["usable"]
    assert [(scan["state"], scan["images_only"]) for scan in verdict["by_scan"]] == [("done", True)] * 2
    assert verdict["sentence"] == "2 scans. 2 scans processed for images alone (chemistry: none)."


def test_images_are_published_and_nothing_else(other_edge: Case) -> None:
    assert len(list((other_edge.folder / "store" / "stages" / "align").iterdir())) == 2
    # An image of one energy holds no spectra to tell apart.
    assert [path.name for path in (other_edge.folder / "store" / "stages" / "explore").iterdir()] == ["carbon"]
    assert not any((other_edge.folder / "store" / "stages" / stage).exists() for stage in FITTED)


def test_the_page_shows_the_images_and_no_empty_statistics(other_edge: Case) -> None:
    page = (other_edge.folder / "store" / "report" / "index.html").read_text()
    assert page.count("An image alone is wanted of this scan") == 2
    assert "nothing is fitted (chemistry: none)" in page
    assert "State of charge of particles" not in page


def test_one_row_without_chemistry_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    found = case("01-no-soc-no-word", tmp_path / "mixed")
    found.fill()
    alone = _units(found)
    shutil.copy(SPECTRA / "11-wrong-edge-validates" / "carbon.hdf5", found.folder)
    command("init", found.folder)
    rows = {row["scan_id"]: row for row in found.rows()}
    assert rows["carbon"]["reason"].startswith("another edge")
    rows["carbon"] |= {"exclude": "", "reason": "", "chemistry": "none"}
    _write(found, list(rows.values()))
    both = _units(found)
    assert {stage: both[stage] - alone[stage] for stage in both if both[stage] != alone[stage]} == {
        "ingest": 1,
        "absorbance": 1,
        "align": 1,
        "explore": 1,
    }


def _units(found: Case) -> dict[str, int]:
    return {row["stage"]: row["units"] for row in document("plan", found.campaign)["stages"]}


def test_an_electrode_that_nobody_named_is_told_and_beside_named_ones_refused(tmp_path: Path) -> None:
    found = case("12-single-energy-images", tmp_path / "unnamed")
    rows = found.rows()
    told = command("validate", found.campaign)
    assert told.exit_code == DONE
    assert "init did not know the electrodes" in told.stdout
    twice = [rows[0], rows[0] | {"scan_id": "named", "electrode_id": "E1"}]
    _write(found, twice)
    refused = command("validate", found.campaign)
    assert refused.exit_code == WRONG_INPUT
    assert "electrode_id: the scan has still the electrode that init wrote, and others are named" in refused.stdout


def test_references_that_nothing_would_use_are_told(tmp_path: Path) -> None:
    found = case("11-wrong-edge-validates", tmp_path / "references")
    (found.folder / "beam.txt").write_text("700 1000\n710 1100\n720 1200\n")
    found.set(references={"i0": "beam.txt"})
    told = command("validate", found.campaign)
    assert told.exit_code == WRONG_INPUT
    assert "chemistry none fits nothing" in told.stdout


def _write(found: Case, rows: list[dict[str, str]]) -> None:
    with found.sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
