"""The incident beam is found where nothing is, and optical density comes with the right variance."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.errors import InputError
from stxmdist.spectra.density.absorbance import (
    AbsorbanceOptions,
    contrast_map,
    effective_counts_from_halves,
    incident_counts,
    noise_correlation_area,
    noise_factor,
    optical_density,
    particle_free,
    remove_leak,
)

I0_RELATIVE = 2e-3  # incident beam from the field, against the beam that was planted


def _field(
    rng: np.random.Generator, cover: float, counts: float, shape=(83, 97)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (3, Y, X) of discs covering a share of the field, the beam (3,), and where discs are."""
    disc = np.zeros(shape, dtype=bool)
    thickness = np.zeros(shape)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    while disc.mean() < cover:
        centre, radius = rng.uniform(0, 1, 2) * shape, rng.uniform(3, 9)
        inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        thickness[inside] = rng.uniform(0.2, 2.0)
        disc |= inside
    beam = counts * np.array([1.0, 0.8, 1.3])
    transmission = np.stack([ndimage.gaussian_filter(np.exp(-thickness * s), 0.8) for s in (0.2, 1.0, 0.5)])
    return rng.poisson(beam[:, None, None] * transmission).astype(np.float32), beam, disc


@pytest.mark.parametrize("cover", [0.0, 0.05, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("counts", [60.0, 1000.0])
def test_the_beam_is_found_whatever_the_cover(cover: float, counts: float) -> None:
    counted, beam, disc = _field(np.random.default_rng(1), cover, counts)
    free = particle_free(contrast_map(counted))
    assert not (free & disc).any()
    i0, variance = incident_counts(counted, free)
    # Within what the pixels can say, and within the bias that choosing pixels by their own noise brings.
    np.testing.assert_allclose(i0 / beam, 1.0, atol=I0_RELATIVE + 3.5 / np.sqrt(counts * free.sum()))
    np.testing.assert_allclose(variance, beam / free.sum(), rtol=0.25)


def test_a_full_field_is_refused_with_the_mend() -> None:
    with pytest.raises(InputError, match="i0: FILE"):
        particle_free(np.full((40, 40), np.nan), AbsorbanceOptions())
    rng = np.random.default_rng(2)
    with pytest.raises(InputError, match="no particle-free pixels"):
        particle_free(rng.normal(size=(12, 12)), AbsorbanceOptions(least_free_px=150))
    with pytest.raises(InputError, match="region for the incident beam"):
        incident_counts(np.ones((2, 5, 5), np.float32), np.zeros((5, 5), bool))
    with pytest.raises(InputError, match="no frame holds any counts"):
        contrast_map(np.zeros((3, 8, 8), np.float32))


def test_missing_frames_and_dust_do_not_count() -> None:
    rng = np.random.default_rng(3)
    counted = rng.poisson(200.0, (4, 31, 37)).astype(np.float32)
    counted[1] = np.nan
    counted[2] = 0.0
    counted[3, 4, :12] = 5000.0
    i0, variance = incident_counts(counted, np.ones((31, 37), bool))
    assert np.isnan(i0[[1, 2]]).all()
    assert np.isnan(variance[[1, 2]]).all()
    np.testing.assert_allclose(i0[[0, 3]], 200.0, rtol=0.01)


def test_optical_density_and_its_variance_are_those_of_repeated_counting() -> None:
    rng = np.random.default_rng(4)
    beam, true_od, free_pixels = 400.0, 0.9, 50
    seen = rng.poisson(beam * np.exp(-true_od), (20_000, 1, 1)).astype(np.float32)
    i0 = rng.poisson(beam, (20_000, free_pixels)).mean(axis=1)
    od, variance = optical_density(seen, i0, i0 / free_pixels)
    assert od.mean() == pytest.approx(true_od, abs=0.006)  # half of 1/N is the logarithm's own bias
    assert np.sqrt(variance.mean()) == pytest.approx(od.std(), rel=0.03)


def test_nothing_counted_is_unknown_not_zero() -> None:
    counted = np.array([[[0.0, 10.0, np.nan, -3.0]], [[5.0, 5.0, 5.0, 5.0]]], np.float32)
    od, variance = optical_density(counted, np.array([20.0, np.nan]), np.array([1.0, 1.0]))
    expected = np.array([[[False, True, False, False]], [[False] * 4]])
    np.testing.assert_array_equal(np.isfinite(od), expected)
    np.testing.assert_array_equal(np.isfinite(variance), expected)


def test_leak_removed_is_leak_undone() -> None:
    transmission = np.linspace(0.01, 1.0, 7, dtype=np.float32)
    leaked = (transmission + 0.05) / 1.05
    np.testing.assert_allclose(remove_leak(leaked, 0.05), transmission, atol=1e-6)


def test_halves_say_how_many_photons_the_whole_has() -> None:
    rng = np.random.default_rng(5)
    mean = rng.uniform(0.1, 1.0, (60, 61))
    photons = np.array([80.0, 900.0])
    halves = [np.stack([rng.poisson(0.5 * n * mean) / (0.5 * n) for n in photons]).astype(np.float32) for _ in range(2)]
    halves[0] *= 1.01  # a scale that differs is not noise
    halves[1][:, :1] = 7.0  # nor is a row that failed
    found = effective_counts_from_halves(halves[0], halves[1])
    np.testing.assert_allclose(found, photons, rtol=0.12)
    assert np.isnan(effective_counts_from_halves(halves[0], halves[1], np.zeros((60, 61), bool))).all()


def test_scaled_counts_are_seen_through() -> None:
    rng = np.random.default_rng(6)
    slope = np.linspace(0.8, 1.2, 89)[None, :]
    counted = np.stack([gain * rng.poisson(300.0 * slope, (71, 89)) for gain in (1.0, 0.1, 12.0)]).astype(np.float32)
    np.testing.assert_allclose(noise_factor(counted, np.ones((71, 89), bool)), [1.0, 0.1, 12.0], rtol=0.06)


@pytest.mark.parametrize("sigma_px", [0.0, 1.0, 1.7])
def test_noise_correlation_area_is_that_of_the_smoothing(sigma_px: float) -> None:
    rng = np.random.default_rng(7)
    noise = ndimage.gaussian_filter(rng.normal(size=(200, 211)), sigma_px) if sigma_px else rng.normal(size=(200, 211))
    noise[:9] = np.nan
    expected = max(1.0, 4.0 * np.pi * sigma_px**2)
    assert noise_correlation_area(noise) == pytest.approx(expected, rel=0.15)
