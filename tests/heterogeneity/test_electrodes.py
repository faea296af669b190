"""The electrode table closes on planted truth, and says what it does not know."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.electrodes import ELECTRODE_COLUMNS, electrode_table

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


def campaign(rng: np.random.Generator, regions: tuple[int, ...], particles: int) -> pd.DataFrame:
    """Electrodes with so many regions each: regions differ by 0.05, particles by 0.1, masses by a factor of two."""
    electrode = np.repeat(np.arange(len(regions)), regions)
    rows = np.repeat(np.arange(len(electrode)), particles)
    soc = 0.4 + rng.normal(0.0, 0.05, len(electrode))[rows] + rng.normal(0.0, 0.1, len(rows))
    return pd.DataFrame(
        {
            "electrode_id": [f"E{index}" for index in electrode[rows]],
            "region_id": [f"r{index}" for index in rows],
            "soc_mean": soc,
            "area_um2": rng.lognormal(0.0, 0.7, len(rows)),
            "thickness_nm": 100.0,
        }
    )


@pytest.mark.parametrize("regions", [(1, 2, 3, 1, 2, 3), (1, 1, 1, 4), (2, 2, 2, 2)])
def test_intervals_of_electrodes_of_few_regions_cover(regions: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    inside, width = [], []
    for _ in range(100):
        table = electrode_table(campaign(rng, regions, 40), modality=None)
        inside.append(((table["soc_ci_low"] <= 0.4) & (table["soc_ci_high"] >= 0.4)).to_numpy())
        width.append((table["soc_ci_high"] - table["soc_ci_low"]).to_numpy())
    coverage, median = np.mean(inside, axis=0), np.median(width, axis=0)
    print(f"\nregions {regions}: inside {coverage.round(3)}, all {np.mean(inside):.3f}, widths {median.round(3)}")
    # Electrodes of a campaign share the regions' spread: 3 standard errors of some 250 independent intervals.
    assert 0.92 <= np.mean(inside) <= 0.975


def test_what_scans_share_does_not_average() -> None:
    frame = campaign(np.random.default_rng(5), (3, 3, 3), 30)
    narrow, wide = (electrode_table(frame.assign(soc_se_sys=se), modality=None) for se in (0.0, 0.5))
    assert ((wide["soc_ci_high"] - wide["soc_ci_low"]) > 2 * 1.95 * 0.5).all()
    assert ((narrow["soc_ci_high"] - narrow["soc_ci_low"]) < 0.5).all()


def test_the_active_fraction_is_freed_of_what_errors_misplace() -> None:
    rng = np.random.default_rng(6)
    frame = campaign(rng, (3, 3), 150)
    active = rng.random(len(frame)) < 0.3
    truth = np.where(active, rng.uniform(0.15, 0.85, len(frame)), 0.02)
    frame = frame.assign(soc_mean=truth + rng.normal(0.0, 0.1, len(frame)), soc_se=0.1, phase_class="solid-solution")
    table = electrode_table(frame, modality=None, rng=rng)
    print(
        f"\nactive 0.30: {table['active_fraction'].round(3).tolist()}, as measured {table['active_observed'].tolist()}"
    )
    assert table["active_fraction"].to_numpy() == pytest.approx(0.3, abs=0.08)
    assert (table["active_observed"] > 0.33).all()
    assert (table["active_ci_low"] < table["active_fraction"]).all()
    assert (table["active_ci_high"] > table["active_fraction"]).all()


def test_particles_without_a_number_and_several_beamtimes_are_said() -> None:
    frame = campaign(np.random.default_rng(7), (2, 2), 40)
    frame.loc[:29, "soc_mean"] = np.nan
    frame["beamtime_id"] = np.where(frame["electrode_id"] == "E1", frame["region_id"], "one")
    first, second = electrode_table(frame, modality=None)["note"]
    assert "38 % of the particles have no state of charge" in first
    assert "of 2 beamtimes" in second
    assert electrode_table(frame, modality=None)["lacking_share"].tolist() == [0.375, 0.0]


def test_sizes_are_weighted_by_their_chance_of_not_being_cut() -> None:
    frame = particles().assign(scan_id="s")
    fields = pd.DataFrame({"scan_id": ["s"], "height_um": [3.0], "width_um": [3.0], "pixel_nm": [50.0]})
    bare, weighted = electrode_table(frame), electrode_table(frame, fields=fields)
    assert (weighted["d50_um"] > bare["d50_um"]).all()
    assert (weighted["d90_um"] > bare["d90_um"]).all()


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
