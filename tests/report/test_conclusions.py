"""Words claim what intervals and designs allow, and no more."""

import numpy as np
import pytest

from stxmdist.report.conclusions import _effect
from stxmdist.report.tables import EffectRow


def row(method: str, estimate: float, low: float, high: float, p: float = 0.01, least: float = np.nan) -> EffectRow:
    return EffectRow(
        "soc_mean", "cycle", method, estimate, low, high, "per cycle", p, least, np.nan, 6.0, 300.0, True, ""
    )


EXACT = "exact sign flip of electrode slopes"


@pytest.mark.parametrize(
    ("estimate", "low", "high", "least", "wanted", "unwanted"),
    [
        (-0.0008, -0.0012, -0.0004, 0.03, "fell by 0.0800 (0.0400 to 0.120) for 100 cycles", "can give"),
        (-0.0008, -0.0012, -0.0004, 0.25, "no exact test of so few can give a p below 0.25", "exact p"),
        (0.0008, 0.0004, 0.0012, 0.03, "rose by 0.0800", "fell"),
        (0.0002, -0.0004, 0.0008, 0.03, "No dependence of state of charge on cycle was shown", "rose"),
    ],
)
def test_an_effect_is_called_what_the_design_allows(
    estimate: float, low: float, high: float, least: float, wanted: str, unwanted: str
) -> None:
    tested = row("t on electrode slopes", estimate, low, high)
    said = _effect("state of charge", tested, row(EXACT, estimate, np.nan, np.nan, 0.04, least))
    assert wanted in said
    assert unwanted not in said
    assert "significant" not in said


def test_without_an_interval_nothing_is_claimed() -> None:
    said = _effect("state of charge", row("t on electrode means", 0.001, np.nan, np.nan), None)
    assert "without an interval" in said
