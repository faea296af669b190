"""What headers say against scans before anything runs: each with the line of the sheet and what to do."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.findings import FROM_THE_FIRST
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.planning.validation import validate
from stxmdist.writers import sdf
from tests.stages.tiny import PTYCHOGRAPHY, with_options

FE_EV = (700.0, 704.0, 706.0, 708.0, 709.0, 710.0, 712.0, 715.0)
BEGIN = datetime(2026, 5, 1, 9)


def write(
    path: Path, energies_ev: tuple[float, ...] = FE_EV, minute: int = 0, seed: int = 0, step_um: float = 0.06
) -> None:
    """A stack of noise: nobody looks at its pixels."""
    axis_um, frame = np.arange(10) * step_um, np.random.default_rng(seed).poisson(900.0, (10, 10))
    at = BEGIN + timedelta(minutes=minute)
    sdf.write_stack(path, lambda energy: frame, energies_ev, axis_um, axis_um, 1.0, 500.0, start_time=at)


def surveyed(folder: Path, rows: list[dict[str, str]], **keys: Any) -> Survey:
    """The survey of a campaign with these rows; a cell ``file`` that is left out is the scan's own."""
    columns = dict.fromkeys(["scan_id", "file", "modality", "electrode_id", *(name for row in rows for name in row)])
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        usual = {"modality": "stxm", "electrode_id": "E1"}
        writer.writerows(usual | {"file": f"{row['scan_id']}.hdr"} | row for row in rows)
    campaign = {"name": "checks", "samples": "samples.csv", "store": "store", "chemistry": "LFP"} | keys
    (folder / "campaign.yaml").write_text(yaml.safe_dump(campaign))
    return survey_of(*campaign_and_options(folder / "campaign.yaml"), forecast=True)


def said(survey: Survey) -> dict[str, str]:
    return {finding.scan_id: finding.problem.sentence for finding in survey.findings if finding.stage is not None}


def warned(survey: Survey) -> dict[str, str]:
    return {finding.scan_id: finding.problem.sentence for finding in survey.findings if finding.stage is None}


@pytest.mark.parametrize(
    ("energies_ev", "options", "words"),
    [
        ((284.0, 285.5, 290.0, 302.0), {}, ["got 0 of 4 (284.0 to 302.0 eV, C K)", "Fe L (703 to 732 eV)"]),
        ((709.0,), {}, ["one photon energy alone gives no state of charge", "709.0 eV, Fe L"]),
        ((708.0, 710.0), {"background": "constant"}, ["too few energies", "got 2 of 2", "at least 3"]),
        (FE_EV, {"pre_edge_below_ev": 690.0}, ["no energy lies before the edge", "at least one below 690 eV"]),
        ((700.0, 700.3), {}, ["the energies measured cannot"]),
    ],
)
def test_energies_that_give_no_state_of_charge(
    tmp_path: Path, energies_ev: tuple[float, ...], options: dict[str, Any], words: list[str]
) -> None:
    write(tmp_path / "wrong.hdr", energies_ev)
    write(tmp_path / "right.hdr", (700.0, *FE_EV[1:]), minute=5)
    survey = surveyed(tmp_path, [{"scan_id": "right"}, {"scan_id": "wrong"}], stages={"fit": options})
    sentence = said(survey)["wrong"]
    assert sentence.startswith(f"{tmp_path / 'samples.csv'}:3: wrong, file: ")
    for word in words:
        assert word in sentence
    if "pre_edge_below_ev" not in options:
        assert set(said(survey)) == {"wrong"}
        assert set(survey.scans) == {"right"}


