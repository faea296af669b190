"""The active fraction over rate: from errors that misplace particles to a slope per e-fold of rate over electrodes."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.effects import effects_table
from stxmdist.heterogeneity.electrodes import electrode_table

RATES = np.array([0.2, 1.0, 5.0])
ELECTRODES, REGIONS, PARTICLES = 6, 2, 30
NOISE = 0.06
RUNS = 60


def campaign(slope: float, rng: np.random.Generator) -> pd.DataFrame:
    """Electrodes at three rates; electrodes and regions differ by 0.05 in their active fraction of 0.4."""
    shape = (ELECTRODES, len(RATES), REGIONS, PARTICLES)
    electrode, rate, region, _ = np.indices(shape).reshape(4, -1)
    chance = 0.4 + slope * np.log(RATES)[rate] + rng.normal(0.0, 0.05, ELECTRODES)[electrode]
    chance += rng.normal(0.0, 0.05, shape[:3])[electrode, rate, region]
    active = rng.random(chance.size) < chance
    truth = np.where(active, rng.uniform(0.15, 0.85, chance.size), 0.02)
    seen = truth + rng.normal(0.0, NOISE, chance.size)
    scan = [f"s{one}-{two}-{three}" for one, two, three in zip(electrode, rate, region, strict=True)]
    return pd.DataFrame(
        {
            "electrode_id": [f"E{index}" for index in electrode],
            "scan_id": scan,
            "region_id": scan,
            "modality": "stxm",
            "cycle": 1.0,
            "c_rate": RATES[rate],
            "direction": "charge",
            "soc_mean": seen,
            "active": (seen > 0.1) & (seen < 0.9),
            "soc_se": NOISE,
            "soc_se_stat": NOISE,
            "phase_class": "solid-solution",
            "flags": "",
        }
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("slope", [0.0, 0.12])
def test_the_slope_over_rate_closes(slope: float) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(RUNS):
        rows = effects_table(campaign(slope, rng), endpoints=("active",), terms=("log_c_rate",), mixed=False, rng=rng)
        found.append(rows.loc[0, ["estimate", "ci_low", "ci_high", "p"]].to_numpy(dtype=np.float64))
    estimate, low, high, p = np.array(found).T
    covered, called = float(np.mean((low <= slope) & (slope <= high))), float(np.mean(p < 0.05))
    scatter = f"{estimate.mean():.4f} +- {estimate.std():.4f}"
    print(f"\nslope {slope}: found {scatter}, inside {covered:.2f}, p < .05 {called:.2f}")
    # 4 standard errors of the mean, and of a share of 95 % of so many runs.
    assert estimate.mean() == pytest.approx(slope, abs=4 * estimate.std() / np.sqrt(RUNS) + 0.002)
    assert covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / RUNS)
    assert called >= 0.9 if slope else called <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


def test_the_table_of_electrodes_has_the_points_and_the_exact_test_its_limit() -> None:
    rng = np.random.default_rng(2)
    frame = campaign(0.12, rng)
    table = electrode_table(frame, rng=rng)
    by_rate = table.groupby("c_rate")["active_fraction"].mean()
    print(f"\nactive fraction over rate: {by_rate.round(3).to_dict()}, planted {(0.4 + 0.12 * np.log(RATES)).round(3)}")
    # Of 12 regions of 30 at each rate, with regions and electrodes that differ: standard error 0.04.
    assert by_rate.to_numpy() == pytest.approx(0.4 + 0.12 * np.log(RATES), abs=0.12)
    effects = effects_table(frame, endpoints=("active",), terms=("log_c_rate",), mixed=False, rng=rng)
    # Six electrodes: 2 of 64 changes of sign.
    assert effects["p_min_attainable"].dropna().to_numpy() == pytest.approx(2.0 / 64.0)
