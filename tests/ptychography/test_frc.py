"""Laws of the Fourier ring correlation."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.errors import InputError
from stxmdist.ptychography import gauge
from stxmdist.ptychography.frc import fourier_ring_correlation, ring_frequencies

SHAPE = (131, 149)


def speckle(seed: int, blur: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
    if blur:
        values = gaussian_filter(values.real, blur) + 1j * gaussian_filter(values.imag, blur)
    return values / values.std()


def test_halves_of_noise_alone_have_nothing_in_common() -> None:
    curves = []
    for seed in range(5):
        rings = fourier_ring_correlation(speckle(2 * seed), speckle(2 * seed + 1))
        curves.append(rings.correlation[5:])
        assert np.isnan(rings.half_bit_half_period_px)
    # Gauge and registration pick the likeliest of many ways to lay noise on noise: four sigma of 1/sqrt(pixels).
    assert -0.01 < np.mean(curves) < 4.0 / np.sqrt(0.5 * SHAPE[0] * SHAPE[1])
    expected = 1.0 / np.sqrt(2.0 * rings.n[5:])
    assert np.std(curves, axis=0).mean() == pytest.approx(expected.mean(), rel=0.35)


def test_one_image_twice_is_resolved_to_the_pixel() -> None:
    image = speckle(0, 0.7)
    rings = fourier_ring_correlation(image, image, 5.0)
    np.testing.assert_allclose(rings.correlation, 1.0, atol=1e-6)
    assert rings.half_bit_half_period_px == 1.0
    assert rings.half_bit_half_period_nm == 5.0
    assert rings.frequency_per_px[-1] == pytest.approx(0.5, abs=0.005)


def test_known_signal_to_noise_gives_the_known_curve() -> None:
    # White signal and noise: correlation snr / (1 + snr) in every ring.
    signal = speckle(0)
    snr = 2.0
    halves = [signal + speckle(seed) / np.sqrt(snr) for seed in (1, 2)]
    rings = fourier_ring_correlation(halves[0], halves[1])
    assert rings.correlation[10:].mean() == pytest.approx(snr / (1 + snr), abs=0.01)


def test_scale_offset_ramp_and_shift_do_not_count() -> None:
    signal = 1.0 + 0.4 * speckle(0, 1.5)
    one, other = (signal + 0.05 * speckle(seed) for seed in (1, 2))
    plain = fourier_ring_correlation(one, other)
    moved = gauge.shift_image(other, np.array([1.7, -2.4])) * gauge.Gauge(0.4, 2.0, (0.05, -0.12)).factor(SHAPE)
    freed = fourier_ring_correlation(one, moved)
    np.testing.assert_allclose(freed.shift_px, (-1.7, 2.4), atol=0.05)
    assert freed.half_bit_half_period_px == pytest.approx(plain.half_bit_half_period_px, rel=0.03)
    assert 1.5 < plain.half_bit_half_period_px < 5.0


def test_more_noise_resolves_less_and_one_bit_is_stricter() -> None:
    signal = speckle(0, 1.5)
    found = []
    for noise in (0.1, 0.5, 2.0):
        rings = fourier_ring_correlation(*(signal + noise * speckle(seed) for seed in (1, 2)))
        assert rings.one_bit_half_period_px > rings.half_bit_half_period_px
        assert (rings.one_bit > rings.half_bit).all()
        found.append(rings.half_bit_half_period_px)
    assert found == sorted(found)
    assert found[0] < found[2]


def test_what_lies_outside_the_light_does_not_count() -> None:
    signal = speckle(0, 1.0)
    one, other = signal.copy(), signal.copy()
    light = np.zeros(SHAPE)
    light[20:100, 30:120] = 1.0
    one[light == 0] = speckle(1)[light == 0] * 30
    other[light == 0] = np.nan
    rings = fourier_ring_correlation(one, other, weight=light)
    np.testing.assert_allclose(rings.correlation, 1.0, atol=1e-3)


def test_real_images_have_half_as_many_independent_pixels() -> None:
    both = [fourier_ring_correlation(image, image + 0).n for image in (speckle(0).real, speckle(0))]
    np.testing.assert_allclose(both[0] * 2, both[1])


def test_halves_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="differ in shape"):
        fourier_ring_correlation(speckle(0), speckle(0)[1:])
    with pytest.raises(InputError, match="too small"):
        fourier_ring_correlation(speckle(0)[:10], speckle(0)[:10])


def test_rings_end_at_half_a_cycle() -> None:
    """Curves of smaller tiles end in NaN; their last ring lies at half a cycle as well."""
    curves = np.array([[1.0, 0.9, 0.5, 0.1], [1.0, 0.4, np.nan, np.nan], [np.nan] * 4])
    found = ring_frequencies(curves)
    np.testing.assert_allclose(found[0], [0.0, 0.125, 0.25, 0.375])
    np.testing.assert_allclose(found[1, :2], [0.0, 0.25])
    np.testing.assert_allclose(found[2], found[0])
    np.testing.assert_allclose(ring_frequencies(curves[0]), found[0])
