"""Many particles at once: what is counted, drawn and chosen is what is there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stxmdist.dashboard.crowd import LEAST_IN_BIN, Shape, counts_in_bins, spread_over, thinned, trend

EDGES = np.linspace(0.0, 1.0, 11)
particles = st.lists(st.tuples(st.floats(0.05, 20.0), st.floats(-0.2, 1.2), st.integers(0, 2)), max_size=200)


@given(particles)
def test_every_particle_is_counted_once_in_its_group(rows: list[tuple[float, float, int]]) -> None:
    soc, group = np.array([row[1] for row in rows]), np.array([row[2] for row in rows], dtype=np.int64)
    counts = counts_in_bins(soc, group, 3, EDGES)
    assert counts.sum(axis=1).tolist() == [int((group == i).sum()) for i in range(3)]
    for i in range(3):
        here = np.clip(soc[group == i], 0.0, 1.0)
        assert counts[i].tolist() == np.histogram(here, EDGES)[0].tolist()


@given(particles, st.floats(0.1, 5.0), st.floats(1.0, 4.0), st.floats(-0.1, 0.9), st.floats(0.05, 0.5))
def test_a_box_holds_what_lies_between_its_ends(
    rows: list[tuple[float, float, int]], low: float, ratio: float, soc_low: float, height: float
) -> None:
    x, y = (np.array([row[i] for row in rows]) for i in (0, 1))
    held = Shape.box(low, low * ratio * 1.01, soc_low, soc_low + height).holds(x, y)
    inside = (x > low) & (x < low * ratio * 1.01) & (y > soc_low) & (y < soc_low + height)
    # On the line itself either answer is right; rounding of logarithms makes it a little broad.
    clear = np.ones(len(x), bool)
    for values, ends in ((np.log(x), np.log([low, low * ratio * 1.01])), (y, [soc_low, soc_low + height])):
        clear &= np.all([np.abs(values - end) > 1e-9 for end in ends], axis=0)
    assert (held == inside)[clear].all()


def test_a_lasso_holds_no_more_than_its_inside() -> None:
    triangle = Shape.parse("1,0,4,0,2,1")
    assert triangle is not None
    x = np.array([2.0, 2.0, 1.2, 3.9, np.nan, -1.0])
    assert triangle.holds(x, np.array([0.5, 1.1, 0.9, 0.9, 0.5, 0.5])).tolist() == [True] + [False] * 5


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1,0,2,0,3", "1,0,2,0,x,1", "1,0,2,0,nan,1", "0,0,2,0,1,1"])
def test_what_is_no_shape_is_none(text: str) -> None:
    assert Shape.parse(text) is None


@given(st.integers(0, 5000), st.integers(1, 300))
def test_what_is_thinned_keeps_ends_and_order(n: int, most: int) -> None:
    places = thinned(n, most)
    assert len(places) == min(n, most)
    assert np.all(np.diff(places) > 0)
    if n and most > 1:
        assert (places[0], places[-1]) == (0, n - 1)


def test_a_line_through_many_finds_the_planted_slope() -> None:
    rng = np.random.default_rng(2)
    x = np.exp(rng.normal(0.0, 0.5, 20_000))
    found = trend(x, 0.5 - 0.1 * np.log(x) + rng.normal(0.0, 0.1, x.size), 12)
    slope = np.polyfit(np.log(found.x), found.middle, 1)[0]
    assert slope == pytest.approx(-0.1, abs=0.01)
    # Quartiles of a normal distribution lie 0.674 of its standard deviation away.
    assert np.median(found.high - found.low) == pytest.approx(2 * 0.0674, abs=0.01)


def test_few_particles_have_no_line() -> None:
    assert len(trend(np.ones(LEAST_IN_BIN - 1), np.ones(LEAST_IN_BIN - 1), 12).x) == 0
    assert len(trend(np.arange(1.0, 12.0), np.ones(11), 12).x) == 2


def test_some_of_many_go_from_the_lowest_to_the_highest() -> None:
    values = np.array([0.3, 0.9, 0.1, 0.5, 0.7])
    assert [values[i] for i in spread_over(values, 3)] == [0.1, 0.5, 0.9]
