"""Power over electrodes: drawn from the campaign's own variances, or the reason why not."""

from types import SimpleNamespace

import pandas as pd

from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.power import power_over_electrodes


def test_it_is_drawn_from_the_variances_or_says_what_is_missing(bench: SimpleNamespace) -> None:
    tables = bench.evidence._tables
    before = bench.evidence.table("variance")
    components = {"electrode": 0.002, "region": 0.001, "particle": 0.015, "noise": 0.0005}
    made = [{"endpoint": "soc_mean", "component": name, "variance": value} for name, value in components.items()]
    try:
        tables["variance"] = pd.DataFrame(made).assign(note="")
        with drawing():
            drawn = power_over_electrodes(bench.evidence)
        tables["variance"] = pd.DataFrame(made).assign(note="").iloc[:2]
        absent = power_over_electrodes(bench.evidence)
    finally:
        tables["variance"] = before
    assert isinstance(drawn, Picture)
    assert "bands" not in drawn.caption
    assert isinstance(absent, Absent)
    assert "how particles differ" in absent.why
