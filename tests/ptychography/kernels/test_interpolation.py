"""The sub-pixel shift keeps the light, moves waves as Fourier says, and brings nothing back on the other side."""

from typing import Any

import numpy as np
import pytest

from stxmdist.arrays import C128
from stxmdist.ptychography.kernels import operators
from stxmdist.ptychography.kernels.fourier import PAD, PAD_ROWS, inside, padded_copy
from stxmdist.ptychography.kernels.interpolation import (
    BEFORE,
    TAPS,
    back_weights,
    coefficients,
    coefficients_adjoint,
    shift_weights,
)

FRACTIONS = [0.0, 0.07, 0.25, 0.5, 0.93]
LIGHT = 0.01
"""Largest change of a wave's energy by a shift: a tenth of what the aperture's rim lost to plain interpolation"""
WAVE = 4e-3
"""Largest difference of a moved wave up to .37 cycles a pixel, relative to it: .24 % in the worst place on each axis"""
NARROW = 5e-4
"""The same of waves up to .2 cycles a pixel"""
ROUNDING = 1e-6
"""Of what is computed in double precision and kept in float32, relative to the largest"""
CUT = 0.02
"""Difference, as share of its energy, of a wave that its window cuts off: the cut has all frequencies"""
SIZE = 64


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> C128:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def banded(band: float, sigma: float, centre: tuple[float, float] = (0.5, 0.5), seed: int = 0) -> C128:
    """A random wave up to a frequency, under a hood of this width."""
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    spectrum = np.where(radius < band, complex_normal(np.random.default_rng(seed), (SIZE, SIZE)), 0.0)
    at = np.indices((SIZE, SIZE)) - SIZE * np.array(centre)[:, None, None]
    return np.fft.ifft2(spectrum) * np.exp(-0.5 * (np.hypot(*at) / sigma) ** 2)


def fourier_shift(wave: C128, fraction: tuple[float, float]) -> C128:
    """The exact shift of a wave in a window thrice as large, where nothing comes back; cut out again."""
    wide = np.pad(wave, SIZE)
    frequency = np.fft.fftfreq(3 * SIZE)
    ramp = np.exp(-2j * np.pi * (frequency[:, None] * fraction[0] + frequency * fraction[1]))
    return np.fft.ifft2(np.fft.fft2(wide) * ramp)[SIZE:-SIZE, SIZE:-SIZE]


def moved(wave: Any, fraction: tuple[float, float]) -> C128:
    return operators.shift_probe(wave[None], *shift_weights(np.array(fraction)).astype(np.float64))[0]


def energy(wave: Any) -> float:
    return float((np.abs(wave) ** 2).sum())


@pytest.mark.parametrize("frequency", [0.1, 0.2, 0.3, 0.35, 0.4])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_shift_keeps_the_light(frequency: float, fraction: float) -> None:
    # Under a wide hood: a narrow one adds frequencies.
    at = np.arange(256)
    wave = (np.exp(2j * np.pi * frequency * at - 0.5 * ((at - 128) / 32.0) ** 2))[:, None] * np.hanning(9)
    assert energy(moved(wave, (fraction, 0.0))) == pytest.approx(energy(wave), rel=LIGHT)


@pytest.mark.parametrize(("band", "tolerance"), [(0.1, NARROW), (0.2, NARROW), (0.37, WAVE)])
@pytest.mark.parametrize("fraction", [(a, b) for a in FRACTIONS for b in (0.0, 0.5)])
def test_a_wave_moves_as_fourier_says(band: float, tolerance: float, fraction: tuple[float, float]) -> None:
    wave = banded(band, 9.0)
    exact = fourier_shift(wave, fraction)
    assert np.linalg.norm(moved(wave, fraction) - exact) < tolerance * np.linalg.norm(exact)


def test_what_leaves_the_window_does_not_come_back() -> None:
    # On the rim: the hood of this wave ends one pixel outside the window.
    wave = banded(0.2, 4.0, centre=(0.99, 0.99))
    found, exact = moved(wave, (0.5, 0.5)), fourier_shift(wave, (0.5, 0.5))
    wrapped = np.fft.ifft2(np.fft.fft2(wave) * np.outer(*2 * [np.exp(-1j * np.pi * np.fft.fftfreq(SIZE))]))
    for part in (np.s_[:8], np.s_[:, :8], np.s_[:32, :32]):
        assert energy(found[part]) < 1e-9 * energy(wave)
        assert energy(wrapped[part]) > 1e-3 * energy(wave)
    assert energy(found - exact) < CUT * energy(exact)


def test_shifts_of_no_fraction_change_nothing() -> None:
    wave = complex_normal(np.random.default_rng(1), (3, 13, 17))
    # As exact as float32 weights of coefficients that are up to 1600 times as large as random samples.
    np.testing.assert_allclose(operators.samples(operators.coefficients(wave)), wave, atol=1e-4)


def with_coefficients(padded: Any) -> Any:
    """The part of padded memory in which coefficients lie."""
    top, left = PAD_ROWS - BEFORE, PAD - BEFORE
    after = TAPS - 1 - BEFORE
    return padded[:, top : padded.shape[1] - PAD_ROWS + after, left : padded.shape[2] - PAD + after]


@pytest.mark.parametrize("shape", [(1, 5, 6), (2, 13, 17), (3, 32, 24)])
def test_coefficients_in_compiled_loops_are_those_of_the_matrices(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    wave = complex_normal(rng, shape).astype(np.complex64)
    found = coefficients(padded_copy(wave))
    wanted = operators.coefficients(wave.astype(np.complex128))
    np.testing.assert_allclose(with_coefficients(found), wanted, atol=ROUNDING * np.abs(wanted).max())
    asked = np.zeros_like(found)
    with_coefficients(asked)[...] = complex_normal(rng, wanted.shape)
    back = coefficients_adjoint(asked)
    wanted = operators.coefficients_adjoint(with_coefficients(asked).astype(np.complex128))
    np.testing.assert_allclose(inside(back), wanted, atol=ROUNDING * np.abs(wanted).max())
    with_coefficients(found)[...] = 0
    inside(back)[...] = 0
    assert not found.any()
    assert not back.any()


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_no_wave_grows(fraction: float) -> None:
    # Of all waves, with edges and of any frequency: the largest singular value of the shift along an axis.
    lines = np.eye(SIZE)[None]
    still = shift_weights(np.zeros(())).astype(np.float64)
    shift = operators.shift_probe(lines, shift_weights(np.array(fraction)).astype(np.float64), still)[0]
    assert np.linalg.norm(shift, 2) < 1.0 + WAVE


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_step_moved_back_is_the_step_that_was_asked(fraction: float) -> None:
    # Of waves of one frequency, along one axis: what the same position sees of its own step.
    at = np.linspace(0.0, 0.5, 101)
    forward, backward = (np.exp(2j * np.pi * at[:, None] * (np.arange(2 * n) - n)) for n in (3, 2))
    ahead, back = forward @ shift_weights(np.array(fraction)), backward @ back_weights(np.array(fraction))
    gain: C128 = ahead * back.conj()
    low = gain[at <= 0.25]
    assert np.abs(low - 1.0).max() < 0.2
    assert gain.real.min() > -0.01  # never the wrong way
    assert np.abs(gain).max() < 1.2  # and never so far that steps of 1.5 overshoot
