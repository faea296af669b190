"""Calibration, corrected particles and the two-phase mean from the tables of a campaign with planted dilution."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.calibration import calibration, corrected_particles
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.paired import Pairs
from stxmdist.heterogeneity.analyses.table import ANALYSES
from stxmdist.heterogeneity.analyses.two_phase import two_phase

SLOPE, OFFSET = 0.8, 0.03


def campaign(seed: int, *, regions: int = 6, per_region: int = 60, seen: int = 10, rule: str = "random") -> Evidence:
    """Two electrodes; the wide field dilutes soc; particle 1 of each region is two in ptychography."""
    rng = np.random.default_rng(seed)
    rows, pairs = [], []
    for electrode in range(2):
        for region in range(regions):
            centre = 0.4 + 0.2 * electrode + 0.03 * rng.normal()
            truth = centre + 0.15 * rng.normal(size=per_region)
            scan = f"s{electrode}{region}"
            for index, soc in enumerate(truth):
                parts = [(0.4, soc - 0.1), (0.6, soc + 0.2 / 3)] if index == 0 else [(1.0, soc)]
                note = {
                    "electrode_id": f"E{electrode}", "region_id": f"r{region}", "cycle": 1.0, "c_rate": 1.0,
                    "direction": "charge", "roi_rule": rule, "thickness_nm": 150.0, "core_shell_index": np.nan,
                    "f_mixed": 0.1, "soc_var_intra": np.nan,
                }  # fmt: skip
                wide = SLOPE * soc + OFFSET + 0.02 * rng.normal()
                rows.append(
                    note | {"scan_id": f"stxm-{scan}", "modality": "stxm", "particle_id": index + 1, "soc_mean": wide,
                            "soc_se": 0.02, "soc_sd": 0.1, "area_um2": 1.0, "d_eq_um": 1.128, "true": soc}
                )  # fmt: skip
                if index >= seen:
                    continue
                for number, (area, value) in enumerate(parts):
                    name = 100 * (index + 1) + number
                    rows.append(
                        note | {"scan_id": f"pty-{scan}", "modality": "ptychography", "particle_id": name,
                                "soc_mean": value + 0.02 * rng.normal(), "soc_se": 0.02, "soc_sd": 0.08,
                                "area_um2": area, "d_eq_um": 2 * np.sqrt(area / np.pi), "true": value}
                    )  # fmt: skip
                    pairs.append((f"stxm-{scan}", index + 1, f"pty-{scan}", name,
                                  "merged" if len(parts) > 1 else "one-to-one", index))  # fmt: skip
    particles = pd.DataFrame(rows)
    names = ["scan_id_stxm", "particle_id_stxm", "scan_id_ptychography", "particle_id_ptychography"]
    table = pd.DataFrame(pairs, columns=[*names, "relation", "group_id"])
    return Evidence(particles, particles, table, pd.DataFrame(), pd.DataFrame(), "stxm", 1)


def test_wholes_are_compared_with_the_sum_of_their_parts() -> None:
    evidence = campaign(1)
    paired = Pairs(evidence).of("soc_mean")
    assert paired.stxm.size == 2 * 6 * 10
    merged = paired.relation == "merged"
    assert merged.sum() == 12
    true = evidence.particles["true"].to_numpy()[paired.row[merged]]
    np.testing.assert_allclose(paired.ptychography[merged], true, atol=0.06)
    assert (paired.ptychography_se[merged] < 0.02).all()
    sizes = Pairs(evidence).of("d_eq_um")
    np.testing.assert_allclose(sizes.ptychography, 2 * np.sqrt(1 / np.pi), rtol=1e-9)
    # The parts differ: so does the charge within the whole.
    spread = Pairs(evidence).of("soc_sd")
    assert (spread.ptychography[spread.relation == "merged"] > 0.09).all()


def test_every_metric_is_calibrated_or_refused_with_a_word() -> None:
    table = calibration(campaign(2)).set_index("metric")
    assert [column.name for column in ANALYSES["calibration"].columns] == ["metric", *table.columns]
    soc = table.loc["soc_mean"]
    assert soc["slope_low"] < SLOPE < soc["slope_high"]
    assert soc["intercept_low"] < OFFSET < soc["intercept_high"]
    assert soc["n_pairs"] == 120
    assert 120 < soc["n_eff"] < 720
    assert "alike" in table.loc["f_mixed", "note"]
    assert "0 pairs" in table.loc["core_shell_index", "note"]


def test_particles_without_a_pair_lose_the_bias() -> None:
    evidence = campaign(3)
    table = corrected_particles(evidence)
    table = table[table["metric"] == "soc_mean"].merge(evidence.particles, on=["scan_id", "particle_id"])
    assert len(table) == 2 * 6 * 50
    before, after = (float((table[name] - table["true"]).mean()) for name in ("soc_mean", "corrected"))
    inside = float((np.abs(table["corrected"] - table["true"]) < 1.96 * table["se"]).mean())
    print(f"\nparticles without a pair: bias {after:+.4f} where it was {before:+.4f}, inside {inside:.3f}")
    assert abs(before) > 0.03
    assert abs(after) < 0.01
    assert inside >= 0.92


def test_the_two_phase_mean_is_that_of_the_truth_and_the_wide_fields_is_not() -> None:
    evidence = campaign(4)
    table = two_phase(evidence)
    assert [column.name for column in ANALYSES["two_phase"].columns] == list(table.columns)
    soc = table[table["metric"] == "soc_mean"].set_index("electrode_id")
    for electrode, row in soc.iterrows():
        wide = evidence.particles[
            (evidence.particles["electrode_id"] == electrode) & (evidence.particles["modality"] == "stxm")
        ]
        true = wide["true"].mean()
        assert abs(row["estimate"] - true) < 0.01 < abs(row["stxm_mean"] - true)
        assert row["ci_low"] < true < row["ci_high"]
        assert 0 < row["se"] < 0.03
        assert row["note"] == ""


@pytest.mark.parametrize(("rule", "words"), [("convenience", "not drawn at"), ("systematic", ""), ("", "not drawn")])
def test_how_regions_were_chosen_is_said(rule: str, words: str) -> None:
    notes = two_phase(campaign(5, rule=rule))["note"]
    assert words in notes[0]


def test_without_pairs_there_is_nothing() -> None:
    evidence = campaign(6)
    none = replace(evidence, pairs=evidence.pairs.iloc[:0])
    for analysis in (calibration, corrected_particles, two_phase):
        assert len(analysis(none)) == 0
    lost = replace(evidence, pairs=evidence.pairs.assign(scan_id_stxm="no such scan"))
    assert (calibration(lost)["n_pairs"] == 0).all()
    few = replace(evidence, pairs=evidence.pairs.iloc[:3])
    assert "pairs, at least" in calibration(few).set_index("metric").loc["soc_mean", "note"]
    assert len(corrected_particles(few)) == 0
