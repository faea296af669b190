"""A pilot gives its variances, and says what it cannot know."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.errors import InputError
from stxmdist.heterogeneity.pilot import UNKNOWN_SD, pilot_spread
from stxmdist.heterogeneity.variance import partition
from tests.heterogeneity.analyses.planted import Planted, planted_particles


def variances(planted: Planted, seed: int = 1) -> pd.DataFrame:
    return partition(planted_particles(planted, np.random.default_rng(seed)))


def test_all_levels_are_known_of_several_regions() -> None:
    pilot = pilot_spread(variances(Planted(n_electrodes=6, n_regions=4, sd_electrode=0.05, sd_region=0.03)))
    assert pilot.unknown == ()
    assert pilot.estimate.particle == pytest.approx(0.1**2, rel=0.1)
    assert pilot.estimate.noise == pytest.approx(0.03**2, rel=0.01)
    assert pilot.low == pilot.high == pilot.estimate


def test_one_region_of_each_electrode_leaves_both_ends_open() -> None:
    pilot = pilot_spread(variances(Planted(n_electrodes=6, n_regions=1, sd_electrode=0.05, sd_region=0.03)))
    assert len(pilot.unknown) == 1
    assert "One region of each electrode" in pilot.unknown[0]
    assert (pilot.low.electrode, pilot.high.region) == (0.0, 0.0)
    assert pilot.low.region == pytest.approx(pilot.high.electrode)
    told = pilot_spread(variances(Planted(n_electrodes=6, n_regions=1, sd_electrode=0.05)), electrode_sd=0.01)
    assert told.unknown == ()
    assert told.estimate.electrode == pytest.approx(1e-4)


def test_one_electrode_does_not_say_how_much_electrodes_differ() -> None:
    table = variances(Planted(n_electrodes=1, n_regions=3))
    pilot = pilot_spread(table)
    assert any("How much electrodes differ is not known" in sentence for sentence in pilot.unknown)
    assert (pilot.low.electrode, pilot.high.electrode) == (0.0, UNKNOWN_SD**2)
    assert pilot_spread(table, electrode_sd=0.02).unknown == ()


def test_one_particle_in_each_region_is_said() -> None:
    pilot = pilot_spread(variances(Planted(n_electrodes=4, n_regions=5, n_particles=1)))
    assert any("Regions cannot be told from particles" in sentence for sentence in pilot.unknown)


@pytest.mark.parametrize("table", [pd.DataFrame(), variances(Planted(n_electrodes=1, n_regions=1, n_particles=1))])
def test_nothing_to_rest_on_is_wrong_input(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="how particles differ"):
        pilot_spread(table)


def test_an_endpoint_that_is_not_there_is_wrong_input() -> None:
    with pytest.raises(InputError, match="soc_mean"):
        pilot_spread(variances(Planted()), "thickness_nm")
