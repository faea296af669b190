"""A region at two times: rates of pixels and particles against planted ones, and pairs of times that are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.tables import read_table
from stxmdist.campaign.scan import Scan
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.reaction_rates import NO_TIMES, REACTION_RATE_COLUMNS, reaction_rates
from stxmdist.measures import ReactMeasures
from stxmdist.planning.reactions import consecutive_scans, why_no_pair
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.runner.unit import StageReport
from stxmdist.stages.react import Options
from tests.stages.two_states import PIXEL_UM, SHAPE, Planted, true_maps, two_states

BOUND = 1.3
"""Root mean square error of rates over their bound, the map's own standard errors"""
HOURS = 0.5


def scan(scan_id: str, time_h: float | None, **changes: object) -> Scan:
    base = Scan(scan_id, (Path("none.hdr"),), "stxm", "E1", region_id="r1", c_rate=1.0, time_h=time_h)
    return replace(base, **changes)  # type: ignore[arg-type]


def plates(rng: np.random.Generator, slope: float = 0.5, rate: float = 0.4) -> tuple[Planted, Planted]:
    """Plates on a grid, charged for half an hour at ``rate`` + ``slope`` (soc - 0.5) per hour, seen 70 nm off."""
    y, x = np.meshgrid(np.arange(0.7, 4.4, 0.95), np.arange(0.7, 4.6, 0.95), indexing="ij")
    centres = np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(-0.12, 0.12, (y.size, 2))
    radii, soc, tilt = (
        rng.uniform(0.22, 0.4, len(centres)),
        rng.uniform(0.2, 0.7, len(centres)),
        rng.normal(0, 0.2, len(centres)),
    )
    later = (soc + (rate + slope * (soc - 0.5)) * HOURS, tilt * (1.0 + slope * HOURS))
    return (
        Planted(scan("before", 1.0), centres, radii, soc, tilt),
        Planted(scan("after", 1.0 + HOURS), centres, radii, *later, offset_um=(0.07, -0.04)),
    )


