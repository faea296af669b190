"""The mosaic index on domino, concurrent and mixed electrodes, and words where nothing can be said."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.analyses.mosaic import mosaic
from stxmdist.heterogeneity.mosaic import mosaic_index
from stxmdist.heterogeneity.pooled_intervals import pooled_errors
from tests.heterogeneity.analyses.planted import Planted, evidence, planted_particles, with_columns_of

TOLERANCE = 0.05
"""Of the issue"""


@pytest.mark.parametrize(
    ("name", "true"), [("domino", 1.0), ("concurrent", 0.0), ("spread", 1.0 / 3.0), ("narrow", 0.04 / 0.24)]
)
def test_the_index_closes_and_its_interval_covers(name: str, true: float) -> None:
    rng = np.random.default_rng(1)
    runs, shape = 250, (4, 3, 60)
    place, region = (codes.ravel() for codes in np.indices(shape[:2]).repeat(shape[2]).reshape(2, -1)[:, :])
    region = place * shape[1] + region
    n, found, inside = place.size, [], []
    for _ in range(runs):
        truth = {
            "domino": lambda: (rng.random(n) < 0.4).astype(float),
            "concurrent": lambda: np.full(n, 0.4),
            "spread": lambda: rng.beta(0.8, 1.2, n),
            "narrow": lambda: 0.4 + 0.2 * rng.normal(size=n),
        }[name]()
        se = rng.uniform(0.03, 0.12, n)
        soc = truth + se * rng.normal(size=n)
        influence, index = np.zeros(n), np.zeros(shape[0])
        for at in range(shape[0]):
            index[at], influence[place == at] = mosaic_index(soc[place == at], se[place == at] ** 2)
        inside.append(np.abs(index - true) <= pooled_errors(influence, place, region).half_width())
        found.append(index)
    bias, coverage = float(np.mean(found)) - true, float(np.mean(inside))
    print(f"\n{name}: M {true:.3f}, found {true + bias:.3f} +- {np.std(found):.3f}, coverage {coverage:.3f}")
    assert abs(bias) <= TOLERANCE
    assert float(np.std(found)) <= TOLERANCE
    assert 0.92 <= coverage <= 0.97


def test_groups_are_said_as_far_as_they_are_seen() -> None:
    rng = np.random.default_rng(2)
    frame = planted_particles(Planted(n_electrodes=4, n_regions=2, n_particles=50), rng)
    n = 100
    frame["soc_mean"] = np.concatenate(
        [
            rng.normal(0.5, 0.1, n),
            np.where(rng.random(n) < 0.5, 0.35, 0.65) + rng.normal(0.0, 0.1, n),
            np.where(rng.random(n) < 0.5, 0.1, 0.9) + rng.normal(0.0, 0.1, n),
            rng.normal(0.5, 0.031, n),
        ]
    )
    table = mosaic(evidence(frame))
    assert with_columns_of(table, "mosaic")
    assert table["groups"].tolist() == ["one is enough", "two, or one that is not Gaussian", "two or more", "not known"]
    assert table["ashman_d"].iloc[2] > 5.0
    assert "most of the spread is noise" in table["note"].iloc[3]


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda frame: frame.iloc[:1], "one particle"),
        (lambda frame: frame.assign(soc_mean=np.nan), "no particle"),
        (lambda frame: frame.assign(soc_mean=0.5), "all states of charge are equal"),
        (lambda frame: frame.assign(soc_mean=0.001), "so near to 0 or 1"),
        (lambda frame: frame[frame["region_id"] == "r0"], "one region in each electrode"),
        (lambda frame: frame.assign(soc_mean=np.random.default_rng(1).standard_cauchy(len(frame))), ""),
    ],
)
def test_spoilt_tables_say_so(spoilt: Callable[[pd.DataFrame], pd.DataFrame], words: str) -> None:
    table = mosaic(evidence(spoilt(planted_particles(Planted(n_particles=20), np.random.default_rng(3)))))
    assert len(table) > 0
    assert table["note"].str.contains(words).all(), table["note"].tolist()


def test_two_regions_of_very_different_size_have_an_interval() -> None:
    frame = planted_particles(Planted(n_electrodes=2, n_regions=2, n_particles=150), np.random.default_rng(4))
    frame = frame[(frame["region_id"] == "r0") | (frame["particle_id"] % 50 == 0)]
    table = mosaic(evidence(frame))
    assert (table["mosaic_low"] < table["mosaic_high"]).all()
