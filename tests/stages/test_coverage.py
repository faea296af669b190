"""Intervals of particles' states of charge cover what they say, systematic errors included, from 30 photons on."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.stages.fit import Options as FitOptions
from stxmdist.stages.segment.options import Options
from tests.stages.planted_stacks import fitted, matched, plant_stack

PHOTONS = (30.0, 100.0, 1000.0)
LEVELS = {0.68: 0.9945, 0.95: 1.9600}
"""Coverage and how many standard errors make it"""
WITHIN = 0.03
SIZES_UM = (0.2, 0.35, 0.6, 1.1, 2.0)
STACKS, FEW_STACKS = 200, 3


WELL_KNOWN = Options(end_member_sd=0.005)
"""End-members measured on the same instrument: what else is wrong decides"""
AS_MODELLED = Options()
"""The library's, wrong by what they say of themselves, which outweighs all else"""


def covered(options: Options, n_stacks: int, seed: int) -> pd.DataFrame:
    """Particles of that many stacks at each number of photons, with their pulls."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_stacks):
        stack = plant_stack(rng, options)
        for photons in PHOTONS:
            scan, model = fitted(stack, photons, rng, FitOptions())
            found.append(matched(stack, scan, model, options).assign(photons=photons, stack_number=number))
    table = pd.concat(found, ignore_index=True)
    table["pull"] = (table["soc_mean"] - table["soc_true"]) / table["soc_se"]
    return table


def shares(table: pd.DataFrame) -> dict[float, float]:
    """Share of particles within the interval of each level; one without a number is within none."""
    return {level: float((table["pull"].abs() < width).mean()) for level, width in LEVELS.items()}


def chance(table: pd.DataFrame, level: float) -> float:
    """Standard error of a coverage over stacks, whose particles are not independent."""
    inside = (table["pull"].abs() < LEVELS[level]).groupby(table["stack_number"]).agg(["sum", "size"])
    left = inside["sum"] - inside["size"] * inside["sum"].sum() / inside["size"].sum()
    return float(np.sqrt((left**2).sum()) / inside["size"].sum())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("options", [WELL_KNOWN, AS_MODELLED], ids=["known end-members", "modelled end-members"])
def test_intervals_cover_at_every_number_of_photons(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    table = covered(options, STACKS, 77)
    sizes = pd.cut(table["d_true_um"], SIZES_UM, include_lowest=True)
    with capsys.disabled():
        for photons, here in table.groupby("photons"):
            se = {level: chance(here, level) for level in LEVELS}
            print(
                f"\n  {photons:g} photons, {len(here)} particles: "
                + ", ".join(
                    f"{level:.0%} cover {share:.3f} (+- {se[level]:.3f})" for level, share in shares(here).items()
                ),
                end="",
            )
            for size, part in here.groupby(sizes[here.index], observed=True):
                both = ", ".join(f"{share:.3f}" for share in shares(part).values())
                print(f"\n    {size.left:.2g} to {size.right:.2g} um, {len(part)} particles: {both}", end="")
    for _, here in table.groupby("photons"):
        for level, share in shares(here).items():
            assert abs(share - level) < WITHIN


def test_the_same_of_a_few_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    table = covered(WELL_KNOWN, FEW_STACKS, 78)
    spread = float(np.sqrt((table["pull"] ** 2).mean()))
    with capsys.disabled():
        print(f"\n  {len(table)} particles: pulls {spread:.2f} rms, largest {table['pull'].abs().max():.1f}")
    assert len(table) > 3 * FEW_STACKS * len(PHOTONS)
    # Three standard deviations of a root mean square of as few independent stacks.
    assert 0.4 < spread < 1.6
    parts = table[["soc_se_stat", "soc_se_sys", "soc_se_overlap"]].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), table["soc_se"])
    assert np.isfinite(table[["soc_per_ev", "soc_per_leak", "soc_per_i0"]].to_numpy()).all()
