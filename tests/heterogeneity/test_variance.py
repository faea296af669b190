"""Planted variance components come back, with noise taken out and limits that are honest for few electrodes."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.variance import COMPONENTS, icc, partition

PLANTED = {"electrode": 0.05**2, "region": 0.04**2, "particle": 0.12**2, "intra": 0.10**2, "noise": 0.05**2}

LARGE_SAMPLE = 0.15
"""Relative error allowed of a component; 80 electrodes have a standard error of sqrt(2 / 79) = 0.16 of theirs."""
SHARE = 0.05


def campaign(
    rng: np.random.Generator,
    n_electrodes: int,
    n_regions: int = 5,
    n_particles: int = 23,
    cycles: tuple[int, ...] = (1,),
    slope: float = 0.0,
    planted: dict[str, float] = PLANTED,
) -> pd.DataFrame:
    """Unbalanced nested table; region names repeat on every electrode, as people name them."""
    frames = []
    electrode_effect = rng.normal(0, np.sqrt(planted["electrode"]), n_electrodes)
    for electrode in range(n_electrodes):
        for cycle in cycles:
            for region in range(n_regions):
                m = int(rng.integers(max(1, n_particles - 11), n_particles + 12))
                truth = 0.5 + slope * cycle + electrode_effect[electrode] + rng.normal(0, np.sqrt(planted["region"]))
                se = np.sqrt(planted["noise"]) * np.sqrt(rng.uniform(0.5, 1.5, m))
                soc = truth + rng.normal(0, np.sqrt(planted["particle"]), m) + se * rng.normal(size=m)
                inner = planted["intra"] * rng.chisquare(9, m) / 9 - 0.002 + 0.002 * rng.exponential(1.0, m)
                frames.append(
                    pd.DataFrame(
                        {
                            "electrode_id": f"E{electrode}",
                            "region_id": f"r{region}",
                            "cycle": float(cycle),
                            "c_rate": 1.0,
                            "direction": "charge",
                            "modality": "stxm",
                            "soc_mean": soc,
                            "soc_se_stat": se,
                            "soc_var_intra": inner,
                            "soc_sd": np.sqrt(np.maximum(inner, 0)),
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def by_component(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("component")


@pytest.mark.long
def test_planted_components_come_back_from_a_large_sample() -> None:
    table = by_component(partition(campaign(np.random.default_rng(3), 80, cycles=(1, 50), slope=-0.004)))
    total = sum(PLANTED.values())
    for name in COMPONENTS:
        assert table.loc[name, "share"] == pytest.approx(PLANTED[name] / total, abs=SHARE), name
        allowed = 0.35 if name == "electrode" else LARGE_SAMPLE
        assert table.loc[name, "variance"] == pytest.approx(PLANTED[name], rel=allowed), name
        assert table.loc[name, "variance_low"] <= PLANTED[name] <= table.loc[name, "variance_high"], name
    assert table["share"].sum() == pytest.approx(1.0)


def test_a_balanced_table_gives_the_textbook_analysis_of_variance() -> None:
    rng = np.random.default_rng(8)
    y = rng.normal(size=(5, 3, 7)) + rng.normal(size=(5, 1, 1)) + 0.5 * rng.normal(size=(5, 3, 1))
    electrode, region, _ = np.indices(y.shape)
    frame = pd.DataFrame({"electrode_id": electrode.ravel(), "region_id": region.ravel(), "soc_mean": y.ravel()})
    squares = [
        21 * y.mean((1, 2)).var(ddof=1),
        7 * ((y.mean(2) - y.mean((1, 2))[:, None]) ** 2).sum() / 10,
        ((y - y.mean(2, keepdims=True)) ** 2).sum() / 90,
    ]
    table = by_component(partition(frame))
    assert table.loc["particle", "variance"] == pytest.approx(squares[2])
    assert table.loc["region", "variance"] == pytest.approx((squares[1] - squares[2]) / 7)
    assert table.loc["electrode", "variance"] == pytest.approx((squares[0] - squares[1]) / 21)


def test_shift_and_scale_move_variances_as_they_must() -> None:
    frame = campaign(np.random.default_rng(4), 7)
    one = partition(frame)
    other = partition(frame.assign(soc_mean=3 * frame["soc_mean"] + 5, soc_se_stat=3 * frame["soc_se_stat"]))
    outer = one["component"].isin(["electrode", "region", "particle", "noise"])
    np.testing.assert_allclose(other[outer]["variance"], 9 * one[outer]["variance"], rtol=1e-8)


def test_row_order_and_a_second_modality_change_nothing() -> None:
    frame = campaign(np.random.default_rng(5), 4)
    shuffled = frame.sample(frac=1.0, random_state=1)
    doubled = pd.concat([frame, frame.assign(modality="ptychography", soc_mean=0.9)])
    expected = partition(frame)
    for other in (shuffled, doubled):
        np.testing.assert_allclose(partition(other)["variance"], expected["variance"], rtol=1e-9)


def test_noise_correction_restores_the_correlation() -> None:
    # Noise .07 on a spread of .10 inside particles of spread .20: raw correlation .70, true .80.
    rng = np.random.default_rng(6)
    pixels = rng.normal(0.5, 0.2, (2000, 1)) + rng.normal(0, 0.1, (2000, 60)) + rng.normal(0, 0.07, (2000, 60))
    intra = pixels.var(axis=1, ddof=1) - 0.07**2
    frame = pd.DataFrame({"electrode_id": "E", "region_id": "r", "soc_mean": pixels.mean(1), "soc_var_intra": intra})
    frame["soc_se_stat"] = np.sqrt((0.1**2 + 0.07**2) / 60)
    table = by_component(partition(frame))
    assert icc(table.loc["particle", "variance"], table.loc["intra", "variance"]) == pytest.approx(0.8, abs=0.02)
    raw = pixels.var(axis=1, ddof=1).mean()
    assert icc(pixels.mean(1).var(), raw) < 0.75


@pytest.mark.long
def test_limits_cover_with_three_electrodes() -> None:
    # 100 campaigns: at 95 % coverage fewer than 88 hits happen four times in a thousand.
    hits = {"electrode": 0, "region": 0, "particle": 0}
    rng = np.random.default_rng(7)
    for _ in range(100):
        table = by_component(partition(campaign(rng, 3, n_regions=3, n_particles=13)))
        for name in hits:
            hits[name] += bool(table.loc[name, "variance_low"] <= PLANTED[name] <= table.loc[name, "variance_high"])
    assert all(count >= 88 for count in hits.values()), hits


def test_pure_noise_leaves_nothing_but_noise() -> None:
    planted = {**PLANTED, "electrode": 0.0, "region": 0.0, "particle": 0.0}
    table = by_component(partition(campaign(np.random.default_rng(9), 6, planted=planted)))
    for name in ("electrode", "region", "particle"):
        assert 0.0 <= table.loc[name, "variance"] < 0.1 * PLANTED["noise"]
        assert table.loc[name, "variance_low"] == 0.0


@pytest.mark.parametrize(
    ("frame", "unknown"),
    [
        (campaign(np.random.default_rng(1), 1), "electrode"),
        (campaign(np.random.default_rng(1), 1, n_regions=1), "electrode"),
        (campaign(np.random.default_rng(1), 3).iloc[:1], "particle"),
        (campaign(np.random.default_rng(1), 3).assign(soc_mean=np.nan), "particle"),
        (campaign(np.random.default_rng(1), 3).iloc[:0], "noise"),
        (campaign(np.random.default_rng(1), 3).drop(columns=["soc_var_intra", "soc_sd"]), "intra"),
        (campaign(np.random.default_rng(1), 3).assign(electrode_id=None), "particle"),
    ],
)
def test_what_cannot_be_told_is_nan_with_a_note(frame: pd.DataFrame, unknown: str) -> None:
    table = by_component(partition(frame))
    assert np.isnan(table.loc[unknown, "variance"])
    assert table.loc[unknown, "note"]
    assert list(table.index) == list(COMPONENTS)


def test_one_region_per_electrode_is_said_to_be_joined() -> None:
    table = by_component(partition(campaign(np.random.default_rng(2), 12, n_regions=1, n_particles=40)))
    assert table.loc["region", "variance"] == 0.0
    assert np.isnan(table.loc["region", "ci_low"])
    assert "part of electrode" in table.loc["region", "note"]
    joined = PLANTED["electrode"] + PLANTED["region"]
    assert table.loc["electrode", "variance_low"] < joined < table.loc["electrode", "variance_high"]


def test_constant_values_have_no_variance_and_no_share() -> None:
    frame = campaign(np.random.default_rng(1), 3).assign(soc_mean=0.4, soc_se_stat=0.0, soc_var_intra=0.0)
    table = by_component(partition(frame))
    assert table["variance"].max() < 1e-20
    assert table.loc["particle", "share"] != 1.0 or table["share"].isna().all()


def test_errors_common_to_a_scan_are_no_difference_between_regions() -> None:
    rng = np.random.default_rng(12)
    frame = campaign(rng, 40, n_regions=5)
    frame["scan_id"] = frame["electrode_id"] + frame["region_id"]
    scans = frame["scan_id"].unique()
    common = dict(zip(scans, rng.normal(0, 0.03, len(scans)), strict=True))
    frame["soc_mean"] += frame["scan_id"].map(common)
    doubled = by_component(partition(frame)).loc["region", "variance"]
    table = by_component(partition(frame.assign(soc_se_scan=0.03)))
    print(f"region {doubled:.5f} with the error in it, {table.loc['region', 'variance']:.5f} without; planted 0.00160")
    assert doubled > 1.4 * PLANTED["region"]
    # 160 degrees of freedom: eleven per cent of the mean square, a third more for what is taken off it.
    assert table.loc["region", "variance"] == pytest.approx(PLANTED["region"], rel=0.4)
    assert table.loc["noise", "variance"] == pytest.approx(PLANTED["noise"] + 0.03**2, rel=0.05)
    assert "common to a scan" in table.loc["region", "note"]
