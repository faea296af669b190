"""Closure with coulometry: what closes, what does not, and what is not known."""

import numpy as np
import pytest

from stxmdist.heterogeneity.analyses.closure import ALL, closure, verdict
from tests.heterogeneity.analyses.planted import Planted, evidence, planted_particles, with_columns_of


@pytest.mark.parametrize(("coulometric", "words"), [(0.42, "closes"), (0.6, "does not close")])
def test_electrodes_close_or_do_not(coulometric: float, words: str) -> None:
    planted = Planted(n_electrodes=4, n_regions=3, n_particles=80, soc=0.4, soc_coulometric=coulometric)
    table = closure(evidence(planted_particles(planted, np.random.default_rng(1))))
    assert with_columns_of(table, "closure")
    assert (table["verdict"] == words).all()
    last = table.iloc[-1]
    assert last["electrode_id"] == ALL
    assert last["delta"] == pytest.approx(0.4 - coulometric, abs=0.02)
    assert last["delta_low"] < 0.4 - coulometric < last["delta_high"]
    limits = f"{last['delta_low']:+.3f} to {last['delta_high']:+.3f}"
    print(f"\ncoulometry {coulometric}: delta {last['delta']:+.3f} ({limits})")


def test_the_interval_of_the_difference_covers() -> None:
    rng, inside = np.random.default_rng(11), []
    planted = Planted(n_electrodes=4, n_regions=2, n_particles=30, soc=0.4, sd_region=0.03, soc_coulometric=0.4)
    for _ in range(100):
        table = closure(evidence(planted_particles(planted, rng))).iloc[:-1]
        inside.append(((table["delta_low"] <= 0.0) & (table["delta_high"] >= 0.0)).to_numpy())
    print(f"\ncoverage of delta: {np.mean(inside):.3f}")
    # 3 standard errors of some 250 independent intervals.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.042)


def test_what_the_sheet_does_not_say_is_not_known() -> None:
    frame = planted_particles(Planted(), np.random.default_rng(3)).assign(soc_coulometric=np.nan)
    table = closure(evidence(frame))
    assert (table["verdict"] == "not known").all()
    assert table["note"].str.contains("does not say the charge").all()
    assert len(closure(evidence(frame.iloc[:0]))) == 0


def test_one_electrode_has_no_row_of_all_and_one_particle_no_interval() -> None:
    frame = planted_particles(Planted(n_electrodes=1), np.random.default_rng(4))
    assert ALL not in closure(evidence(frame))["electrode_id"].tolist()
    (row,) = closure(evidence(frame.iloc[:1])).to_dict("records")
    assert row["verdict"] == "not known" or "as far as can be seen" in row["verdict"]
    assert row["note"]


@pytest.mark.parametrize(
    ("delta", "low", "high", "words"),
    [
        (0.01, -0.02, 0.04, "closes"),
        (0.01, -0.08, 0.1, "closes, as far as can be seen"),
        (0.1, 0.06, 0.14, "does not close"),
        (-0.1, -0.3, 0.1, "does not close, as far as can be seen"),
        (0.01, np.nan, np.nan, "closes, as far as can be seen"),
        (np.nan, np.nan, np.nan, "not known"),
    ],
)
def test_words(delta: float, low: float, high: float, words: str) -> None:
    assert verdict(delta, low, high) == words