def test_options_of_the_scan_decide(tmp_path: Path) -> None:
    """Two energies are enough without a background and too few with one; a column says it for one scan."""
    for minute, name in enumerate(("plain", "asked")):
        write(tmp_path / f"{name}.hdr", (708.0, 710.0), minute)
    options = {"fit": {"background": "none"}}
    rows = [{"scan_id": "plain"}, {"scan_id": "asked", "fit.background": "constant"}]
    assert set(said(surveyed(tmp_path, rows, stages=options))) == {"asked"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fitter": "two_energy", "background": "constant"}, ["two_energy looks at two energies", "background: none"]),
        ({"fitter": "complex"}, ["complex fits a phase", "fitter_ptychography"]),
    ],
)
def test_a_fitter_that_has_nothing_to_work_on(tmp_path: Path, options: dict[str, Any], words: list[str]) -> None:
    write(tmp_path / "scan.hdr")
    write(tmp_path / "pair.hdr", (708.2, 710.2), minute=5)
    sentence = said(surveyed(tmp_path, [{"scan_id": "scan"}], stages={"fit": options}))["scan"]
    for word in words:
        assert word in sentence
    two = surveyed(tmp_path, [{"scan_id": "pair"}], stages={"fit": {"fitter": "two_energy", "background": "none"}})
    assert said(two) == {}


def test_an_aborted_scan_names_the_frames_that_are_there(tmp_path: Path) -> None:
    write(tmp_path / "aborted.hdr")
    for frame in range(1, 8):
        (tmp_path / f"aborted_a{frame:03d}.xim").unlink()
    sentence = said(surveyed(tmp_path, [{"scan_id": "aborted"}]))["aborted"]
    assert "the scan was aborted: 7 of 8 frames are missing; got 1 frames, at 700.0 eV" in sentence


def test_a_copy_is_refused_and_a_scan_saved_twice_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path / "first.hdr")
    for path in tmp_path.glob("first*"):
        (tmp_path / path.name.replace("first", "copy")).write_bytes(path.read_bytes())
    write(tmp_path / "converted.hdr", seed=2)
    write(tmp_path / "other.hdr", minute=9, seed=3)
    names = ("first", "copy", "converted", "other")
    survey = surveyed(tmp_path, [{"scan_id": name} for name in names])
    # Its header names itself, so that only the frames are the same bytes: same time, field and energies.
    assert "first (line 2)" in (said(survey) | warned(survey))["copy"]
    assert (
        "looks like another row's, saved twice; got the start time, field and energies of first"
        in warned(survey)["converted"]
    )
    assert "other" not in {*said(survey), *warned(survey)}
    (tmp_path / "whole").mkdir()
    for path in tmp_path.glob("first*"):
        (tmp_path / "whole" / path.name).write_bytes(path.read_bytes())
    survey = surveyed(tmp_path, [{"scan_id": "first"}, {"scan_id": "copy", "file": "whole/first.hdr"}])
    assert "the file is a copy of another row's; got the bytes of first.hdr of first (line 2)" in said(survey)["copy"]
    assert set(survey.scans) == {"first"}


def test_a_ptychography_scan_of_another_edge_is_stitched_and_no_more(simulated: Path, tmp_path: Path) -> None:
    from shutil import copytree

    copy = copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    with_options(copy, {"fit": {"pre_edge_below_ev": 650.0}})
    survey = survey_of(*campaign_and_options(copy), forecast=True)
    assert set(survey.scans) == set(PTYCHOGRAPHY)
    planned = {
        name: {u.scan_id for u in entry.load().plan(survey, survey.options[name]).units}
        for name, entry in STAGES.items()
    }
    assert planned["ingest"] == planned["reconstruct"] == planned["stitch"] == set(PTYCHOGRAPHY)
    assert not any(planned[name] for name in ("absorbance", "align", "explore", "fit", "segment", "register"))
    assert {finding.stage for finding in survey.findings} == {FROM_THE_FIRST, "absorbance"}
    assert len(forecast_of(*campaign_and_options(copy)).refusals) == 4


