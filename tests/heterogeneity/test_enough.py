"""What is still to be measured: the law by which intervals narrow, and simulated electrodes that obey it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stxmdist.heterogeneity.design import Spread
from stxmdist.heterogeneity.enough import Measured, More, more_for, narrowed

RUNS = 4000
RATIO_TOLERANCE = 0.05
"""Three standard errors of the ratio of two standard deviations of that many draws"""

variances = st.floats(1e-4, 1e-1)
spreads = st.builds(Spread, st.just(0.0), st.one_of(st.just(0.0), variances), variances, variances)
measured = st.builds(
    lambda regions, per_region, half: Measured(regions, regions * per_region, half),
    st.integers(1, 8), st.integers(1, 80), st.floats(0.01, 0.5),
)  # fmt: skip


@given(spreads, measured, st.floats(0.005, 0.3))
def test_so_many_suffice_and_one_less_does_not(spread: Spread, now: Measured, wanted: float) -> None:
    more = more_for(spread, now, wanted)
    per_region = now.particles / now.regions
    rounding = 1.0 + 1e-9
    assert more.reached == (now.half_width <= wanted)
    if more.reached:
        return
    if np.isfinite(more.particles):
        assert narrowed(spread, now, now.regions, now.particles + more.particles) <= wanted * rounding
        assert narrowed(spread, now, now.regions, now.particles + more.particles - 1) > wanted / rounding
    if np.isfinite(more.regions):
        for less, enough in ((0, True), (1, False)):
            regions = now.regions + more.regions - less
            assert (narrowed(spread, now, regions, regions * per_region) <= wanted * rounding) == enough


def test_as_it_is_the_interval_is_what_it_is() -> None:
    now = Measured(3, 60, 0.04)
    assert narrowed(Spread(0.1, 0.01, 0.02, 0.001), now, 3, 60) == pytest.approx(0.04)


def test_of_particles_alone_four_times_as_many_halve_the_interval() -> None:
    assert more_for(Spread(0.0, 0.0, 0.02, 0.0), Measured(2, 50, 0.06), 0.03) == More(150.0, 6.0)


def test_particles_do_not_help_against_what_differs_between_regions() -> None:
    more = more_for(Spread(0.0, 0.02, 1e-9, 0.0), Measured(2, 50, 0.06), 0.03)
    assert more.particles == np.inf
    assert more.regions == 6.0


def test_electrodes_play_no_part() -> None:
    now = Measured(2, 40, 0.1)
    few, many = (more_for(Spread(v, 0.01, 0.02, 0.0), now, 0.05) for v in (0.0, 1.0))
    assert few == many


@pytest.mark.parametrize(("regions", "per_region"), [(4, 20), (2, 80)])
def test_simulated_means_scatter_less_by_the_predicted_ratio(regions: int, per_region: int) -> None:
    spread, rng = Spread(0.0, 0.03**2, 0.12**2, 0.03**2), np.random.default_rng(3)

    def scatter(regions: int, per_region: int) -> float:
        fields = rng.normal(0.0, 0.03, (RUNS, regions))
        own = rng.normal(0.0, np.sqrt((0.12**2 + 0.03**2) / per_region), (RUNS, regions))
        return float((fields + own).mean(axis=1).std())

    now = Measured(2, 40, 1.0)
    predicted = narrowed(spread, now, regions, regions * per_region)
    assert scatter(regions, per_region) / scatter(2, 20) == pytest.approx(predicted, rel=RATIO_TOLERANCE)
