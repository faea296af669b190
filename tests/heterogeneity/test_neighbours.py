"""Neighbours that are alike are found, those that are not are not, whatever differs between scans."""

import numpy as np
import pytest

from stxmdist.heterogeneity.neighbours import mark_sums, mark_test, near_pairs, nearest_distance

RUNS, SCANS, N = 400, 2, 40
EDGES_UM = np.array([0.0, 1.5, 3.0])


def planted(rng: np.random.Generator, alike: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Places, scans and marks: a smooth field of range 1.2 um, noise, and scans that differ much."""
    scan = np.repeat(np.arange(SCANS), N)
    y, x = rng.uniform(0.0, 9.0, (2, SCANS * N))
    distance2 = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2
    covariance = np.where(scan[:, None] == scan, np.exp(-distance2 / (2.0 * 1.2**2)), 0.0) + 1e-9 * np.eye(len(y))
    field = np.linalg.cholesky(covariance) @ rng.normal(size=len(y))
    mark = np.sqrt(alike) * field + np.sqrt(1.0 - alike) * rng.normal(size=len(y)) + 3.0 * scan
    return y, x, scan, mark


def called(alike: float, seed: int, runs: int = RUNS) -> tuple[float, float]:
    """How often neighbours are called alike at 5 %, by mark correlation and by join counts."""
    rng = np.random.default_rng(seed)
    p = []
    for _ in range(runs):
        y, x, scan, mark = planted(rng, alike)
        centred = mark - (np.bincount(scan, mark) / N)[scan]
        joined = (centred > 0.3).astype(np.float64)
        joined -= (np.bincount(scan, joined) / N)[scan]
        sums = mark_sums(np.stack([centred, joined]), scan, near_pairs(y, x, scan, EDGES_UM), 199, rng)
        p.append([mark_test(sums, 0).p[0], mark_test(sums, 1).p[0]])
    found = (np.array(p) <= 0.05).mean(axis=0)
    return float(found[0]), float(found[1])


def test_size_is_the_level() -> None:
    by_soc, by_joins = called(0.0, 1)
    print(f"\nno correlation, scans 3 SD apart: called in {by_soc:.3f} by soc, {by_joins:.3f} by joins")
    assert 0.03 <= by_soc <= 0.07
    assert 0.03 <= by_joins <= 0.07


def test_planted_neighbour_correlation_is_found() -> None:
    by_soc, by_joins = called(0.6, 2, runs=60)
    print(f"\ncorrelation 0.6 at short range, 80 particles: power {by_soc:.2f} by soc, {by_joins:.2f} by joins")
    assert by_soc >= 0.9
    assert by_joins >= 0.6


def test_pairs_are_those_of_one_scan_and_counted_once() -> None:
    rng = np.random.default_rng(3)
    y, x = rng.uniform(0.0, 5.0, (2, 30))
    scan = np.repeat([4, 9, 11], 10)
    pairs = near_pairs(y, x, scan, np.array([0.0, 1.0, 2.0]))
    distance = np.hypot(y[:, None] - y, x[:, None] - x)
    allowed = np.triu(scan[:, None] == scan, 1)
    assert pairs.counts.tolist() == [
        (allowed & (distance < 1)).sum(),
        (allowed & (distance >= 1) & (distance < 2)).sum(),
    ]
    assert (scan[pairs.one] == scan[pairs.other]).all()
    same = np.where(np.eye(30, dtype=bool) | (scan[:, None] != scan), np.inf, distance).min(axis=1)
    assert nearest_distance(y, x, scan) == pytest.approx(np.median(same))


def test_permutations_keep_what_scans_share() -> None:
    rng = np.random.default_rng(4)
    y, x = rng.uniform(0.0, 3.0, (2, 40))
    scan = np.repeat([0, 1], 20)
    sums = mark_sums(scan[None, :] * 5.0 + 1.0, scan, near_pairs(y, x, scan, EDGES_UM), 50, rng)
    assert np.ptp(sums.permuted, axis=1).max() == 0.0
    assert np.isnan(mark_test(sums, 0).p).all()


def test_the_mean_over_neighbours_is_morans() -> None:
    rng = np.random.default_rng(5)
    y, x = rng.uniform(0.0, 6.0, (2, 60))
    centred = rng.normal(size=60) + y
    centred = (centred - centred.mean()) / centred.std()
    weights = (np.hypot(y[:, None] - y, x[:, None] - x) < 1.5) & ~np.eye(60, dtype=bool)
    moran = float(centred @ weights @ centred) / weights.sum()
    scan = np.zeros(60, dtype=np.int64)
    sums = mark_sums(centred[None, :], scan, near_pairs(y, x, scan, np.array([0.0, 1.5])), 9, rng)
    assert mark_test(sums, 0).mean[0] == pytest.approx(moran, rel=1e-12)
