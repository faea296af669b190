"""The mean of pixels that were fitted one by one, against the mean of their models."""

import numpy as np
import pytest

from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.fitting.mean_fit import mean_fit

ENERGY_EV = np.array([700.0, 705.0, 708.2, 710.2, 715.0])
MU = np.array([[1.0, 1.1, 6.0, 3.0, 2.0], [1.0, 1.1, 3.0, 7.0, 2.2]]).T * 1e-3
PIXELS = np.array([[40.0, 80.0, 15.0], [60.0, 5.0, 90.0]])
VARIANCE = np.full(5, 1e-4)


def test_the_mean_of_models_is_the_model_of_means() -> None:
    mean_od = (MU @ PIXELS).mean(axis=1)
    terms = mean_fit(mean_od, VARIANCE, MU, PIXELS.mean(axis=1))
    assert terms.shape == (5, 2)
    np.testing.assert_allclose(terms.sum(axis=1), mean_od, rtol=1e-12)


@pytest.mark.parametrize(("background", "slope"), [("constant", 0.0), ("power_law", 0.3)])
def test_a_background_is_a_term_of_its_own(background: str, slope: float) -> None:
    """The constant is that of the map; the power law, whose map is not kept, is found again."""
    columns = background_columns(ENERGY_EV, background)  # type: ignore[arg-type]
    coefficients = np.array([0.12, slope])[: columns.shape[1]]
    mean_od = MU @ PIXELS.mean(axis=1) + columns @ coefficients
    design = np.concatenate([MU, columns], axis=1)
    terms = mean_fit(mean_od, VARIANCE, design, PIXELS.mean(axis=1), background_od=0.12)
    np.testing.assert_allclose(terms.sum(axis=1), mean_od, rtol=1e-12)
    np.testing.assert_allclose(terms[:, 2:], columns * coefficients, atol=1e-12)


def test_the_level_before_the_edge_is_given_back() -> None:
    """Whatever absorbs alike at all energies is in the level, not in the thicknesses."""
    before = ENERGY_EV < 703.0
    mean_od = MU @ PIXELS.mean(axis=1) + 0.4
    terms = mean_fit(mean_od, VARIANCE, MU, PIXELS.mean(axis=1), before_edge=before)
    np.testing.assert_allclose(terms.sum(axis=1), mean_od, rtol=1e-12)
    np.testing.assert_allclose(terms[:, -1], mean_od[before].mean())
    np.testing.assert_allclose(terms[before, :2], 0.0, atol=1e-15)


def test_without_thickness_there_is_no_fit() -> None:
    assert np.isnan(mean_fit(np.ones(5), VARIANCE, MU, np.full(2, np.nan))).all()
