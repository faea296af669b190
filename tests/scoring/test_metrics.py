"""Metrics of particles are compared wherever product and truth have the same column."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.scoring.metrics import score_metrics
from stxmdist.scoring.particles import Matched

N = 400


def matched(found: pd.DataFrame, true: pd.DataFrame) -> Matched:
    pairs = pd.DataFrame({"particle_id": true["particle_id"], "found_id": true["particle_id"] + 7})
    return Matched("stxm", len(true), pairs, 0, true, found.assign(particle_id=true["particle_id"] + 7))


def true() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "particle_id": np.arange(1, N + 1),
            "crack_share": rng.uniform(0.0, 0.2, N),
            "boundary_normal_deg": rng.uniform(0.0, 180.0, N),
            "planted_active": rng.random(N) < 0.5,
            "pattern": "two_phase",
            "y_um": 1.0,
        }
    )


def scored(found: pd.DataFrame, of: pd.DataFrame) -> dict[str, object]:
    return {row.metric: row for row in score_metrics([matched(found, of)])}


def test_bias_scatter_slope_and_coverage_are_those_that_were_planted() -> None:
    of = true()
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 0.01, N)
    found = pd.DataFrame({"crack_share": 0.9 * of["crack_share"] + 0.02 + noise, "crack_share_se": 0.01})
    row = scored(found, of)["crack_share"]
    assert row.n == N
    assert row.bias == pytest.approx(0.02 - 0.1 * of["crack_share"].mean(), abs=4 * 0.01 / np.sqrt(N))
    assert row.slope == pytest.approx(0.9, abs=0.04)
    assert row.correlation > 0.95
    exact = scored(pd.DataFrame({"crack_share": of["crack_share"] + noise, "crack_share_se": 0.01}), of)["crack_share"]
    assert exact.inside == pytest.approx(0.95, abs=4 * np.sqrt(0.0475 / N))
    assert exact.rms == pytest.approx(0.01, rel=0.15)


def test_directions_differ_by_the_smaller_way_round() -> None:
    of = true()
    found = pd.DataFrame({"boundary_normal_deg": (of["boundary_normal_deg"] + 175.0) % 180.0})
    assert scored(found, of)["boundary_normal_deg"].bias == pytest.approx(-5.0)


def test_what_is_not_known_is_counted_and_what_is_no_metric_is_left_out() -> None:
    of = true()
    values = of["crack_share"].where(of["crack_share"] > 0.1)
    found = pd.DataFrame({"crack_share": values, "pattern": "x", "y_um": 2.0, "planted_active": of["planted_active"]})
    rows = scored(found, of)
    assert set(rows) == {"crack_share", "planted_active"}
    assert rows["crack_share"].n_missing == int((of["crack_share"] <= 0.1).sum())
    assert rows["crack_share"].bias == 0.0
    assert np.isnan(rows["crack_share"].inside)


def test_nothing_found_gives_no_rows() -> None:
    of = true()
    empty = Matched("stxm", 1, pd.DataFrame(columns=["particle_id", "found_id"]), 0, of, of)
    assert score_metrics([empty]) == []
