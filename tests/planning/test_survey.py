"""Digests: the same inputs give the same, and whatever changes, changes those outputs that rest on it and no other."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import CAMPAIGN, Survey
from tests.stages.tiny import PTYCHOGRAPHY, STXM, with_options

Digests = dict[tuple[str, str], str]
OWN_STAGES = tuple(name for name in STAGES if name not in ("infer", "report"))


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    """A copy that may be changed, times of files kept."""
    return copytree(simulated.parent, tmp_path / "campaign") / simulated.name


def surveyed(campaign: Path) -> Survey:
    return survey_of(*campaign_and_options(campaign))


def digests(survey: Survey) -> Digests:
    return {
        (name, scan_id): survey.digest(name, scan_id)
        for name in OWN_STAGES
        for scan_id in survey.scans
        if STAGES[name].load().concerns(survey, scan_id)
    }


def changed(before: Digests, after: Digests) -> set[tuple[str, str]]:
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}


def resting_on(survey: Survey, *roots: tuple[str, str]) -> set[tuple[str, str]]:
    """Some outputs and everything downstream of them, found by walking upstream from each output."""

    def rests(key: tuple[str, str]) -> bool:
        return key in roots or any(rests(source) for source in STAGES[key[0]].load().upstream(survey, key[1]))

    return {key for key in digests(survey) if rests(key)}


def test_the_same_inputs_give_the_same_digests(simulated: Path, campaign: Path) -> None:
    first = digests(surveyed(campaign))
    assert digests(surveyed(campaign)) == first
    # Another folder, and another store, are not another result.
    assert digests(surveyed(simulated)) == first
    assert len(set(first.values())) == len(first)


OTHER_OPTIONS: dict[str, dict[str, Any]] = {
    "ingest": {"saturated_fraction": 0.02},
    "reconstruct": {"halo_um": 0.21},
    "stitch": {"blend_illumination": 0.11},
    "absorbance": {"leak_fraction": 0.011},
    "align": {"register": False},
    "explore": {"principal": {"components": 5}},
    "fit": {"fitter": "nnls"},
    "segment": {"leak_sd": 0.003},
    "register": {"register": {"search_um": 1.5}},
    "network": {"contact_sigmas": 2.5},
    "react": {"register": {"search_um": 1.5}},
}


@pytest.mark.parametrize("stage", OWN_STAGES)
def test_an_option_changes_its_stage_and_what_rests_on_it(campaign: Path, stage: str) -> None:
    before = surveyed(campaign)
    after = surveyed(with_options(campaign, {stage: OTHER_OPTIONS[stage]}))
    of_stage = [(stage, scan_id) for scan_id in before.scans if STAGES[stage].load().concerns(before, scan_id)]
    expected = resting_on(before, *of_stage)
    assert changed(digests(before), digests(after)) == expected
    assert expected >= set(of_stage)


@pytest.mark.parametrize("scan_id", [STXM[0], STXM[1], PTYCHOGRAPHY[1]])
def test_a_file_that_holds_something_else_changes_all_of_its_scan_only(campaign: Path, scan_id: str) -> None:
    before = surveyed(campaign)
    unchanged = digests(before)
    file = before.recordings[scan_id].files[-1]
    # Behind what readers read: the header stays as it is.
    file.write_bytes(file.read_bytes() + b"\n")
    found = changed(unchanged, digests(surveyed(campaign)))
    own = {key for key in unchanged if key[1] == scan_id}
    # A pair rests on both of its scans; nothing else of the other scan does.
    partners = {("register", name) for name, stxm in before.pairs.items() if stxm == scan_id}
    assert found == own | partners == resting_on(before, ("ingest", scan_id))


@pytest.mark.parametrize("scan_id", [STXM[0], PTYCHOGRAPHY[1]])
def test_a_touched_and_renamed_scan_is_the_same_input(campaign: Path, scan_id: str) -> None:
    before = surveyed(campaign)
    unchanged = digests(before)
    files = before.recordings[scan_id].files
    stem = files[0].stem
    for file in files:
        os.utime(file, ns=(0, 0))
        file.rename(file.with_name(file.name.replace(stem, "other name")))
    suffix = files[0].suffix
    change_cell(campaign, scan_id, lambda line: line.replace(f"{stem}{suffix}", f"other name{suffix}"))
    after = surveyed(campaign)
    assert after.recordings[scan_id].files != files
    # The table of particles names the file.
    assert changed(unchanged, digests(after)) == resting_on(before, ("segment", scan_id))


def test_frames_that_change_places_are_another_input(campaign: Path) -> None:
    scan_id = next(name for name in STXM if surveyed(campaign).recordings[name].files[0].suffix == ".hdr")
    before = digests(surveyed(campaign))
    first, second = surveyed(campaign).recordings[scan_id].files[1:3]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    assert ("ingest", scan_id) in changed(before, digests(surveyed(campaign)))


def change_cell(campaign: Path, scan_id: str, change: Callable[[str], str]) -> None:
    sheet = campaign.parent / "samples.csv"
    lines = sheet.read_text().splitlines(keepends=True)
    sheet.write_text("".join(change(line) if line.startswith(scan_id + ",") else line for line in lines))


def test_a_condition_changes_the_particles_and_not_the_maps(campaign: Path) -> None:
    before = surveyed(campaign)
    cycle = before.scans[STXM[0]].cycle
    change_cell(campaign, STXM[0], lambda line: line.replace(",E01,", ",E01-other,"))
    after = surveyed(campaign)
    assert after.scans[STXM[0]].electrode_id != before.scans[STXM[0]].electrode_id
    assert after.scans[STXM[0]].cycle == cycle
    found = changed(digests(before), digests(after))
    assert found == resting_on(before, ("segment", STXM[0]))
    assert {stage for stage, _ in found} == {"segment", "register", "network"}


def test_another_seed_draws_other_reconstructions_only(campaign: Path) -> None:
    before = surveyed(campaign)
    campaign.write_text(campaign.read_text().replace("seed: 5", "seed: 6"))
    found = changed(digests(before), digests(surveyed(campaign)))
    assert found == resting_on(before, *(("reconstruct", scan_id) for scan_id in PTYCHOGRAPHY))


def test_another_version_of_a_stage_is_another_output(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = surveyed(campaign)
    unchanged = digests(before)
    align = STAGES["align"].load()
    monkeypatch.setattr("stxmdist.stages.align.STAGE", replace(align, version=align.version + 1))
    assert changed(unchanged, digests(surveyed(campaign))) == resting_on(
        before, *(("align", scan_id) for scan_id in before.scans)
    )


def test_tables_rest_on_what_is_published(processed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = surveyed(processed)
    whole = survey.digest("infer", CAMPAIGN)
    published = Survey.published
    monkeypatch.setattr(Survey, "published", lambda self, stage, name: name != STXM[0] and published(self, stage, name))
    survey.renew()
    assert survey.digest("infer", CAMPAIGN) != whole


def test_a_file_that_cannot_be_read_is_refused_and_the_others_stay(campaign: Path) -> None:
    before = surveyed(campaign)
    before.recordings[STXM[1]].files[0].write_bytes(b"nothing that anybody knows")
    after = surveyed(campaign)
    assert set(after.scans) == set(before.scans) - {STXM[1]}
    (refusal,) = after.refusals
    assert (refusal.scan_id, refusal.unit) == (STXM[1], "header")
    # Its partner has no pair any more; everything else is as it was.
    found, expected = digests(after), digests(before)
    assert all(found[key] == expected[key] for key in found)
    assert expected.keys() - found.keys() == {key for key in expected if key[1] == STXM[1]} | {
        ("register", name) for name, stxm in before.pairs.items() if stxm == STXM[1]
    }


def test_a_ptychography_file_is_no_wide_field_scan(campaign: Path) -> None:
    change_cell(campaign, PTYCHOGRAPHY[0], lambda line: line.replace(",ptychography,", ",stxm,"))
    (refusal,) = surveyed(campaign).refusals
    assert refusal.scan_id == PTYCHOGRAPHY[0]
    assert "not of the modality" in refusal.problem


def test_a_forecast_takes_everything_as_published(campaign: Path) -> None:
    survey = surveyed(campaign)
    assert not survey.published("ingest", STXM[0])
    assert survey.ready("ingest", STXM[0])
    assert not survey.ready("fit", STXM[0])
    assert replace(survey, forecast=True).ready("fit", STXM[0])
