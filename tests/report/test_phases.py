"""Phases by size and cycle: shares of mass, every particle in one bar."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from stxmdist.report.canvas import Absent, Picture
from stxmdist.report.phases import _bars, phases


def test_bars_are_shares_of_mass() -> None:
    table = pd.DataFrame(
        {
            "area_um2": [1.0, 3.0],
            "thickness_nm": [100.0, 100.0],
            "f_charged": [1.0, 0.0],
            "f_mixed": [0.0, 0.5],
            "f_discharged": [0.0, 0.5],
        }
    )
    figure, axes = plt.subplots()
    _bars(axes, table, [np.array([True, True])], ["all"])
    heights = [patch.get_height() for patch in axes.patches]
    plt.close(figure)
    assert heights == pytest.approx([0.375, 0.375, 0.25])


def test_it_is_drawn_or_says_why_not(bench: SimpleNamespace) -> None:
    assert isinstance(phases(bench.evidence), Picture)
    table = bench.evidence.table("particles")
    bench.evidence._tables["particles"] = table.assign(f_mixed=np.nan)
    try:
        found = phases(bench.evidence)
    finally:
        bench.evidence._tables["particles"] = table
    assert isinstance(found, Absent)
    assert "too noisy" in found.why
