"""The table of metrics: each keeps its promises, and one more takes a file and a line."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stxmdist.errors import InputError
from stxmdist.heterogeneity.effects import EFFECT_COLUMNS, TERMS, effects_table
from stxmdist.heterogeneity.electrodes import ELECTRODE_COLUMNS
from stxmdist.heterogeneity.metrics.table import METRICS, MetricEntry
from stxmdist.heterogeneity.rows import rows
from stxmdist.heterogeneity.variance import COMPONENTS, partition, partitions

N = 60


def particles() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "electrode_id": np.repeat(["E1", "E2", "E3"], N // 3),
            "region_id": np.tile(["r1", "r2"], N // 2),
            "cycle": np.tile([1.0, 1.0, 50.0, 50.0], N // 4),
            "modality": "stxm",
            "soc_mean": rng.normal(0.5, 0.1, N),
            "soc_se_stat": 0.02,
            "soc_sd": rng.uniform(0.05, 0.1, N),
            "soc_var_intra": rng.normal(0.005, 0.004, N),
            "active": rng.random(N) < 0.5,
            "d_eq_um": rng.uniform(0.3, 1.0, N),
            "aspect": rng.uniform(1.0, 2.0, N),
            "flags": "",
        }
    )


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_gives_a_number_for_each_particle(name: str) -> None:
    entry, frame = METRICS[name], particles()
    found = entry.load()(frame)
    for values in (found.value, found.noise_variance, found.intra_variance):
        if values is not None:
            assert values.shape == (N,)
            assert values.dtype == np.float64
    assert np.isfinite(found.value).all()
    assert (found.noise_variance >= 0).all()
    if entry.estimator == "share":
        assert set(found.value) <= {0.0, 1.0}
    if entry.estimator == "spread":
        assert (found.value >= 0).all()
    assert set(entry.columns) <= set(frame.columns)
    assert set(entry.primary) <= set(TERMS)
    without = entry.load()(frame.drop(columns=[*entry.columns]))
    assert np.isnan(without.value).all()
    for figure in entry.figures:
        assert {figure.column, *(figure.limits or ())} <= set(ELECTRODE_COLUMNS)


def test_the_variance_inside_is_signed_where_the_table_has_it_so() -> None:
    frame = particles()
    inside = METRICS["soc_mean"].load()(frame).intra_variance
    assert inside is not None
    np.testing.assert_array_equal(inside, frame["soc_var_intra"])
    clipped = METRICS["soc_mean"].load()(frame.drop(columns=["soc_var_intra"])).intra_variance
    assert clipped is not None
    np.testing.assert_allclose(clipped, frame["soc_sd"] ** 2)


def test_noise_is_what_particles_do_not_share_where_the_table_tells_it() -> None:
    frame = particles().assign(soc_se=0.05)
    metric = METRICS["soc_mean"].load()
    np.testing.assert_allclose(metric(frame).noise_variance, 0.02**2)
    np.testing.assert_allclose(metric(frame.drop(columns=["soc_se_stat"])).noise_variance, 0.05**2)


def test_effects_and_variances_are_those_of_the_table() -> None:
    effects = effects_table(particles(), mixed=False)
    assert list(effects["endpoint"].unique()) == list(METRICS)
    declared = set(
        zip(effects.loc[effects["primary"], "endpoint"], effects.loc[effects["primary"], "term"], strict=True)
    )
    assert declared == {(name, term) for name, entry in METRICS.items() for term in entry.primary}
    pd.testing.assert_frame_equal(partitions(particles()), partition(particles(), "soc_mean"))


def test_a_metric_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'soc_mean'"):
        rows(particles(), "soc_men")


METRIC = """\
import numpy as np
from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.metrics.table import MetricValues


def elongation(particles):
    return MetricValues(numbers(particles, "d_eq_um") * numbers(particles, "aspect"), np.zeros(len(particles)))
"""


def test_a_metric_more_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_metric_more.py").write_text(METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = MetricEntry("one_metric_more:elongation", "length", "um", ("d_eq_um", "aspect"), "mean", partitioned=True)
    monkeypatch.setitem(METRICS._entries, "elongation", entry)
    effects = effects_table(particles(), mixed=False)
    assert list(effects.columns) == list(EFFECT_COLUMNS)
    mine = effects[effects["endpoint"] == "elongation"]
    assert {"cycle", "log_d_eq"} <= set(mine["term"])
    assert np.isfinite(mine["estimate"]).all()
    assert set(mine["unit"]) == {"um per cycle", "um per e-fold of diameter"}
    variances = partitions(particles())
    assert list(variances.loc[variances["endpoint"] == "elongation", "component"]) == list(COMPONENTS)
    lacking = effects_table(particles().drop(columns=["aspect"]), mixed=False)
    assert set(lacking.loc[lacking["endpoint"] == "elongation", "note"]) == {
        "the table has no elongation or no cycle",
        "the table has no elongation or no d_eq_um",
    }
    sys.modules.pop("one_metric_more")
