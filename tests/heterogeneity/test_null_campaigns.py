"""Campaigns in which nothing is to be found: how often something is, and how often sizes seem to matter."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.effects import SLOPES_T, effects_table

CAMPAIGNS = 300
PARTICLES = 15
"""Of a region; electrodes have two regions at each of two cycles"""
MOST_TYPE_ONE = 0.06
FALSE_DISCOVERIES = 0.07
"""The rate asked for is .05 and may be exceeded by .02; of campaigns without effects, the share with any discovery"""
MC_ERRORS = 2.0
"""Standard errors of so many campaigns that a rate may lie above its limit"""
METRICS = ("soc_mean", "soc_sd", "core_shell_index", "f_mixed")
"""One that is declared primary, and three that are searched"""


def nothing_planted(rng: np.random.Generator, n_electrodes: int) -> pd.DataFrame:
    """Electrodes, their slopes over cycle and over size, and regions differ at random; no slope has a mean."""
    shape = (n_electrodes, 2, 2, PARTICLES)
    electrode, cycle, region, _ = np.indices(shape)
    diameter = np.exp(rng.normal(np.log(0.5), 0.4, shape))
    table = {
        "electrode_id": np.char.add("E", electrode.ravel().astype(str)),
        "region_id": np.char.add("r", region.ravel().astype(str)),
        "cycle": np.where(cycle.ravel() == 0, 1.0, 100.0),
        "c_rate": 1.0,
        "direction": "charge",
        "modality": "stxm",
        "d_eq_um": diameter.ravel(),
        "flags": "",
        "soc_mean_se": 0.0,
    }
    for name in METRICS:
        level = rng.normal(0.4, 0.05, (n_electrodes, 1, 1, 1))
        over_cycle = rng.normal(0.0, 0.03, (n_electrodes, 1, 1, 1)) * cycle
        over_size = rng.normal(0.0, 0.05, (n_electrodes, 1, 1, 1)) * np.log(diameter / 0.5)
        of_region = rng.normal(0.0, 0.02, (n_electrodes, 2, 2, 1))
        table[name] = (level + over_cycle + over_size + of_region + rng.normal(0.0, 0.1, shape)).ravel()
    return pd.DataFrame(table)


def allowed(rate: float) -> float:
    """What a rate may be measured as."""
    return rate + MC_ERRORS * float(np.sqrt(rate * (1.0 - rate) / CAMPAIGNS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n_electrodes", [4, 8])
def test_nothing_is_found_where_nothing_is(n_electrodes: int) -> None:
    rng = np.random.default_rng([1409, n_electrodes])
    primary, sizes, discovered = [], [], []
    for _ in range(CAMPAIGNS):
        table = effects_table(nothing_planted(rng, n_electrodes), endpoints=METRICS, mixed=False, rng=rng)
        tested = table[table["method"] == SLOPES_T].set_index(["endpoint", "term"])
        primary.append(tested.loc[("soc_mean", "cycle"), "p"] < 0.05)
        sizes.append(tested.loc[("soc_mean", "log_d_eq"), "p"] < 0.05)
        discovered.append((tested["q_fdr"] < 0.05).any())
    type_one, of_size, found = (float(np.mean(each)) for each in (primary, sizes, discovered))
    print(
        f"{n_electrodes} electrodes, {CAMPAIGNS} campaigns: type I of the primary effect {type_one:.3f}, of size "
        f"{of_size:.3f}; campaigns with a discovery at q < .05 {found:.3f}"
    )
    assert type_one <= allowed(MOST_TYPE_ONE)
    assert of_size <= allowed(MOST_TYPE_ONE)
    assert found <= allowed(FALSE_DISCOVERIES)
