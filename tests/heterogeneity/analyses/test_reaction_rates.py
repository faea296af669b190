"""What rates of one region show of autocatalysis, beside errors that all of its particles share."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.reaction_rates import reaction_rates


def of_rates(slope: float, shared: float) -> pd.DataFrame:
    """The region's row: 40 particles whose rates follow their state of charge, with an error that they share."""
    rng = np.random.default_rng(5)
    soc = rng.uniform(0.0, 1.0, 40)
    reactions = pd.DataFrame({
        "scan_id": "b", "scan_id_before": "a", "electrode_id": "E1", "region_id": "r", "modality": "stxm",
        "cycle": 1.0, "c_rate": 1.0, "direction": "charge", "hours": 0.5, "note": "",
        "soc_before": soc, "soc_before_se": 0.002, "rate_per_h": slope * (soc - 0.5) + rng.normal(0.0, 0.005, 40),
        "rate_se_per_h": 0.005, "rate_se_sys_per_h": shared, "soc_squares": np.nan, "rate_soc_products": np.nan,
        "uniformity": np.nan,
    })  # fmt: skip
    nothing = pd.DataFrame()
    evidence = Evidence(nothing, nothing, nothing, nothing, nothing, "stxm", 0)
    table = reaction_rates(replace(evidence, reactions=reactions))
    return table[table["level"] == "region"].iloc[0]


@pytest.mark.parametrize(
    ("slope", "shared", "word"),
    [
        (0.3, 0.01, "rates rise with the state of charge"),
        (-0.3, 0.01, "rates fall with the state of charge"),
        (-0.3, 0.10, "not shown"),
        (0.0, 0.01, "not shown"),
    ],
)
def test_a_slope_that_a_shared_error_may_have_made_is_not_shown(slope: float, shared: float, word: str) -> None:
    """States of charge between 0 and 1 scatter by 0.29: a shared error of 0.1/h may make a slope of 0.34/h."""
    region = of_rates(slope, shared)
    assert region["autocatalysis"] == word
    assert region["rate_over_soc_low"] < slope < region["rate_over_soc_high"]
    assert region["rate_over_soc_high"] - region["rate_over_soc"] > 1.96 * shared / 0.32
