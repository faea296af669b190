"""The electrode table closes on planted truth, and says what it does not know."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.electrodes import ELECTRODE_COLUMNS, active_correlation, electrode_table, mass_weighted_mean

PARTICLES = 41


def particles(seed: int = 1, regions: tuple[str, ...] = ("r1", "r2", "r3"), soc: float = 0.4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = PARTICLES * len(regions)
    diameter = np.exp(rng.normal(np.log(0.5), 0.4, n))
    truth = soc + rng.normal(0, 0.1, n)
    return pd.DataFrame(
        {
            "electrode_id": "E1",
            "cycle": 50,
            "c_rate": 1.0,
            "direction": "discharge",
            "region_id": np.repeat(regions, PARTICLES),
            "modality": "stxm",
            "soc_mean": truth + rng.normal(0, 0.07, n),
            "soc_se_stat": 0.07,
            "soc_se_sys": 0.0,
            "soc_sd": 0.05,
            "soc_var_intra": 0.05**2,
            "active": rng.random(n) < 0.6,
            "area_um2": np.pi / 4 * diameter**2,
            "thickness_nm": 120.0,
            "d_eq_um": diameter,
            "flags": "",
            "soc_coulometric": 0.42,
        }
    )


def test_one_row_closes_on_the_truth() -> None:
    frame = particles()
    (row,) = electrode_table(frame).to_dict("records")
    assert tuple(row) == ELECTRODE_COLUMNS
    assert (row["electrode_id"], row["cycle"], row["n_regions"], row["n_particles"]) == ("E1", 50, 3, 123)
    assert row["soc_mean"] == pytest.approx(np.average(frame["soc_mean"], weights=frame["area_um2"] * 120))
    assert row["soc_ci_low"] < 0.4 < row["soc_ci_high"]
    # Relative standard error of a standard deviation from 123 particles is 0.064, and noise adds half as much again.
    assert row["sd_inter"] == pytest.approx(0.1, rel=0.3)
    assert row["sd_intra"] == pytest.approx(0.05)
    assert row["icc"] == pytest.approx(row["sd_inter"] ** 2 / (row["sd_inter"] ** 2 + 0.05**2))
    assert row["active_ci_low"] < 0.6 < row["active_ci_high"]
    assert row["d10_um"] < row["d50_um"] == pytest.approx(frame["d_eq_um"].median())
    assert row["soc_coulometric"] == pytest.approx(0.42)


def test_conditions_are_rows_sorted_and_scans_without_particles_are_said() -> None:
    frame = pd.concat([particles(1), particles(2).assign(cycle=1), particles(3).assign(electrode_id="E0", cycle=2)])
    scans = frame.drop_duplicates(["electrode_id", "cycle"])[["electrode_id", "cycle", "c_rate", "direction"]]
    scans = pd.concat([scans, pd.DataFrame([{"electrode_id": "E2", "cycle": 7.0, "soc_coulometric": 0.9}])])
    table = electrode_table(frame, scans)
    assert list(zip(table["electrode_id"], table["cycle"], strict=True)) == [
        ("E0", 2),
        ("E1", 1),
        ("E1", 50),
        ("E2", 7),
    ]
    last = table.iloc[-1]
    assert last["n_particles"] == 0
    assert np.isnan(last["soc_mean"])
    assert last["soc_coulometric"] == 0.9
    assert "no particles" in last["note"]


def test_interval_over_regions_covers_where_one_over_particles_does_not() -> None:
    rng = np.random.default_rng(4)
    region = np.repeat(np.arange(4), 50)
    inside, pooled = 0, 0
    for _ in range(400):
        soc = rng.normal(0, 0.05, 4)[region] + rng.normal(0, 0.1, 200)
        mass = rng.lognormal(0, 0.8, 200)
        interval = mass_weighted_mean(soc, mass, region, np.zeros(200))
        inside += interval.low <= 0 <= interval.high
        alone = mass_weighted_mean(soc, mass, np.zeros(200, int), np.zeros(200))
        pooled += alone.low <= 0 <= alone.high
        assert "one region" in alone.note
    # 3 binomial standard errors are 0.033; unequal masses cost a little more.
    assert inside / 400 > 0.90
    assert pooled / 400 < 0.75


def test_what_scans_share_does_not_average() -> None:
    args = (np.linspace(0.4, 0.6, 90), np.ones(90), np.repeat([0, 1, 2], 30))
    narrow, wide = (mass_weighted_mean(*args, np.full(90, se)) for se in (0.0, 0.5))
    assert wide.high - wide.low > 2 * 1.95 * 0.5 > narrow.high - narrow.low


def test_correlation_of_activity_is_recovered() -> None:
    rng = np.random.default_rng(5)
    rho, m, regions = 0.2, 30, 300
    p = rng.beta(0.5 * (1 - rho) / rho, 0.5 * (1 - rho) / rho, regions)
    frame = pd.DataFrame(
        {
            "electrode_id": np.repeat(np.arange(regions) % 3, m),
            "region_id": np.repeat(np.arange(regions), m),
            "active": (rng.random((regions, m)) < p[:, None]).ravel(),
        }
    )
    assert active_correlation(frame) == pytest.approx(rho, abs=0.04)


def test_border_particles_keep_their_chemistry_and_lose_their_size() -> None:
    frame = particles()
    frame.loc[frame["d_eq_um"] > 0.5, "flags"] = "few pixels;touches border"
    (row,) = electrode_table(frame).to_dict("records")
    assert row["d90_um"] <= 0.5
    assert row["n_particles"] == len(frame)


@pytest.mark.parametrize(
    "frame",
    [
        particles().iloc[:1],
        particles().assign(soc_mean=np.nan, active=None),
        particles().assign(soc_mean=0.5, soc_se_stat=0.1),
        particles().drop(columns=["soc_se_sys", "soc_var_intra", "flags", "active", "direction", "modality"]),
        particles().assign(thickness_nm=np.nan),
    ],
)
def test_awkward_tables_give_numbers_or_notes(frame: pd.DataFrame) -> None:
    (row,) = electrode_table(frame).to_dict("records")
    for name in ("soc_mean", "soc_ci_low"):
        assert np.isfinite(row[name]) or row["note"]


def test_no_particles_is_an_empty_table() -> None:
    assert list(electrode_table(particles().iloc[:0]).columns) == list(ELECTRODE_COLUMNS)


@pytest.mark.parametrize("unknown", [None, np.nan, pd.NA])
def test_what_is_not_known_of_a_condition_is_one_condition_however_it_is_written(unknown: object) -> None:
    frame = particles().assign(direction=np.nan, cycle=np.nan)
    sheet = pd.DataFrame({"electrode_id": ["E1"], "cycle": [None], "c_rate": [1.0], "direction": [unknown]})
    table = electrode_table(frame, sheet)
    assert len(table) == 1
    assert table.loc[0, "n_particles"] == len(frame)


def test_masses_in_reference_samples_weigh_like_masses_in_nm() -> None:
    frame = particles()
    frame["thickness_nm"] = np.linspace(60.0, 200.0, len(frame))
    relative = frame.assign(thickness_reference=frame["thickness_nm"] / 130.0, thickness_nm=np.nan)
    one, other = electrode_table(frame), electrode_table(relative)
    assert other.loc[0, "soc_mean"] == pytest.approx(one.loc[0, "soc_mean"], rel=1e-12)
    assert other.loc[0, "soc_ci_low"] == pytest.approx(one.loc[0, "soc_ci_low"], rel=1e-12)
