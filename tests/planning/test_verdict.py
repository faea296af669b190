"""The verdict: which scans gave few, the class that took most pixels, its cause, and what mends it."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from stxmdist.arrays import MaskClass
from stxmdist.campaign.manifest import load
from stxmdist.measures import FitMeasures, SegmentMeasures
from stxmdist.planning.class_words import words_of
from stxmdist.planning.exclusions import exclusions
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.notes import alike
from stxmdist.planning.verdict import ScanVerdict, Verdict, judged
from stxmdist.spectra.checks.classes import ClassOptions
from tests.stages.tiny import STXM

SEGMENT = SegmentMeasures(
    particles=13,
    particles_at_border=0,
    cover=0.3,
    particles_with_soc=0,
    particles_without_soc={"no usable pixels": 13},
    pixels_of_field={"valid": 10, "background": 800, "poor_fit": 190},
    pixels_of_particles={"valid": 50, "background": 30, "thick": 180, "poor_fit": 740},
    psf_sigma_nm=25.0,
    soc_mean=None,
    thickness_unit="nm",
    soc_effect={},
    missing_component="",
)
FIT = FitMeasures(
    energy_shift_ev=0.0,
    energy_shift_se_ev=0.0,
    energy_shift_note="",
    end_members="",
    thickness_unit="nm",
    energies_used=0,
    energy_ev=np.zeros(0),
    pixels_valid=0,
    pixels={},
    chi2_reduced=None,
    r_factor=None,
    residual=None,
    residual_se=None,
)
DONE = ScanVerdict("a", "stxm", "done")
WAITS = ScanVerdict("b", "ptychography", "waits", stage="align")
STOPPED = ScanVerdict("c", "stxm", "stopped", stage="ingest", refusal="c.hdr: the file is empty.")


def of(segment: SegmentMeasures, fit: FitMeasures | None = FIT) -> ScanVerdict:
    return judged(DONE, segment, fit, ClassOptions())


def test_the_class_that_took_most_pixels_is_named_with_what_the_fit_says_of_it() -> None:
    fit = replace(
        FIT,
        cause="2.0 of optical density before the edge where the end-members have none",
        mend="fit: background: constant",
    )
    assert of(SEGMENT, fit).sentence == (
        "none of 13 particles has a state of charge. 74 % of the particles' pixels fit poorly: 2.0 of optical density "
        "before the edge where the end-members have none; fit: background: constant"
    )
    assert [pixels.mask_class for pixels in of(SEGMENT, fit).lost] == ["poor_fit", "thick"]
    # The misfit is no reason why pixels are thick.
    assert "too thick" in of(SEGMENT, fit).lost[1].sentence
    assert "before the edge" not in of(SEGMENT, fit).lost[1].sentence


def test_where_the_fit_says_nothing_the_class_speaks_for_itself() -> None:
    assert "fit poorly: their reduced chi-square is above 3; fit: background" in of(SEGMENT).sentence
    assert of(SEGMENT, None).sentence == of(SEGMENT).sentence


@pytest.mark.parametrize(
    ("with_soc", "few"), [(0, True), (6, True), (7, False), (13, False)], ids=["none", "less than half", "half", "all"]
)
def test_few_is_less_than_half(with_soc: int, few: bool) -> None:
    scan = of(replace(SEGMENT, particles_with_soc=with_soc))
    assert scan.few == bool(scan.sentence) == bool(scan.lost) == few
    assert scan.usable == (with_soc > 0)


def test_a_field_in_which_no_particle_was_found_is_judged_by_all_its_pixels() -> None:
    empty = replace(SEGMENT, particles=0, particles_without_soc={}, pixels_of_particles={})
    scan = of(empty)
    assert scan.sentence.startswith("no particle was found. 80 % of the field's pixels are background: their step of")
    assert "below 0.05" in scan.sentence
    assert not scan.usable


def test_particles_that_no_class_took_have_their_own_reason() -> None:
    scan = of(
        replace(SEGMENT, particles_without_soc={"no mass": 13}, pixels_of_particles={"background": 90, "edge": 9})
    )
    assert scan.sentence == "none of 13 particles has a state of charge: 13 no mass"


@pytest.mark.parametrize(
    ("looked_into", "doubted"), [(None, False), (40, False), (23, True)], ids=["not told", "all", "others overlap"]
)
def test_a_missing_component_counts_among_the_particles_that_could_be_looked_into(
    looked_into: int | None, doubted: bool
) -> None:
    segment = replace(
        SEGMENT,
        particles=40,
        particles_with_soc=40,
        pixels_of_particles={"valid": 90, "poor_fit": 10},
        particles_missing_component=18,
        particles_looked_into=looked_into,
    )
    said = of(segment, replace(FIT, cause="a third phase", mend="references")).sentence
    assert ("in doubt: a third phase" in said) == doubted


@pytest.mark.parametrize("kind", MaskClass)
def test_every_class_has_words_a_cause_and_a_mend(kind: MaskClass) -> None:
    words = words_of(kind, ClassOptions(least_counts=5.0, most_od=1.75, most_soc_se=0.4))
    assert all((words.are, words.cause, words.mend))
    limit = {MaskClass.thick: "1.75", MaskClass.low_count: "0.4", MaskClass.background: "0.05", MaskClass.poor_fit: "3"}
    assert limit.get(kind, "") in words.cause


def test_the_headline_counts_what_the_scans_gave() -> None:
    whole = replace(DONE, scan_id="d", particles=9, particles_with_soc=8)
    fine = replace(whole, scan_id="e", modality="ptychography", particles=1, particles_with_soc=1)
    assert Verdict((whole,)).headline == "1 scan: 9 particles found, 8 with a state of charge."
    assert Verdict((whole, fine, of(SEGMENT), WAITS, STOPPED), 2).headline == (
        "5 scans: 23 particles found, 9 with a state of charge (STXM 8 of 22 in 3 scans; ptychography 1 of 1 in 2 "
        "scans). 1 scan without a usable particle. 1 scan stopped before particles were looked for. 1 scan not "
        "processed yet. 2 scans excluded in the sample sheet."
    )


def test_a_scan_without_a_usable_particle_makes_the_campaign_unusable() -> None:
    whole = replace(DONE, particles=9, particles_with_soc=8)
    assert Verdict().usable
    assert Verdict((whole, WAITS)).usable
    assert not Verdict((whole, STOPPED)).usable
    assert not Verdict((whole, DONE)).usable
    assert Verdict((whole, STOPPED)).lines() == ["c: c.hdr: the file is empty."]


def test_the_document_has_every_scan_and_all_sums() -> None:
    found = Verdict((of(SEGMENT), STOPPED, WAITS), 1).document()
    assert (found["scans"], found["excluded"], found["particles"], found["particles_with_soc"]) == (3, 1, 13, 0)
    first, second, third = found["by_scan"]
    assert (first["mask_class"], first["share"]) == ("poor_fit", pytest.approx(0.74))
    assert first["particles_without_soc"] == {"no usable pixels": 13}
    assert (second["state"], second["stage"], second["sentence"]) == ("stopped", "ingest", STOPPED.refusal)
    assert (third["state"], third["usable"], third["sentence"]) == ("waits", True, "")


def test_notes_that_are_alike_are_one_line() -> None:
    lines = alike({"a": ["x"], "b": ["x", "y"], "c": ["x"], "d": ["x"]})
    assert lines == ["a, b, c and 1 more: x", "b: y"]


def test_a_campaign_that_has_not_run_waits(simulated: Path) -> None:
    found = CampaignRun(RunRequest(str(simulated), cluster="inline")).verdict()
    assert {scan.state for scan in found.scans} == {"waits"}
    assert {scan.stage for scan in found.scans} == {"ingest"}
    assert found.usable


def test_what_is_published_is_judged(processed: Path) -> None:
    run = CampaignRun(RunRequest(str(processed), cluster="inline"))
    found = run.verdict()
    assert [scan.scan_id for scan in found.scans] == [scan.scan_id for scan in load(processed).scans]
    assert {scan.state for scan in found.scans} == {"done"}
    assert all(scan.particles_with_soc == scan.particles > 0 for scan in found.scans)
    asked = CampaignRun(RunRequest(str(processed), scans=(STXM[1],), cluster="inline")).verdict()
    assert [scan.scan_id for scan in asked.scans] == [STXM[1]]
    assert not [row for row in exclusions(run.survey) if row.what in ("particle", "pixel")]


def test_a_file_that_went_away_stops_its_scan_alone(processed: Path, tmp_path: Path) -> None:
    campaign = copytree(processed.parent, tmp_path / "campaign", symlinks=True) / processed.name
    load(campaign).scan(STXM[1]).file.unlink()
    found = CampaignRun(RunRequest(str(campaign), cluster="inline")).verdict()
    (stopped,) = (scan for scan in found.scans if scan.state == "stopped")
    assert stopped.scan_id == STXM[1]
    assert load(campaign, lenient=True).path.parent.as_posix() in stopped.sentence
    assert not found.usable
