"""Intervals of electrodes seen in few regions, from the regions of all electrodes together."""

import numpy as np
import pytest
from scipy import stats

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.region_variance import NOT_KNOWN, OF_CHANGES, OF_ELECTRODES, OF_REGIONS, pooled_means

REGION_SD, PARTICLE_SD = 0.03, 0.12
COVERAGE = (0.92, 0.97)
"""Where the coverage of 95 % intervals should lie."""


def drawn(
    rng: np.random.Generator, regions: tuple[int, ...], conditions: int = 1, electrode_sd: float = 0.05
) -> tuple[tuple[F64, F64, I64, I64, I64, I64], F64]:
    """Particles of electrodes with these numbers of regions in each condition, and the true means of all places."""
    of_region = [(e, c) for e, count in enumerate(regions) for c in range(conditions) for _ in range(count)]
    electrode, condition = (np.array(column) for column in zip(*of_region, strict=True))
    place = electrode * conditions + condition
    means = np.repeat(rng.normal(0.5, electrode_sd, len(regions)), conditions)
    means = means + 0.1 * np.tile(np.arange(conditions), len(regions))
    counts = rng.integers(8, 43, len(of_region))
    region = np.repeat(np.arange(len(of_region)), counts)
    level = means[place] + rng.normal(0, REGION_SD, len(of_region))
    value = level[region] + rng.normal(0, PARTICLE_SD, len(region))
    weight = rng.lognormal(0, 0.5, len(region))
    return (value, weight, region, place[region], electrode[region], condition[region]), means


@pytest.mark.parametrize(
    ("regions", "conditions"),
    [((1, 1, 1), 3), ((2, 2, 2), 1), ((3, 3, 3), 1), ((1,) * 5, 3), ((2,) * 5, 1), ((3,) * 8, 1)],
)
def test_intervals_cover_with_one_two_and_three_regions(regions: tuple[int, ...], conditions: int) -> None:
    rng, hits, widths = np.random.default_rng(31), [], []
    for _ in range(300):
        rows, means = drawn(rng, regions, conditions)
        found = pooled_means(*rows)
        hits.append((found.low <= means) & (means <= found.high))
        widths.append(found.high - found.low)
    cover = float(np.mean(hits))
    print(f"{len(regions)} electrodes, {regions[0]} regions: coverage {cover:.3f}, width {np.median(widths):.3f}")
    # Two binomial standard errors of so many campaigns, each counted once.
    doubt = 2.0 * np.sqrt(0.95 * 0.05 / 300)
    assert COVERAGE[0] - doubt <= cover <= COVERAGE[1] + doubt


def test_where_only_electrodes_differ_the_interval_is_a_bound() -> None:
    rng = np.random.default_rng(32)
    hits = []
    for _ in range(60):
        rows, means = drawn(rng, (1,) * 5)
        found = pooled_means(*rows)
        assert found.spread.note == OF_ELECTRODES
        hits.append((found.low <= means) & (means <= found.high))
    assert np.mean(hits) >= COVERAGE[0]


def test_what_the_spread_is_taken_from_is_said() -> None:
    rng = np.random.default_rng(33)
    assert pooled_means(*drawn(rng, (2, 1, 1))[0]).spread.note == OF_REGIONS
    assert pooled_means(*drawn(rng, (1, 1), 3)[0]).spread.note == OF_CHANGES
    alone = pooled_means(*drawn(rng, (1,))[0])
    assert alone.spread.note == NOT_KNOWN
    assert np.isfinite(alone.estimate).all()
    assert np.isnan(alone.low).all()


def test_balanced_regions_give_students_interval_with_the_pooled_degrees() -> None:
    rng = np.random.default_rng(34)
    # Regions differ much, so that the particles' own part is next to nothing.
    level = rng.normal(0, 1.0, (4, 3))
    value = (level[:, :, None] + rng.normal(0, 1e-6, (4, 3, 5))).ravel()
    place, region = (np.repeat(np.arange(count), len(value) // count) for count in (4, 12))
    found = pooled_means(value, np.ones(60), region, place, place, np.zeros(60, dtype=np.int64))
    pooled = level.var(axis=1, ddof=1).mean()
    np.testing.assert_allclose(found.estimate, level.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.high - found.estimate, stats.t.ppf(0.975, 8) * np.sqrt(pooled / 3), rtol=1e-4)


def test_shift_scale_and_order_move_intervals_as_they_must() -> None:
    rng = np.random.default_rng(35)
    (value, *rest), _ = drawn(rng, (2, 1, 3))
    one, other = pooled_means(value, *rest), pooled_means(3 * value + 5, *rest)
    np.testing.assert_allclose(other.low, 3 * one.low + 5)
    order = rng.permutation(len(value))
    mixed = pooled_means(value[order], *(column[order] for column in rest))
    np.testing.assert_allclose(mixed.high, one.high)


def test_one_particle_in_each_region_and_none_at_all() -> None:
    rng = np.random.default_rng(36)
    index = np.arange(6)
    found = pooled_means(rng.normal(size=6), np.ones(6), index, index // 2, index // 2, index * 0)
    assert np.isfinite(found.low).all()
    nothing = pooled_means(np.full(6, np.nan), np.ones(6), index, index // 2, index // 2, index * 0)
    assert np.isnan(nothing.estimate).all()
    assert nothing.spread.note == "no particles"
