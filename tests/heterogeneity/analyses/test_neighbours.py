"""The table of neighbours: electrodes, distances, all together, and words where nothing can be said."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.neighbours import ALL, neighbours
from tests.heterogeneity.analyses.planted import Planted, evidence, planted_particles, with_columns_of

PLANTED = Planted(n_electrodes=3, n_regions=2, n_particles=60, sd_region=0.02)


def alike(frame: pd.DataFrame) -> pd.DataFrame:
    """States of charge that follow the place, in waves of 8 um."""
    wave = np.sin(frame["y_um"] * 2.0 * np.pi / 8.0) * np.sin(frame["x_um"] * 2.0 * np.pi / 8.0)
    soc = frame["soc_mean"] + 0.25 * wave
    return frame.assign(soc_mean=soc, active=soc > soc.median())


def test_all_together_see_what_each_sees_hardly() -> None:
    frame = planted_particles(PLANTED, np.random.default_rng(1))
    found, none = neighbours(evidence(alike(frame))), neighbours(evidence(frame))
    assert with_columns_of(found, "neighbours")
    assert found["electrode_id"].unique().tolist() == ["E00", "E01", "E02", ALL]
    first, nothing = (table[table["electrode_id"] == ALL].iloc[0] for table in (found, none))
    assert first["soc_p"] <= 0.01
    assert first["joins_p"] <= 0.05
    assert first["soc_correlation"] > first["soc_null_high"]
    assert first["active_joins"] > 1.0
    assert nothing["soc_p"] > 0.05
    assert nothing["soc_null_low"] < nothing["soc_correlation"] < nothing["soc_null_high"]


def test_the_same_seed_gives_the_same_table() -> None:
    given = evidence(planted_particles(PLANTED, np.random.default_rng(2)))
    pd.testing.assert_frame_equal(neighbours(given), neighbours(given))


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda frame: frame.assign(soc_mean=0.4), "does not vary"),
        (lambda frame: frame.assign(active=True), "all particles of each scan are active"),
        (lambda frame: frame.groupby("scan_id").head(2), "pairs only"),
        (lambda frame: frame.assign(active=None), "or none"),
    ],
)
def test_spoilt_tables_say_so(spoilt: Callable[[pd.DataFrame], pd.DataFrame], words: str) -> None:
    table = neighbours(evidence(spoilt(planted_particles(PLANTED, np.random.default_rng(3)))))
    assert table["note"].str.contains(words).any(), table["note"].tolist()


def test_one_particle_and_no_places_are_no_rows() -> None:
    frame = planted_particles(PLANTED, np.random.default_rng(4))
    assert len(neighbours(evidence(frame.iloc[:1]))) == 0
    assert len(neighbours(evidence(frame.assign(y_um=np.nan)))) == 0
    assert with_columns_of(neighbours(evidence(frame.iloc[:0])), "neighbours")
