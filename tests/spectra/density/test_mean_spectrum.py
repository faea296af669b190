"""The mean spectrum of planted particles: which pixels, without the bias of logarithms of few counts, and how sure."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.spectra.density.mean_spectrum import mean_absorption, mean_spectrum, sample_pixels

COUNTS = np.array([25.0, 100.0, 4000.0])
OD = np.array([0.4, 0.9, 0.2])
PIXELS = (97, 211)
SIGMAS = 4.0
"""No mean of a fair estimator lies further off than this, in standard errors."""
EDGE_SHARE = 3e-4
"""A tenth of what shifts an energy by .01 eV."""
THIRD_ORDER = 0.1
"""What is left of the logarithm's bias, over the square of the mean count: 1/12 by expansion, and a little beyond."""


def poisson_stack(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mean = COUNTS * np.exp(-OD)
    return (rng.poisson(mean[:, None, None], (len(OD), *PIXELS)) / COUNTS[:, None, None]).astype(np.float32)


def test_the_logarithm_of_few_counts_is_not_biased() -> None:
    stack = poisson_stack()
    everything = np.ones(PIXELS, bool)
    found, variance = mean_spectrum(stack, everything, COUNTS, np.zeros(len(OD)))
    left = THIRD_ORDER / (COUNTS * np.exp(-OD)) ** 2
    assert (np.abs(found - OD) < SIGMAS * np.sqrt(variance) + left).all()
    # The plain logarithm would fail here, so the test can.
    plain = float(-np.log(stack[0][stack[0] > 0]).mean())
    assert plain - OD[0] > 2.0 * (SIGMAS * np.sqrt(variance[0]) + left[0])


def test_the_variance_is_that_of_repeated_measurements() -> None:
    chosen = np.zeros(PIXELS, bool)
    chosen[:9, :11] = True
    found = np.array([mean_spectrum(poisson_stack(seed), chosen, COUNTS, np.zeros(3)) for seed in range(120)])
    # 120 repetitions know a variance to 13 %; 1/n instead of its mean adds up to 8 % at 17 counts.
    assert found[:, 0].var(axis=0, ddof=1) == pytest.approx(found[:, 1].mean(axis=0), rel=0.45)


def test_the_incident_beam_errs_for_all_pixels_at_once() -> None:
    stack, everything = poisson_stack(), np.ones(PIXELS, bool)
    without = mean_spectrum(stack, everything, COUNTS, np.zeros(3))[1]
    with_beam = mean_spectrum(stack, everything, COUNTS, np.array([0.0, 1e-4, 2e-4]))[1]
    np.testing.assert_allclose(with_beam - without, [0.0, 1e-4, 2e-4], atol=1e-12)


def test_energies_that_were_not_measured_have_no_mean() -> None:
    stack = poisson_stack()
    stack[1] = np.nan
    found, variance = mean_spectrum(stack, np.ones(PIXELS, bool), np.array([25.0, 100.0, np.nan]), np.zeros(3))
    assert np.isfinite([found[0], variance[0]]).all()
    assert np.isnan([found[1:], variance[1:]]).all()


def test_the_insides_of_particles_are_chosen() -> None:
    rows, columns = np.indices((53, 71))
    distance = np.hypot(rows - 26, columns - 35)
    od = np.clip((15.0 - distance) / 6.0, 0.0, 1.0)
    stack = np.exp(-np.array([0.5, 1.2])[:, None, None] * od).astype(np.float32)
    known = np.ones(od.shape, bool)
    chosen = sample_pixels(mean_absorption(stack), known)
    # Beyond half way within a radius of 12, the deeper half of that within 12 / sqrt(2).
    assert chosen[distance < 8].all()
    assert not chosen[distance > 9].any()
    known[:, :35] = False
    assert not sample_pixels(mean_absorption(stack), known)[:, :35].any()


@pytest.mark.parametrize("sigma_px", [0.6, 1.7])
def test_edges_do_not_weaken_strong_absorption(sigma_px: float) -> None:
    rows, columns = np.indices((61, 67))
    plate = np.hypot(rows - 30, columns - 33) < 17
    od = np.array([0.2, 1.4])
    blurred = [ndimage.gaussian_filter(np.exp(-value * plate), sigma_px) for value in od]
    stack = np.array(blurred, np.float32)
    found, _ = mean_spectrum(
        stack, sample_pixels(mean_absorption(stack), np.ones(plate.shape, bool)), np.full(2, 1e9), np.zeros(2)
    )
    assert found[1] / found[0] == pytest.approx(od[1] / od[0], rel=EDGE_SHARE)
    # Over all that is thick it would not be.
    thick = mean_spectrum(stack, stack[1] < np.exp(-0.7), np.full(2, 1e9), np.zeros(2))[0]
    assert abs(thick[1] / thick[0] / (od[1] / od[0]) - 1.0) > 10 * EDGE_SHARE


def test_a_field_without_contrast_gives_every_known_pixel() -> None:
    stack = np.ones((2, 5, 7), np.float32)
    known = np.ones((5, 7), bool)
    known[2, 3] = False
    assert (sample_pixels(mean_absorption(stack), known) == known).all()
    assert not sample_pixels(mean_absorption(stack), np.zeros((5, 7), bool)).any()
