"""Summaries of metrics: noise off the spread, null bands counted, and words where nothing can be said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.metric_summaries import metric_columns, metric_summaries
from tests.heterogeneity.analyses.planted import Planted, evidence, planted_particles, with_columns_of

PLANTED = Planted(n_electrodes=3, n_regions=3, n_particles=100)


def measured(seed: int) -> pd.DataFrame:
    """With a metric of mean 2, spread 0.5 and noise 0.4."""
    rng = np.random.default_rng(seed)
    frame = planted_particles(PLANTED, rng)
    n = len(frame)
    return frame.assign(roughness=2.0 + rng.normal(0.0, 0.5, n) + rng.normal(0.0, 0.4, n), roughness_se=0.4)


def test_a_metric_closes() -> None:
    table = metric_summaries(evidence(measured(1)))
    assert with_columns_of(table, "metric_summaries")
    rows = table[table["metric"] == "roughness"]
    assert len(rows) == 3
    # 3 standard errors of a mean and of an SD of 300.
    assert rows["mean"].to_numpy() == pytest.approx(2.0, abs=3 * 0.64 / np.sqrt(300))
    assert rows["sd_between"].to_numpy() == pytest.approx(0.5, abs=0.1)
    assert rows["noise"].to_numpy() == pytest.approx(0.4)
    assert (rows["ci_low"] < rows["mean"]).all()
    assert rows["beyond_share"].isna().all()
    print(f"\nspread 0.5 with noise 0.4: {rows['sd_between'].round(3).tolist()}")
    soc = table[table["metric"] == "soc_mean"]
    assert soc["noise"].to_numpy() == pytest.approx(PLANTED.noise)
    assert "soc" not in table["metric"].tolist()


def test_intervals_over_regions_cover() -> None:
    rng, inside = np.random.default_rng(12), []
    planted = Planted(n_electrodes=4, n_regions=2, n_particles=30, sd_region=0.04)
    for _ in range(100):
        table = metric_summaries(evidence(planted_particles(planted, rng)[["scan_id", "particle_id", "electrode_id",
            "region_id", "cycle", "c_rate", "direction", "modality", "soc_mean", "soc_coulometric"]]))  # fmt: skip
        inside.append(((table["ci_low"] <= 0.4) & (table["ci_high"] >= 0.4)).to_numpy())
    print(f"\ncoverage of means over two regions each: {np.mean(inside):.3f}")
    assert np.mean(inside) == pytest.approx(0.95, abs=0.042)


def test_what_lies_beyond_the_null_is_counted() -> None:
    frame = measured(3)
    bands = frame[["scan_id", "particle_id"]].assign(
        roughness_null_low=2.0 - 1.96 * np.hypot(0.5, 0.4), roughness_null_high=2.0 + 1.96 * np.hypot(0.5, 0.4)
    )
    table = metric_summaries(replace(evidence(frame), null_bands=bands.sample(frac=1.0, random_state=1)))
    rows = table[table["metric"] == "roughness"]
    # 3 standard errors of a share of 5 % of 300.
    assert rows["beyond_share"].to_numpy() == pytest.approx(0.05, abs=0.038)
    assert table.loc[table["metric"] == "d_eq_um", "beyond_share"].isna().all()


def test_what_is_missing_is_said() -> None:
    frame = measured(4)
    frame.loc[frame.index[:60], "roughness"] = np.nan
    table = metric_summaries(evidence(frame))
    first = table[table["metric"] == "roughness"].iloc[0]
    assert "20 % of the particles lack it" in first["note"]
    assert (first["n_particles"], first["n_lacking"]) == (240, 60)
    without = metric_summaries(evidence(frame.assign(roughness_se=np.nan)))
    assert without.loc[without["metric"] == "roughness", "note"].str.contains("no error is known").all()
    assert "roughness" not in metric_summaries(evidence(frame.assign(roughness=np.nan)))["metric"].tolist()
    assert len(metric_summaries(evidence(frame.iloc[:0]))) == 0
    one = metric_summaries(evidence(frame.iloc[-1:]))
    assert one["ci_low"].isna().all()


def test_directions_have_no_mean() -> None:
    frame = measured(5).assign(boundary_normal_deg=10.0, boundary_normal_deg_se=1.0)
    frame = frame.assign(boundary_to_long_axis_deg=20.0, boundary_to_long_axis_deg_se=1.0)
    names = metric_summaries(evidence(frame))["metric"].tolist()
    assert "boundary_normal_deg" not in names
    assert "boundary_to_long_axis_deg" in names


def test_metrics_are_columns_with_their_errors() -> None:
    columns = ["soc_mean", "soc_se", "soc_se_stat", "aspect", "xi_nm", "xi_nm_se", "grain_se"]
    assert metric_columns(pd.DataFrame(columns=columns)) == {
        "soc_mean": "soc_se_stat",
        "aspect": "aspect_se",
        "xi_nm": "xi_nm_se",
    }
