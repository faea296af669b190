"""Jointly adjusted effects: planted slopes are covered, noise in a term does not leak into its neighbours."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.adjusted import adjusted_effects, adjusted_slopes
from stxmdist.heterogeneity.analyses.adjusted_effects import ADJUSTED_COLUMNS
from stxmdist.heterogeneity.analyses.adjusted_effects import adjusted_effects as table_of
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.left_out import LEFT_OUT_COLUMNS, left_out

PLANTED = np.array([-0.10, 0.5, 0.04])
COVERAGE = (0.92, 0.97)


def drawn(rng: np.random.Generator, electrodes: int, noise: float = 0.0, per_region: int = 30):  # type: ignore[no-untyped-def]
    """Size, crack share that grows with size, and grain size that shrinks with cracks; slopes vary over electrodes."""
    electrode = np.repeat(np.arange(electrodes), 3 * per_region)
    region = np.repeat(np.arange(3 * electrodes), per_region)
    n = len(electrode)
    size = rng.normal(0, 0.4, n) + 0.2 * rng.normal(size=3 * electrodes)[region]
    crack = 0.05 + 0.05 * size + rng.normal(0, 0.03, n)
    grain = -1.0 - 4.0 * crack + rng.normal(0, 0.3, n)
    terms = np.column_stack([size, crack, grain])
    slopes = PLANTED + rng.normal(0, 0.2 * np.abs(PLANTED), (electrodes, 3))
    y = 0.5 + rng.normal(0, 0.05, 3 * electrodes)[region] + (terms * slopes[electrode]).sum(axis=1)
    errors = np.array([0.0, noise, 0.0])
    return y + rng.normal(0, 0.1, n), terms + errors * rng.normal(size=terms.shape), errors**2, region, electrode


@pytest.mark.parametrize(("electrodes", "noise"), [(3, 0.0), (8, 0.0), (8, 0.015)])
def test_intervals_cover_planted_slopes(electrodes: int, noise: float) -> None:
    rng, hits, means = np.random.default_rng(61), [], []
    for _ in range(200):
        y, terms, variances, region, electrode = drawn(rng, electrodes, noise)
        found = adjusted_effects(
            y, terms, np.broadcast_to(variances, terms.shape), region, electrode, np.arange(electrodes)
        )
        hits.append((found.low <= PLANTED) & (found.high >= PLANTED))
        means.append(found.estimate)
    cover = np.mean(hits, axis=0)
    print(f"{electrodes} electrodes, noise {noise}: size, crack, grain covered {cover.round(3)}")
    doubt = 2.5 * np.sqrt(0.95 * 0.05 / 200)
    assert (cover >= COVERAGE[0] - doubt).all()
    assert (cover <= COVERAGE[1] + doubt).all()
    np.testing.assert_allclose(np.mean(means, axis=0), PLANTED, rtol=0.1)


def test_it_is_least_squares_with_a_level_for_each_region() -> None:
    y, terms, _, region, electrode = drawn(np.random.default_rng(62), 1)
    columns = np.column_stack([terms, np.eye(3)[region]])
    expected = np.linalg.lstsq(columns, y, rcond=None)[0][:3]
    np.testing.assert_allclose(adjusted_slopes(y, terms, 0 * terms, region, electrode)[0], expected)


def test_terms_that_cannot_be_told_apart_are_refused() -> None:
    y, terms, _, region, electrode = drawn(np.random.default_rng(63), 4)
    aliased = np.column_stack([terms, 2 * terms[:, 0] + 1])
    found = adjusted_effects(y, aliased, 0 * aliased, region, electrode, np.arange(4))
    assert np.isnan(found.estimate[[0, 3]]).all()
    assert (found.n_units == 0).all()
    noise = adjusted_slopes(y, terms, np.broadcast_to([0.0, 0.1**2, 0.0], terms.shape), region, electrode)
    assert np.isnan(noise).all()


def particles() -> pd.DataFrame:
    y, terms, _, region, electrode = drawn(np.random.default_rng(64), 4)
    return pd.DataFrame(
        {
            "electrode_id": np.char.add("E", electrode.astype(str)),
            "region_id": np.char.add("r", region.astype(str)),
            "scan_id": np.char.add("s", region.astype(str)),
            "cycle": 1.0,
            "c_rate": 1.0,
            "direction": "charge",
            "modality": "stxm",
            "soc_mean": y,
            "soc_sd": 0.1,
            "active": y > 0.5,
            "d_eq_um": np.exp(terms[:, 0]),
            "crack_share": terms[:, 1],
            "grain_d50_um": np.exp(terms[:, 2]),
            "flags": "",
        }
    )


def evidence(frame: pd.DataFrame) -> Evidence:
    nothing = pd.DataFrame()
    return Evidence(frame, frame, nothing, nothing, nothing, "stxm", 1)


def test_the_table_holds_a_row_for_each_endpoint_and_term() -> None:
    table = table_of(evidence(particles()))
    assert list(table.columns) == [column.name for column in ADJUSTED_COLUMNS]
    of_soc = table[table["endpoint"] == "soc_mean"].set_index("term")
    assert list(of_soc.index) == ["log_d_eq", "crack_share", "log_grain_d50"]
    assert of_soc.loc["crack_share", "held"] == "log_d_eq; log_grain_d50"
    np.testing.assert_allclose(of_soc["estimate"], PLANTED, atol=4 * of_soc["se"].max())
    assert len(table_of(evidence(particles().iloc[:0]))) == 0


def test_who_lacks_a_number_is_counted_by_electrode_with_limits() -> None:
    frame = particles()
    lost = (frame["electrode_id"] == "E1") & (np.arange(len(frame)) % 4 == 0)
    frame = frame.assign(soc_mean=frame["soc_mean"].mask(lost), flags=np.where(lost, "few pixels; no core", ""))
    table = left_out(evidence(frame))
    assert list(table.columns) == [column.name for column in LEFT_OUT_COLUMNS]
    found = table[(table["electrode_id"] == "E1") & (table["endpoint"] == "soc_mean")].iloc[0]
    share = lost.sum() / 90
    assert found["n_lacking"] == lost.sum()
    assert found["bound_high"] - found["bound_low"] == pytest.approx(share)
    assert found["bound_low"] == pytest.approx(found["mean"] * (1 - share))
    assert found["flags"] == f"few pixels: {lost.sum()}; no core: {lost.sum()}"
    assert "lack the number" in found["note"]
    others = table[(table["electrode_id"] != "E1") & (table["endpoint"] == "soc_mean")]
    assert (others["note"] == "").all()
    assert len(left_out(evidence(particles().iloc[:0]))) == 0