@pytest.fixture(scope="module")
def reacted(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """The plates of generator 1, rates rising with charge; the later scan stands first in the sheet."""
    before, after = plates(np.random.default_rng(1))
    survey = two_states(tmp_path_factory.mktemp("reacted"), (after, before), 1)
    assert not ran(survey).refusals
    return survey


def ran(survey: Survey) -> StageReport:
    return run_stage(
        STAGES["react"].load(), survey, survey.options["react"], survey.store, RunRecord(0, {}), client=None
    )


def evidence(survey: Survey, scan_id: str = "after") -> Evidence:
    nothing = pd.DataFrame()
    table = read_table(survey.output("react", scan_id).path / "reactions.parquet")
    return Evidence(pd.DataFrame({"soc_mean": [0.5]}), nothing, nothing, nothing, nothing, "stxm", 0, table)


def test_rates_of_pixels_and_particles_are_the_planted_ones(reacted: Survey) -> None:
    before, after = plates(np.random.default_rng(1))
    output = reacted.output("react", "after")
    _, soc, labels = true_maps(before)
    truth = true_maps(replace(after, offset_um=(0.0, 0.0)))[1] - soc
    rate, se = output.read("reaction_rate_per_h"), output.read("reaction_rate_se_per_h")
    known = np.isfinite(rate)
    assert known.sum() > 0.4 * (labels > 0).sum()
    rms, bound = np.sqrt(np.mean((rate - truth / HOURS)[known] ** 2)), np.sqrt(np.mean(se[known] ** 2))
    table = read_table(output.path / "reactions.parquet")
    wanted = (after.soc - before.soc) / HOURS
    pulls = (table["rate_per_h"] - wanted[table["particle_id_before"] - 1]) / table["rate_se_per_h"]
    print(f"pixels: rms {rms:.3f}/h, bound {bound:.3f}/h, ratio {rms / bound:.2f}")
    print(f"particles: rms {np.sqrt(np.mean((pulls * table['rate_se_per_h']) ** 2)):.4f}/h, pulls {pulls.std():.2f}")
    assert rms < BOUND * bound
    assert table["particle_id"].notna().all()
    assert pulls.abs().mean() < 1.3


def test_rates_that_rise_with_charge_are_called_so(reacted: Survey) -> None:
    region, electrode = reaction_rates(evidence(reacted)).to_dict("records")
    print(
        f"rate {region['rate']:.3f} ({region['rate_low']:.3f} to {region['rate_high']:.3f})/h, slope "
        f"{region['rate_over_soc']:.3f} ({region['rate_over_soc_low']:.3f} to {region['rate_over_soc_high']:.3f})/h, "
        f"inside {region['rate_over_soc_inside']:.3f} ({region['rate_over_soc_inside_low']:.3f} to "
        f"{region['rate_over_soc_inside_high']:.3f})/h, uniformity {region['uniformity']:.3f}"
    )
    assert region["autocatalysis"] == "rates rise with the state of charge"
    assert region["rate_over_soc_low"] < 0.5 < region["rate_over_soc_high"]
    assert region["rate_over_soc_inside_low"] < 0.5 < region["rate_over_soc_inside_high"]
    assert electrode["level"] == "electrode"
    assert electrode["autocatalysis"] == "not shown"
    assert "one region" in electrode["note"]


def test_a_region_that_stood_still_shows_no_slope(tmp_path: Path) -> None:
    survey = two_states(tmp_path, plates(np.random.default_rng(3), slope=0.0, rate=0.3), 3)
    ran(survey)
    region = reaction_rates(evidence(survey)).iloc[0]
    assert region["autocatalysis"] == "not shown"
    assert region["uniformity"] > 0.8


def test_plates_that_leave_and_plates_that_the_field_cuts(tmp_path: Path) -> None:
    """Two plates are gone at the later time, and the stage moved by a plate: what is cut has the rate of its rest."""
    before, after = plates(np.random.default_rng(4))
    stay = np.arange(2, len(after.radii_um))
    gone = replace(
        after, centres_um=after.centres_um[stay], radii_um=after.radii_um[stay], soc=after.soc[stay],
        slope=after.slope[stay], offset_um=(-0.6, 0.0),
    )  # fmt: skip
    survey = two_states(tmp_path, (before, gone), 4)
    ran(survey)
    table = read_table(survey.output("react", "after").path / "reactions.parquet")
    lost = table[table["particle_id"].isna()]
    assert {1, 2} <= set(lost["particle_id_before"])
    assert set(lost["note"]) == {"not found at the later time"}
    assert lost["rate_per_h"].isna().all()
    cut = table[table["note"].str.contains("cut by the field")]
    assert len(cut) > 0
    known = table["rate_per_h"].notna()
    wanted = ((after.soc - before.soc) / HOURS)[table["particle_id_before"] - 1]
    assert np.abs(table["rate_per_h"] - wanted)[known].max() < 0.2


def test_fields_that_do_not_overlap_give_nothing_and_say_so(tmp_path: Path) -> None:
    before, after = plates(np.random.default_rng(5))
    far = replace(after, centres_um=np.random.default_rng(6).uniform(0.4, 4.4, after.centres_um.shape))
    survey = two_states(tmp_path, (before, far), 5)
    ran(survey)
    output = survey.output("react", "after")
    assert np.isnan(output.read("reaction_rate_per_h")).all()
    table = read_table(output.path / "reactions.parquet")
    assert table["rate_per_h"].isna().all()
    assert table["note"].str.startswith("the region was not recognised").all()
    region = reaction_rates(evidence(survey)).iloc[0]
    assert region["note"].startswith("the region was not recognised")
    assert region["n_particles"] == 0


@pytest.mark.parametrize(
    ("scans", "expected"),
    [
        ([scan("a", 2.0), scan("b", 1.0)], {"a": "b"}),
        ([scan("a", 1.0), scan("b", 1.0)], {}),
        ([scan("a", None), scan("b", 1.0)], {}),
        ([scan("a", 0.0, region_id=None), scan("b", 1.0, region_id=None)], {}),
        ([scan("a", 0.0), scan("b", 1.0, region_id="r2")], {}),
        ([scan("a", 0.0), scan("b", 1.0, electrode_id="E2")], {}),
        ([scan("a", 0.0), scan("b", 1.0, modality="ptychography")], {}),
        ([scan("a", 0.0, polarisation_deg=0.0), scan("b", 1.0, polarisation_deg=90.0)], {}),
        ([scan("a", 0.0), scan("b", 1.0), scan("c", 1.0), scan("d", 3.0)], {"b": "a", "c": "a", "d": "b"}),
    ],
)
def test_only_two_times_of_one_region_are_a_pair(scans: list[Scan], expected: dict[str, str]) -> None:
    assert consecutive_scans(scans) == expected


def test_a_pair_may_be_named_and_one_that_cannot_be_is_refused(tmp_path: Path) -> None:
    before, after = plates(np.random.default_rng(7))
    before = replace(before, scan=replace(before.scan, region_id="elsewhere"))
    survey = two_states(tmp_path, (before, after), 7)
    assert survey.reactions == {}
    own = dict(survey.options) | {"react": Options(before="before")}
    named = replace(survey, options_of_scans={"after": own})
    assert named.reactions == {"after": "before"}
    wrong = replace(survey, options_of_scans={"before": dict(survey.options) | {"react": Options(before="after")}})
    (refusal,) = STAGES["react"].load().plan(wrong, Options()).refusals
    assert "not earlier" in refusal.sentence
    assert why_no_pair(None, after.scan)
    assert "modality" in why_no_pair(replace(before.scan, modality="ptychography"), after.scan)
    assert "time_h of before" in why_no_pair(replace(before.scan, time_h=None), after.scan)


def test_a_campaign_without_times_says_why_it_has_no_rates() -> None:
    nothing = pd.DataFrame()
    table = reaction_rates(Evidence(pd.DataFrame({"soc_mean": [0.5]}), nothing, nothing, nothing, nothing, "stxm", 0))
    assert list(table["note"]) == [NO_TIMES]
    assert list(table.columns) == [column.name for column in REACTION_RATE_COLUMNS]
    assert len(reaction_rates(Evidence(nothing, nothing, nothing, nothing, nothing, "stxm", 0))) == 0


def test_what_was_measured_of_a_pair_says_how_it_was_placed(reacted: Survey) -> None:
    figures = reacted.store.publication("react")
    assert figures is not None
    quality = figures.scans["after"].quality
    assert set(quality) == set(ReactMeasures.__dataclass_fields__)
    assert quality["accepted"] is True
    assert quality["shift_um"] == pytest.approx([-0.07, 0.04], abs=0.2 * PIXEL_UM)
    assert quality["particles_followed"] == quality["particles_before"]
    assert reacted.output("react", "after").read("reaction_rate_per_h").shape == SHAPE
