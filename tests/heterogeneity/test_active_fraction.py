"""The active share does not depend on the errors, and its interval holds with one region."""

import numpy as np
import pytest

from stxmdist.arrays import F64
from stxmdist.heterogeneity.active_fraction import (
    Clustering,
    active_clustering,
    active_fraction,
    is_active,
    recognition,
)

ALLOWED = 0.03
"""For errors of at most 0.1."""


def drawn(rng: np.random.Generator, share: float, error: float, n: int) -> tuple[F64, F64]:
    """Measured state of charge and its error; the inactive lie at both end-members, give or take a few hundredths."""
    active = 0.1 + 0.8 * rng.beta(1.5, 1.5, n)
    end = np.abs(rng.normal(0.02, 0.02, n)).clip(0, 0.09)
    inactive = np.where(rng.random(n) < 0.5, end, 1.0 - end)
    # Planted exactly, so that the figure is the estimator's and not the draw's.
    soc = np.where(np.arange(n) < round(share * n), active, inactive)
    errors = error * rng.uniform(0.7, 1.4, n)
    return soc + rng.normal(0, errors), errors


@pytest.mark.parametrize("error", [0.005, 0.05, 0.1])
def test_planted_share_comes_back_whatever_the_error(error: float) -> None:
    rng = np.random.default_rng(41)
    for share in (0.05, 0.2, 0.5, 0.9):
        found, raw = [], []
        for _ in range(6):
            soc, errors = drawn(rng, share, error, 1500)
            found.append(recognition(soc, errors, np.zeros(len(soc), dtype=bool)).fraction)
            raw.append(is_active(soc, np.zeros(len(soc), dtype=bool)).mean())
        print(f"error {error}: planted {share:.2f}, counted {np.mean(raw):.3f}, corrected {np.mean(found):.3f}")
        assert np.mean(found) == pytest.approx(share, abs=ALLOWED)


def test_sensitivity_and_specificity_give_the_fraction_by_rogan_and_gladen() -> None:
    rng = np.random.default_rng(42)
    soc, errors = drawn(rng, 0.3, 0.08, 400)
    two = np.arange(400) % 20 == 0
    found = recognition(soc, errors, two)
    counted = float(is_active(soc, two).mean())
    by_hand = (counted + found.specificity - 1) / (found.sensitivity + found.specificity - 1)
    assert by_hand == pytest.approx(found.fraction, abs=1e-9)


def test_many_particles_in_bins_are_the_same_as_each_by_itself() -> None:
    rng = np.random.default_rng(43)
    soc, errors = drawn(rng, 0.4, 0.06, 3999)
    two = np.zeros(3999, dtype=bool)
    alone = recognition(soc, errors, two).fraction
    many = recognition(np.tile(soc, 2), np.tile(errors, 2), np.tile(two, 2)).fraction
    assert many == pytest.approx(alone, abs=0.003)


@pytest.mark.parametrize("alike", [0.1, 0.3])
def test_interval_of_one_region_covers(alike: float) -> None:
    rng, hits = np.random.default_rng(44), []
    regions = np.array([1, 2, 2, 2])
    electrode = np.repeat(np.arange(4), regions)
    for _ in range(40):
        planted = rng.uniform(0.3, 0.7, 4)
        concentration = 1.0 / alike - 1.0
        of_region = rng.beta(planted[electrode] * concentration, (1 - planted[electrode]) * concentration)
        region = np.repeat(np.arange(len(electrode)), 40)
        soc = np.where(rng.random(len(region)) < of_region[region], 0.1 + 0.8 * rng.beta(2, 2, len(region)), 0.01)
        errors, two = np.full(len(soc), 0.03), np.zeros(len(soc), dtype=bool)
        soc = soc + rng.normal(0, errors)
        place = electrode[region]
        alikeness = active_clustering(is_active(soc, two), region, place, place, 0 * place)
        here = place == 0
        found = active_fraction(soc[here], errors[here], two[here], region[here], alikeness, rng).interval
        hits.append(found.low <= planted[0] <= found.high)
    print(f"correlation {alike}: coverage with one region {np.mean(hits):.3f}")
    # Three binomial standard errors below .92, of so few campaigns.
    assert np.mean(hits) >= 0.92 - 3 * np.sqrt(0.92 * 0.08 / 40)


def test_what_is_not_known_is_said() -> None:
    rng = np.random.default_rng(45)
    nothing = np.full(5, np.nan)
    no = np.zeros(5, dtype=bool)
    region = np.zeros(5, dtype=np.int64)
    assert np.isnan(active_fraction(nothing, nothing, no, region, Clustering(0.0, 3), rng).interval.estimate)
    alone = active_clustering(np.array([0.0, 1.0, 1.0, 0.0, 1.0]), region, region, region, region)
    assert np.isnan(alone.correlation)
    found = active_fraction(np.linspace(0, 1, 5), np.full(5, 0.01), no, region, alone, rng).interval
    assert found.estimate == pytest.approx(0.6, abs=0.05)
    assert np.isnan(found.low)
    assert found.note
    blind = recognition(np.linspace(-3, 3, 50), np.full(50, 3.0), np.zeros(50, dtype=bool))
    assert np.isnan(blind.sensitivity)


def test_regions_in_which_all_are_active_do_not_differ() -> None:
    """Rounding of their means was taken for a correlation of 1: of 22 of 22 active the interval began at .05."""
    region = np.repeat(np.arange(6), [22, 23, 23, 25, 23, 27])
    found = active_clustering(np.ones(len(region)), region, region, region // 2, region % 2)
    assert found.correlation == 0.0