def test_an_empty_field_needs_no_edge_and_must_span_the_scans(tmp_path: Path) -> None:
    write(tmp_path / "scan.hdr")
    write(tmp_path / "empty.hdr", (699.0, 716.0), minute=5)
    write(tmp_path / "narrow.hdr", (705.0, 709.0), minute=6)
    rows = [{"scan_id": name} for name in ("scan", "empty", "narrow")]
    right = surveyed(tmp_path, rows[:2], stages={"absorbance": {"i0": "scan", "i0_scan": "empty"}})
    assert said(right) == {}
    wrong = surveyed(tmp_path, [rows[0], rows[2]], stages={"absorbance": {"i0": "scan", "i0_scan": "narrow"}})
    assert "does not span this scan; got 705.00 to 709.00 eV of narrow" in said(wrong)["scan"]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (
            "700 900\n705 900\n",
            "samples.csv:2",
            "the incident spectrum does not span the scan; got 700.00 to 705.00 eV",
        ),
        ("nothing\n", "campaign.yaml", "i0.txt"),
    ],
)
def test_a_spectrum_of_the_beam_is_read_before_the_run(tmp_path: Path, text: str, where: str, words: str) -> None:
    write(tmp_path / "scan.hdr")
    (tmp_path / "i0.txt").write_text(text)
    keys = {"references": {"i0": "i0.txt"}, "stages": {"absorbance": {"i0": "file"}}}
    sentence = said(surveyed(tmp_path, [{"scan_id": "scan"}], **keys))["scan"]
    assert where in sentence
    assert words in sentence


def test_references_that_cannot_be_read_are_one_mistake_of_the_campaign_file(tmp_path: Path) -> None:
    for minute, name in enumerate(("one", "two")):
        write(tmp_path / f"{name}.hdr", minute=minute)
    (tmp_path / "a.txt").write_text("700 nothing\n")
    rows = [{"scan_id": "one"}, {"scan_id": "two"}]
    survey = surveyed(tmp_path, rows, references={"discharged": "a.txt", "charged": "a.txt"})
    assert set(said(survey)) == {"one", "two"}
    (problem,) = validate(tmp_path / "campaign.yaml").problems
    assert (problem.file.name, problem.where) == ("campaign.yaml", "references")
    assert "a.txt" in problem.got


def test_pixels_that_do_not_fit_the_microscope(tmp_path: Path) -> None:
    write(tmp_path / "coarse.hdr", step_um=0.5)
    write(tmp_path / "fine.hdr", minute=3, step_um=0.0008)
    survey = surveyed(tmp_path, [{"scan_id": "coarse"}, {"scan_id": "fine"}])
    assert "far wider than what the microscope resolves; got 500 nm" in warned(survey)["coarse"]
    assert "no microscope has such pixels" in said(survey)["fine"]
    assert "pixel_size_nm" in said(survey)["fine"]
    rows = [{"scan_id": "fine", "ingest.pixel_size_nm": "40"}]
    assert said(surveyed(tmp_path, rows)) == {}


def test_an_option_of_a_stage_that_does_not_concern_the_scan(tmp_path: Path) -> None:
    write(tmp_path / "scan.hdr")
    survey = surveyed(tmp_path, [{"scan_id": "scan", "reconstruct.model.n_modes": "2"}])
    assert "the stage reconstruct has nothing to do for this scan" in said(survey)["scan"]


def test_what_readers_assumed_is_said_before_the_run(tmp_path: Path) -> None:
    write(tmp_path / "scan.hdr")
    (tmp_path / "scan_a007.xim").unlink()
    surveyed(tmp_path, [{"scan_id": "scan"}])
    found = validate(tmp_path / "campaign.yaml")
    assert (found.mistakes, found.scans) == (0, 1)
    (notes,) = found.notes
    assert (notes.scan_id, notes.line) == ("scan", 2)
    assert any("frames are missing" in note for note in notes.notes)
    assert forecast_of(*campaign_and_options(tmp_path / "campaign.yaml")).notes == found.notes
