"""Effects: planted slopes, honest error rates, and what a small design cannot say."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from stxmdist.heterogeneity.effects import (
    EFFECT_COLUMNS,
    MEANS_PERMUTED,
    MEANS_T,
    MIXED,
    SLOPES_SIGNS,
    SLOPES_T,
    benjamini_hochberg,
    effects_table,
)

CYCLE_SLOPE, SIZE_SLOPE = -0.0008, -0.12


def campaign(
    rng: np.random.Generator,
    n_electrodes: int = 3,
    cycles: tuple[float, ...] = (1.0, 50.0, 100.0),
    n_particles: int = 37,
    cycle_slope: float = CYCLE_SLOPE,
    slope_sd: float = 0.0002,
) -> pd.DataFrame:
    frames = []
    for electrode in range(n_electrodes):
        level, slope = 0.5 + rng.normal(0, 0.05), cycle_slope + rng.normal(0, slope_sd)
        for cycle in cycles:
            for region in range(2):
                diameter = np.exp(rng.normal(np.log(0.5), 0.4, n_particles))
                soc = level + rng.normal(0, 0.02) + slope * cycle + SIZE_SLOPE * np.log(diameter / 0.5)
                frames.append(
                    pd.DataFrame(
                        {
                            "electrode_id": f"E{electrode}",
                            "region_id": f"r{region}",
                            "cycle": cycle,
                            "c_rate": 1.0,
                            "direction": "charge",
                            "modality": "stxm",
                            "soc_mean": soc + rng.normal(0, 0.1, n_particles),
                            "soc_sd": 0.1 + 0.02 * rng.random(n_particles),
                            "active": rng.random(n_particles) < 0.7,
                            "d_eq_um": diameter,
                            "flags": "",
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def row(table: pd.DataFrame, endpoint: str, term: str, method: str) -> pd.Series:
    found = table[(table["endpoint"] == endpoint) & (table["term"] == term) & (table["method"] == method)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.long
def test_planted_slopes_lie_in_their_intervals() -> None:
    table = effects_table(campaign(np.random.default_rng(11), 6))
    assert list(table.columns) == list(EFFECT_COLUMNS)
    for term, planted in (("cycle", CYCLE_SLOPE), ("log_d_eq", SIZE_SLOPE)):
        found = row(table, "soc_mean", term, SLOPES_T)
        assert found["ci_low"] < planted < found["ci_high"], term
        assert found["p"] < 0.01
        assert found["n_electrodes"] == 6
        assert found["n_particles"] == 6 * 6 * 37
        # Wald's p of a mixed model rejects too often with few electrodes: it gives an estimate and no test.
        compared = row(table, "soc_mean", term, MIXED)
        assert compared["estimate"] == pytest.approx(found["estimate"], abs=2 * found["se"])
        assert np.isnan(compared[["p", "ci_low", "ci_high"]].astype(float)).all()
        assert row(table, "soc_mean", term, SLOPES_SIGNS)["p"] == pytest.approx(2 / 2**6)
    # Nothing was planted in the others: with 8 tests a p below 1e-4 is once in a thousand.
    others = table[(table["endpoint"] != "soc_mean") & (table["method"] == SLOPES_T)]
    assert (others["p"] > 1e-4).all()


def test_slopes_are_a_t_test_of_hand_made_slopes() -> None:
    frame = campaign(np.random.default_rng(12), 5, cycles=(1.0, 100.0))
    means = (
        frame.groupby(["electrode_id", "cycle", "region_id"])["soc_mean"]
        .mean()
        .groupby(["electrode_id", "cycle"])
        .mean()
    )
    slopes = [(means[name, 100.0] - means[name, 1.0]) / 99 for name in frame["electrode_id"].unique()]
    found = row(effects_table(frame, mixed=False), "soc_mean", "cycle", SLOPES_T)
    assert found["estimate"] == pytest.approx(np.mean(slopes))
    assert found["p"] == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue)


def test_three_electrodes_print_what_they_cannot_reach() -> None:
    found = row(effects_table(campaign(np.random.default_rng(13), 3), mixed=False), "soc_mean", "cycle", SLOPES_SIGNS)
    assert found["p_min_attainable"] == 0.25
    assert found["p"] >= 0.25
    assert "cannot reach" in found["note"]


def test_one_condition_per_electrode_falls_back_to_means() -> None:
    rng = np.random.default_rng(15)
    frames = [campaign(rng, 1, cycles=(c,)).assign(electrode_id=f"E{c}") for c in (0.0, 25.0, 50.0, 75.0, 100.0)]
    table = effects_table(pd.concat(frames), mixed=False)
    found = row(table, "soc_mean", "cycle", MEANS_T)
    assert found["ci_low"] < CYCLE_SLOPE < found["ci_high"]
    assert row(table, "soc_mean", "cycle", MEANS_PERMUTED)["p_min_attainable"] == pytest.approx(2 / 120)


def test_other_conditions_do_not_leak_into_the_slope() -> None:
    frame = campaign(np.random.default_rng(16), 4, cycles=(1.0, 100.0))
    # Discharged later, and the direction shifts soc by ten times the whole cycling effect.
    both = pd.concat(
        [frame, frame.assign(direction="discharge", cycle=frame["cycle"] + 50, soc_mean=frame["soc_mean"] + 0.8)]
    )
    one, two = (effects_table(part, mixed=False, terms=("cycle",), endpoints=("soc_mean",)) for part in (frame, both))
    assert two.loc[0, "estimate"] == pytest.approx(one.loc[0, "estimate"])


def test_sizes_that_are_not_theirs_take_no_part() -> None:
    frame = campaign(np.random.default_rng(17), 4)
    cut = frame.iloc[::3].assign(flags="touches border", d_eq_um=0.01, soc_mean=0.9)
    clean = effects_table(frame, mixed=False)
    dirty = effects_table(pd.concat([frame, cut]), mixed=False)
    size = [row(table, "soc_mean", "log_d_eq", SLOPES_T)["estimate"] for table in (clean, dirty)]
    assert size[0] == pytest.approx(size[1])
    assert row(dirty, "soc_mean", "cycle", SLOPES_T)["n_particles"] == len(frame) + len(cut)


def test_particles_that_are_all_flagged_are_said_to_be() -> None:
    """Sizes were said to be missing where a flag alone keeps every particle out: of grains that are no plates, all."""
    table = campaign(np.random.default_rng(3)).assign(flags="overlap suspected")
    note = row(effects_table(table, rng=np.random.default_rng(0)), "soc_mean", "log_d_eq", SLOPES_T)["note"]
    assert note == "every particle that has both is flagged touches border or overlap suspected"


def test_false_discovery_rate_is_statsmodels_and_spares_the_primary() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    expected = multipletests(p[[0, 2, 3, 4]], method="fdr_bh")[1]
    np.testing.assert_allclose(benjamini_hochberg(p)[[0, 2, 3, 4]], expected)
    table = effects_table(campaign(np.random.default_rng(18), 4), mixed=False)
    assert table.loc[table["primary"], "q_fdr"].isna().all()
    rest = table[~table["primary"] & (table["method"] == SLOPES_T)]
    np.testing.assert_allclose(rest["q_fdr"], multipletests(rest["p"], method="fdr_bh")[1])


def test_rate_is_reported_where_it_varies() -> None:
    frame = campaign(np.random.default_rng(19), 4, cycles=(1.0,))
    faster = frame.assign(c_rate=10.0, soc_mean=frame["soc_mean"] + 0.1)
    table = effects_table(pd.concat([frame, faster]), mixed=False)
    found = row(table, "soc_mean", "log_c_rate", SLOPES_T)
    assert found["estimate"] == pytest.approx(0.1 / np.log(10.0))
    assert "log_c_rate" not in set(effects_table(frame, mixed=False)["term"])


def test_mixed_model_failures_are_notes_not_warnings() -> None:
    frame = campaign(np.random.default_rng(20), 2, cycles=(1.0, 50.0), n_particles=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = effects_table(frame.assign(soc_sd=0.1))
    mixed = table[table["method"] == MIXED]
    assert (mixed["note"] != "").all()
    assert mixed["p"].isna().all()


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.iloc[:0],
        lambda f: f.iloc[:1],
        lambda f: f[f["electrode_id"] == "E0"],
        lambda f: f.assign(soc_mean=np.nan),
        lambda f: f.assign(cycle=np.nan),
        lambda f: f.assign(cycle=5.0),
        lambda f: f.assign(d_eq_um=0.5),
        lambda f: f.assign(d_eq_um=-1.0),
        lambda f: f.drop(columns=["active", "flags", "modality", "direction"]),
        lambda f: f.assign(active=None),
        lambda f: f.assign(active=True, soc_sd=0.1, soc_mean=0.3),
        lambda f: f.assign(active=f["electrode_id"] == "E0"),
    ],
)
def test_awkward_tables_give_nan_and_a_note(change) -> None:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = effects_table(change(campaign(np.random.default_rng(21))))
    assert {"cycle", "log_d_eq"} <= set(table["term"])
    untested = table[table["p"].isna()]
    assert (untested["note"] != "").all()


def test_cycle_confounded_with_beamtime_is_refused_in_words() -> None:
    frame = campaign(np.random.default_rng(22), 4)
    frame["beamtime_id"] = "b" + frame["cycle"].astype(int).astype(str)
    table = effects_table(frame, mixed=False, endpoints=("soc_mean",), terms=("cycle",))
    assert len(table) == 1
    assert np.isnan(table.loc[0, "estimate"])
    assert "cycle is confounded with beamtime" in table.loc[0, "note"]


def test_rate_that_changes_with_cycle_gives_the_planted_slope_or_the_confounding() -> None:
    frame = campaign(np.random.default_rng(23), 6, slope_sd=0.0)
    # A tenfold rate from cycle 50 on: the effect of cycling stands beside that of rate.
    frame["c_rate"] = np.where(frame["cycle"] > 1, 10.0, 1.0)
    frame["soc_mean"] += 0.05 * np.log(frame["c_rate"])
    table = effects_table(frame, mixed=False, endpoints=("soc_mean",))
    for term, planted in (("cycle", CYCLE_SLOPE), ("log_c_rate", 0.05)):
        found = row(table, "soc_mean", term, SLOPES_T)
        assert found["estimate"] == pytest.approx(planted, abs=4 * found["se"])
        assert found["ci_low"] < planted < found["ci_high"]
    aliased = frame.assign(c_rate=np.exp(frame["cycle"] / 50))
    note = effects_table(aliased, mixed=False, endpoints=("soc_mean",), terms=("cycle",)).loc[0, "note"]
    assert "cycle is confounded with rate" in note


def test_one_repeated_electrode_does_not_silence_eight_single_ones() -> None:
    rng = np.random.default_rng(24)
    frames = [campaign(rng, 1).assign(electrode_id="repeated")]
    frames += [campaign(rng, 1, cycles=((1.0, 50.0, 100.0)[i % 3],)).assign(electrode_id=f"E{i}") for i in range(8)]
    found = row(effects_table(pd.concat(frames), mixed=False), "soc_mean", "cycle", MEANS_T)
    assert found["n_electrodes"] == found["n_units"] == 9
    assert found["ci_low"] < CYCLE_SLOPE < found["ci_high"]


def test_two_electrodes_of_one_cell_are_one_unit_and_a_repeated_scan_is_one_region() -> None:
    frame = campaign(np.random.default_rng(25), 6).assign(scan_id="a")
    frame["cell_id"] = "C" + (frame["electrode_id"].str[1:].astype(int) // 2).astype(str)
    table = effects_table(frame, mixed=False, endpoints=("soc_mean",))
    found = row(table, "soc_mean", "cycle", SLOPES_T)
    assert (found["n_electrodes"], found["n_units"], found["degrees"]) == (6, 3, pytest.approx(2.0))
    assert "one unit" in found["note"]
    assert row(table, "soc_mean", "log_d_eq", SLOPES_T)["n_units"] == 3
    again = pd.concat([frame, frame[frame["region_id"] == "r0"].assign(scan_id="b")])
    twice = row(effects_table(again, mixed=False, endpoints=("soc_mean",)), "soc_mean", "cycle", SLOPES_T)
    assert twice["estimate"] == pytest.approx(found["estimate"])
    assert twice["se"] == pytest.approx(found["se"])


def test_particles_without_a_number_are_said_and_bounded() -> None:
    frame = campaign(np.random.default_rng(26), 4, cycles=(1.0, 100.0))
    lost = (frame["electrode_id"] == "E1") & (np.arange(len(frame)) % 2 == 0)
    whole = row(effects_table(frame, mixed=False), "soc_mean", "cycle", SLOPES_T)
    assert np.isnan(whole["bound_low"])
    assert "without the number" not in whole["note"]
    found = row(
        effects_table(frame.assign(soc_mean=frame["soc_mean"].mask(lost), flags="misfit"), mixed=False),
        "soc_mean",
        "cycle",
        SLOPES_T,
    )
    assert "E1 50 %" in found["note"]
    assert "flagged misfit: 100 %" in found["note"]
    # Half of one electrode in four: +- half / (4 times 99 cycles) to both sides at each end.
    assert found["bound_low"] < whole["estimate"] < found["bound_high"]
    assert found["bound_high"] - found["bound_low"] == pytest.approx(2 * 0.5 / (4 * 99), rel=0.05)


def test_any_column_is_an_endpoint_with_its_unit() -> None:
    frame = campaign(np.random.default_rng(27), 4).assign(crack_length=lambda f: 0.01 * f["cycle"] + f["d_eq_um"])
    table = effects_table(frame, mixed=False, endpoints=("crack_length",), units={"crack_length": "1/um"})
    found = row(table, "crack_length", "cycle", SLOPES_T)
    assert found["estimate"] == pytest.approx(0.01, abs=0.005)
    assert found["unit"] == "1/um per cycle"
    with_default = effects_table(frame.assign(crack_share=frame["soc_sd"]), mixed=False)
    assert "crack_share" in set(with_default["endpoint"])


def test_the_active_share_does_not_follow_the_errors() -> None:
    rng = np.random.default_rng(28)
    frame = campaign(rng, 4, cycles=(1.0, 100.0), n_particles=150)
    active = rng.random(len(frame)) < 0.4
    # Later scans are noisier: counted, the share rises with the errors.
    error = np.where(frame["cycle"] > 1, 0.08, 0.01)
    soc = np.where(active, rng.uniform(0.2, 0.8, len(frame)), 0.02) + rng.normal(0, error)
    noisy = frame.assign(soc_mean=soc, soc_se=error, active=(soc > 0.1) & (soc < 0.9))
    counted = effects_table(noisy.drop(columns=["soc_se"]), mixed=False, endpoints=("active",), terms=("cycle",))
    found = effects_table(noisy, mixed=False, endpoints=("active",), terms=("cycle",))
    assert counted.loc[0, "estimate"] * 99 > 0.05
    assert found.loc[0, "estimate"] * 99 == pytest.approx(0.0, abs=0.05)
