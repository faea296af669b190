"""The table of sizes closes on planted log-normals, and says what it does not know."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.sizes import sizes
from tests.heterogeneity.analyses.planted import Planted, evidence, planted_particles, with_columns_of

PLANTED = Planted(n_electrodes=2, n_regions=4, n_particles=400, median_um=0.6, sigma_log=0.3)


def test_a_log_normal_closes() -> None:
    frame = planted_particles(PLANTED, np.random.default_rng(1))
    table = sizes(evidence(frame))
    assert with_columns_of(table, "sizes")
    for row in table.to_dict("records"):
        expected = 0.6 * np.exp(0.3 * np.array([-1.2816, 0.0, 1.2816]))
        # Standard errors of 1600 sizes: 1.3 % of D10 and D90, 1 % of D50; every particle is drawn, none is cut.
        assert [row[f"{name}_um"] for name in ("d10", "d50", "d90")] == pytest.approx(expected, rel=0.05)
        assert row["d50_low_um"] < row["d50_um"] < row["d50_high_um"]
        assert row["d50_volume_um"] == pytest.approx(0.6 * np.exp(3 * 0.3**2), rel=0.07)
        assert row["d32_um"] == pytest.approx(0.6 * np.exp(2.5 * 0.3**2), rel=0.06)
        assert row["lognormal_sigma"] == pytest.approx(0.3, abs=0.03)
        assert row["hatch_choate"] == pytest.approx(1.0, abs=0.08)
        assert row["span"] == pytest.approx((expected[2] - expected[0]) / expected[1], rel=0.1)
        assert row["border_factor"] > 1.0
        assert row["note"] == ""
        print(f"\nD50 {row['d50_um']:.3f} um (0.600), D50 by volume {row['d50_volume_um']:.3f} (0.786), "
              f"Hatch-Choate {row['hatch_choate']:.3f}")  # fmt: skip


def test_overlaps_have_no_size_and_are_counted() -> None:
    frame = planted_particles(PLANTED, np.random.default_rng(2))
    frame.loc[:99, "flags"] = "few pixels;overlap suspected"
    frame.loc[:99, "d_eq_um"] = 5.0
    table = sizes(evidence(frame))
    assert table["n_left_out"].tolist() == [100, 0]
    assert table["d90_um"].max() < 1.0


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda frame: frame.iloc[:1], "1 particles only"),
        (lambda frame: frame.iloc[:3], "3 particles only"),
        (lambda frame: frame.assign(d_eq_um=np.nan), "no particle with a size"),
        (lambda frame: frame.assign(d_eq_um=0.5), "all sizes are equal"),
        (lambda frame: frame[frame["region_id"] == "r0"], "one region in each electrode"),
        (lambda frame: frame.assign(d_eq_um=30.0), "no particle with a size"),
    ],
)
def test_spoilt_tables_say_so(spoilt: object, words: str) -> None:
    assert callable(spoilt)
    table = sizes(evidence(spoilt(planted_particles(PLANTED, np.random.default_rng(3)))))
    assert len(table) > 0
    assert table["note"].str.contains(words).all(), table["note"].tolist()


def test_no_particles_are_no_rows() -> None:
    frame = planted_particles(PLANTED, np.random.default_rng(3)).iloc[:0]
    assert len(sizes(evidence(frame))) == 0
    assert with_columns_of(sizes(evidence(frame)), "sizes")


def test_fields_that_are_not_known_leave_sizes_unweighted() -> None:
    from dataclasses import replace

    frame = planted_particles(PLANTED, np.random.default_rng(4))
    without = replace(evidence(frame), fields=pd.DataFrame(columns=["scan_id", "height_um", "width_um", "pixel_nm"]))
    table = sizes(without)
    assert (table["border_factor"] == 1.0).all()
    assert table["note"].str.contains("fields of view are not known").all()
