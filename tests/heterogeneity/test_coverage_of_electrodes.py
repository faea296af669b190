"""C7 of the closure tests: 95 % intervals of 3, 5 and 10 electrodes cover in 92 to 97 % of campaigns."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.effects import SLOPES_T, effects_table
from stxmdist.heterogeneity.electrodes import mass_weighted_means
from stxmdist.heterogeneity.places import places_of

ELECTRODES = (3, 5, 10)
COVERAGE = (0.92, 0.97)
RUNS = 500
DOUBT = 2.0 * np.sqrt(0.95 * 0.05 / RUNS)
"""Two binomial standard errors of so many campaigns."""

EFFECT = 0.08
"""Change of the state of charge over all cycles, in the mean of electrodes"""
ELECTRODE_SD, EFFECT_SD, REGION_SD, PARTICLE_SD, NOISE = 0.05, 0.04, 0.03, 0.12, 0.05


def campaign(rng: np.random.Generator, electrodes: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Particles of electrodes at three cycles in one to three regions each, and the true mean of each of those places.

    Masses differ by a factor of two and do not go with the state of charge.
    """
    cycles = np.array([1.0, 50.0, 200.0])
    truth = pd.DataFrame(
        [(f"E{electrode}", cycle) for electrode in range(electrodes) for cycle in cycles],
        columns=["electrode_id", "cycle"],
    )
    own, change = rng.normal(0.4, ELECTRODE_SD, electrodes), rng.normal(EFFECT, EFFECT_SD, electrodes)
    truth["mean"] = np.repeat(own, 3) + np.repeat(change, 3) * np.tile(cycles / 200.0, electrodes)
    region = np.repeat(np.arange(len(truth)), rng.integers(1, 4, len(truth)))
    row = np.repeat(np.arange(len(region)), rng.integers(10, 40, len(region)))
    place = region[row]
    level = truth["mean"].to_numpy()[place] + rng.normal(0.0, REGION_SD, len(region))[row]
    particles = truth.loc[place, ["electrode_id", "cycle"]].reset_index(drop=True)
    return particles.assign(
        c_rate=1.0,
        direction="charge",
        region_id=np.char.add("r", row.astype(np.str_)),
        modality="stxm",
        soc_mean=level + rng.normal(0.0, np.hypot(PARTICLE_SD, NOISE), len(row)),
        soc_se_stat=NOISE,
        soc_sd=0.05,
        area_um2=rng.uniform(0.1, 0.2, len(row)),
        thickness_nm=100.0,
    ), truth


def covered(low: float, truth: float, high: float) -> bool:
    return bool(low <= truth <= high)


@pytest.mark.slow
@pytest.mark.parametrize("electrodes", ELECTRODES)
def test_effects_of_few_electrodes_cover(electrodes: int) -> None:
    rng, hits, widths = np.random.default_rng([61, electrodes]), [], []
    for _ in range(RUNS):
        particles, _ = campaign(rng, electrodes)
        table = effects_table(particles, endpoints=["soc_mean"], terms=["cycle"], mixed=False)
        (found,) = table[table["method"] == SLOPES_T].to_dict("records")
        low, high, truth = 200.0 * found["ci_low"], 200.0 * found["ci_high"], EFFECT
        hits.append(covered(low, truth, high))
        widths.append(high - low)
    print(
        f"\nC7, effect of cycling, {electrodes} electrodes: coverage {np.mean(hits):.3f}, width {np.median(widths):.3f}"
    )
    assert COVERAGE[0] - DOUBT <= np.mean(hits) <= COVERAGE[1] + DOUBT


@pytest.mark.slow
@pytest.mark.parametrize("electrodes", ELECTRODES)
def test_means_of_few_electrodes_cover(electrodes: int) -> None:
    rng, hits, widths = np.random.default_rng([62, electrodes]), [], []
    for _ in range(RUNS):
        particles, truth = campaign(rng, electrodes)
        seen = places_of(particles)
        found = mass_weighted_means(seen)
        of = truth.set_index(["electrode_id", "cycle"])["mean"]
        true = [of[name, cycle] for name, cycle in zip(seen.table["electrode_id"], seen.table["cycle"], strict=True)]
        hits.append([covered(each.low, mean, each.high) for each, mean in zip(found, true, strict=True)])
        widths.append([each.high - each.low for each in found])
    print(f"\nC7, mean, {electrodes} electrodes: coverage {np.mean(hits):.3f}, width {np.median(widths):.3f}")
    assert COVERAGE[0] - DOUBT <= np.mean(hits) <= COVERAGE[1] + DOUBT
