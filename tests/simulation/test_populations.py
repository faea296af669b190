"""Populations that react or wait, and neighbours that resemble one another."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.simulation.design import Design
from stxmdist.simulation.experiment import region_plates
from stxmdist.simulation.populations import ACTIVE_RANGE, INACTIVE_SOC, draw_states, neighbour_deviates
from stxmdist.simulation.regions import RegionKey, generator
from stxmdist.simulation.sizes import SMALL

MANY = 40_000


def test_the_active_share_is_the_planted_one_and_the_mean_does_not_move() -> None:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0.2, 0.8, MANY)
    active, waiting = draw_states(fixed, 0.3, rng)
    assert active.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / MANY))
    assert set(np.unique(waiting[~active])) == set(INACTIVE_SOC)
    soc = np.where(active, fixed, waiting)
    assert soc.mean() == pytest.approx(fixed.mean(), abs=4 * 0.5 / np.sqrt(MANY))
    # Nor does its slope over anything.
    assert np.polyfit(fixed, soc, 1)[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("exponent", [0.0, 0.4, 0.8])
def test_current_per_active_area_grows_with_what_is_left_of_the_exponent(exponent: float) -> None:
    design = Design(active_at_1c=0.3, active_exponent=exponent)
    rates = np.array([0.2, 0.5, 1.0, 2.0])
    share = np.array([design.active_share(rate) for rate in rates])
    assert np.polyfit(np.log(rates), np.log(share), 1)[0] == pytest.approx(exponent)
    assert np.polyfit(np.log(rates), np.log(rates / share), 1)[0] == pytest.approx(1.0 - exponent)


def test_the_share_stays_inside_its_limits() -> None:
    design = Design(active_at_1c=0.5, active_exponent=1.0, active_limits=(0.1, 0.9))
    assert [design.active_share(rate) for rate in (0.01, 1.0, 10.0)] == [0.1, 0.5, 0.9]


def test_particles_of_a_mosaic_are_inside_or_at_an_end() -> None:
    size = replace(SMALL, design=Design(active_at_1c=0.4, active_exponent=0.5), c_rates=(0.25, 4.0))
    found = {}
    for electrode in (0, 1):
        states = []
        for region in range(10):
            key = RegionKey(electrode, 1, region)
            laid = region_plates(size, 2, key, generator(2, key.region_id, "phantom"))
            assert ((laid.soc[laid.active] >= ACTIVE_RANGE[0]) & (laid.soc[laid.active] <= ACTIVE_RANGE[1])).all()
            assert np.isin(laid.soc[~laid.active], INACTIVE_SOC).all()
            states.append(laid.active)
        found[electrode] = np.concatenate(states).mean()
    # Some 700 particles each: four standard errors are 0.06.
    assert found[0] == pytest.approx(0.2, abs=0.06)
    assert found[1] == pytest.approx(0.8, abs=0.06)


def test_neighbours_have_the_planted_covariance() -> None:
    places = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    rng = np.random.default_rng(3)
    drawn = np.array([neighbour_deviates(places, 0.6, 1.5, rng) for _ in range(8000)])
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    wanted = 0.6 * np.exp(-distance / 1.5) + 0.4 * np.eye(3)
    # Four standard errors of a covariance from 8000 draws.
    np.testing.assert_allclose(np.cov(drawn.T), wanted, atol=4 * np.sqrt(2.0 / 8000))
