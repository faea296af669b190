"""Figures of electrodes and particles: nothing empty is drawn, everybody has a style of their own."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from stxmdist.planning.columns import column
from stxmdist.report.canvas import Absent, drawing, styles_of
from stxmdist.report.distributions import analysed, trends
from stxmdist.report.evidence import Evidence


def test_electrodes_without_particles_make_no_empty_panels(bench: SimpleNamespace, tmp_path: Path) -> None:
    store = bench.simulated_store(tmp_path, stages=())
    evidence = Evidence.of(bench.unit_of(store, bench.part_of(store)))
    table = evidence.table("electrodes")
    table[["soc_mean", "active_fraction"]] = np.nan
    with drawing():
        assert isinstance(trends(evidence), Absent)


def test_only_whole_wide_field_particles_with_a_state_of_charge_are_drawn(bench: SimpleNamespace) -> None:
    table = analysed(bench.evidence)
    assert set(table["modality"]) == {"stxm"}
    assert not table["touches_border"].any()
    assert np.isfinite(column(table, "soc_mean")).all()
    assert len(table) == 2 * (bench.PARTICLES - 1)


def test_styles_differ_in_more_than_colour() -> None:
    styles = list(styles_of([f"E{i}" for i in range(40)]).values())
    assert len(set(styles)) == len(styles)
    assert len({(style.marker, style.dash) for style in styles[:8]}) == 8
