"""Current per active area and its exponent over the rate, against planted ones; designs that cannot give it."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.transport import rate_exponents, transport
from stxmdist.heterogeneity.current_density import current_density_a_m2, rate_exponent

TOLERANCE = 0.1
"""Of an exponent, from the reference"""
RATES = (0.2, 0.5, 1.0, 2.0)


def test_a_plate_that_reacts_whole_carries_what_its_thickness_says() -> None:
    """100 nm of LiFePO4 at 1C, both faces: 612 A h/l x 100 nm / 2 is 30.6 mA/m2."""
    ones = np.ones(1)
    found = current_density_a_m2(ones, 612.0 * ones, 0.1 * ones, ones)
    np.testing.assert_allclose(found, 612e3 * 100e-9 / 2, rtol=1e-12)
    assert np.isnan(current_density_a_m2(ones, 612.0 * ones, ones, 0.0 * ones))


def campaign(
    rng: np.random.Generator,
    rates_of: list[tuple[float, ...]],
    exponent: float,
    cycles: bool = False,
    regions: int = 2,
    se: float = 0.04,
) -> Evidence:
    """Electrodes at rates; the active share is 0.45 rate^exponent times what electrode and region do to it."""
    rows = []
    for electrode, rates in enumerate(rates_of):
        own = np.exp(rng.normal(0.0, 0.1))
        for place, rate in enumerate(rates):
            for region in range(regions):
                p = float(np.clip(0.45 * own * rate**exponent * np.exp(rng.normal(0.0, 0.05)), 0.0, 1.0))
                n = 100
                reacts = rng.random(n) < p
                soc = np.where(reacts, rng.uniform(0.15, 0.85, n), rng.normal(0.02, 0.02, n))
                rows.append(
                    pd.DataFrame(
                        {
                            "electrode_id": f"E{electrode}",
                            "region_id": f"r{electrode}-{place}-{region}",
                            "scan_id": f"s{electrode}-{place}-{region}",
                            "modality": "stxm",
                            "chemistry": "LFP",
                            "cycle": float(1 + 50 * place if cycles else 1),
                            "c_rate": rate,
                            "direction": "charge",
                            "area_um2": rng.lognormal(-1.5, 0.6, n),
                            "thickness_nm": rng.normal(100.0, 10.0, n),
                            "soc_mean": soc + rng.normal(0.0, se, n),
                            "soc_se_stat": se,
                            "phase_class": "unknown",
                        }
                    )
                )
    table = pd.concat(rows, ignore_index=True)
    sheet = table.drop_duplicates("scan_id")[["scan_id", "electrode_id", "modality", "c_rate", "cycle"]]
    nothing = pd.DataFrame()
    return Evidence(table, table, nothing, sheet, nothing, "stxm", 0)


def test_no_interval_of_a_share_exceeds_one() -> None:
    table = transport(campaign(np.random.default_rng(2), [(4.0,)] * 4, 0.4))
    assert (table["active_fraction"] <= table["active_fraction_high"]).all()
    assert table["active_fraction_high"].max() == 1.0


@pytest.mark.parametrize("exponent", [0.4, 0.0])
def test_exponents_are_the_planted_ones(exponent: float) -> None:
    rng = np.random.default_rng(1)
    of_share, of_density, inside, repeats = [], [], 0, 8
    for _ in range(repeats):
        table = rate_exponents(campaign(rng, [RATES] * 4, exponent)).set_index("quantity")
        share, density = table.loc["active share of particles"], table.loc["current density over active area"]
        of_share.append(share["exponent"])
        of_density.append(density["exponent"])
        inside += density["ci_low"] <= 1.0 - exponent <= density["ci_high"]
    print(
        f"active share ~ rate^{exponent}: found {np.mean(of_share):.3f} +- {np.std(of_share):.3f}; current per active "
        f"area, planted {1 - exponent:.1f}: {np.mean(of_density):.3f} +- {np.std(of_density):.3f}, "
        f"covered {inside / repeats:.3f}"
    )
    assert np.abs(np.array(of_share) - exponent).mean() < TOLERANCE
    assert np.abs(np.array(of_density) - (1.0 - exponent)).mean() < TOLERANCE
    # Three standard errors of a coverage of 0.95 below it.
    assert inside / repeats > 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / repeats)


def test_electrodes_of_one_rate_each_are_compared_with_one_another() -> None:
    found = rate_exponents(campaign(np.random.default_rng(2), [(rate,) for rate in RATES for _ in range(2)], 0.4))
    assert set(found["design"]) == {"between electrodes"}
    assert (found["n_electrodes"] == 8).all()
    assert found["exponent"].iloc[1] == pytest.approx(0.4, abs=2 * TOLERANCE)


def test_a_rate_that_changes_with_the_cycle_in_every_electrode_is_refused() -> None:
    rates = [(0.5, 1.0)] * 5
    found = rate_exponents(campaign(np.random.default_rng(3), rates, 0.4, cycles=True))
    assert found["exponent"].isna().all()
    assert found["note"].str.contains("the rate changes together with the cycle").all()


@pytest.mark.parametrize(("n", "word"), [(1, "1 independent"), (2, "2 independent")])
def test_few_electrodes_have_no_exponent(n: int, word: str) -> None:
    found = rate_exponents(campaign(np.random.default_rng(4), [RATES] * n, 0.4))
    assert found["note"].str.startswith(word).all()


def test_electrodes_of_one_cell_are_no_independent_electrodes() -> None:
    rng, n = np.random.default_rng(5), 6
    rate, electrode = np.tile([0.5, 2.0], n), np.repeat(np.arange(n), 2)
    slopes = np.repeat(rng.normal(0.5, 0.3, n // 2), 2)
    value = np.exp(slopes[electrode] * np.log(rate))
    apart = rate_exponent(rate, value, electrode, electrode, {})
    together = rate_exponent(rate, value, electrode, electrode // 2, {})
    assert together.n_clusters == 3
    assert together.se > apart.se
    # With the same rates everywhere it is Student's test on the slopes.
    assert apart.se == pytest.approx(slopes.std(ddof=1) / np.sqrt(n))


def test_what_is_not_known_is_said() -> None:
    evidence = campaign(np.random.default_rng(6), [RATES[:2]] * 2, 0.4)
    relative = evidence.kept.assign(thickness_nm=np.nan)
    table = transport(Evidence(relative, relative, evidence.pairs, evidence.sheet, evidence.fields, "stxm", 0))
    assert table["note"].str.contains("no thickness in nm").all()
    assert table["current_density_a_m2"].isna().all()
    custom = evidence.kept.assign(chemistry="custom", c_rate=np.nan)
    (row,) = transport(
        Evidence(custom[:300], custom[:300], evidence.pairs, evidence.sheet, evidence.fields, "stxm", 0)
    ).to_dict("records")
    assert "no rate" in row["note"]
    assert "chemistry" in row["note"]
    idle = evidence.kept.assign(soc_mean=0.0)
    table = transport(Evidence(idle, idle, evidence.pairs, evidence.sheet, evidence.fields, "stxm", 0))
    assert table["note"].str.contains("no active particle").all()
    empty = evidence.kept[:0]
    assert len(rate_exponents(Evidence(empty, empty, evidence.pairs, evidence.sheet, evidence.fields, "stxm", 0))) == 0
