"""What a count means: photons, offset and read-out noise, told by the noise of frames whose truth is known."""

import numpy as np
import pytest

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.ptychography.noise import CountModel, count_model, root_variance, smallest_step

GAIN = 0.2
"""Relative: a slope from 64 frames of 48 x 48 pixels with read-out noise is this exact"""
LEVEL = 0.3
"""Of an offset, in photons: the dimmest pixels have about a tenth of one"""
SAMPLED = 0.02
"""Of a variance of 400,000 draws, and of the interpolation in the table"""
ALL = np.ones((48, 48), bool)


def means(photons: float, n_frames: int = 64, n: int = 48, beam_px: float = 3.0) -> F64:
    """Far fields (FRAME, QY, QX) of beams that fill a third of their window, as speckle that falls off outward."""
    rng = np.random.default_rng(2)
    y, x = np.indices((n, n)) - n // 2
    waves = rng.normal(size=(n_frames, n, n)) + 1j * rng.normal(size=(n_frames, n, n))
    coarse = np.fft.ifft2(np.fft.fft2(waves) * np.fft.ifftshift(np.exp(-(y**2 + x**2) / (2 * 5.0**2))))
    beam = np.exp(-(y**2 + x**2) / (2 * beam_px**2))
    patterns = np.abs(np.fft.fftshift(np.fft.fft2((1.0 + 5.0 * coarse / np.abs(coarse).std()) * beam), (1, 2))) ** 2
    patterns += 1e-6 * patterns.max() * np.exp(-(y**2 + x**2) / (2 * 12.0**2))
    return np.asarray(patterns * photons / patterns.sum(axis=(1, 2)).mean())


def readings(photons: float, model: CountModel, seed: int = 1) -> Array:
    """Whole counts of a detector."""
    rng = np.random.default_rng(seed)
    counted = rng.poisson(means(photons)) + model.readout * rng.normal(size=(64, 48, 48))
    return np.round(model.offset + model.counts_per_photon * counted).astype(np.int32)


@pytest.mark.parametrize("factor", [1, 50, 1.0 / 11899.0])
@pytest.mark.parametrize("photons", [30.0, 3e3, 3e5])
def test_counted_photons_are_known_in_any_unit(factor: float, photons: float) -> None:
    frames = readings(photons, CountModel()) * factor
    frames = frames.astype(np.float32) if factor < 1 else frames.astype(np.uint32)
    found = count_model(frames, ALL)
    assert found.counts_per_photon == pytest.approx(factor, rel=1e-6)
    assert (found.offset, found.readout) == (0.0, 0.0)
    assert found.photons(frames) == pytest.approx(readings(photons, CountModel()), abs=1e-2)


@pytest.mark.parametrize("factor", [1, 7])
def test_light_between_pixels_of_coarse_frames_is_no_photon(factor: int) -> None:
    """A beam that fills its window, frames cut to their bright middle: differences hold more of light than of noise."""
    middle = slice(12, 36)
    patterns = means(3e5, n_frames=400, beam_px=9.0)[:, middle, middle]
    frames = factor * np.random.default_rng(1).poisson(patterns)
    assert count_model(frames, ALL[middle, middle]).counts_per_photon == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize("model", [CountModel(50, 0, 0.3), CountModel(30, 600, 0.5), CountModel(10, -40, 0.2)])
def test_gain_offset_and_read_out_noise_are_found(model: CountModel) -> None:
    found = count_model(readings(3e5, model), ALL)
    assert found.counts_per_photon == pytest.approx(model.counts_per_photon, rel=GAIN)
    assert found.offset == pytest.approx(model.offset, abs=LEVEL * model.counts_per_photon)
    assert found.readout == pytest.approx(model.readout, rel=0.5)


def test_a_dark_of_twenty_counts_is_an_offset() -> None:
    found = count_model(readings(3e5, CountModel(1.0, 20.0)), ALL)
    assert found == CountModel(1.0, 20.0)


def test_light_that_falls_off_outward_is_no_offset() -> None:
    for photons in (3e3, 3e5, 3e7):
        assert count_model(readings(photons, CountModel()), ALL).offset == 0.0


def test_gaps_and_bad_pixels_say_nothing() -> None:
    frames = readings(3e5, CountModel(50, 0, 0.3)).astype(np.float32)
    good = ALL.copy()
    good[:, 20:22] = False
    frames[:, :, 20:22] = 1e9
    frames[:, 7, 9] = np.nan
    assert count_model(frames, good).counts_per_photon == pytest.approx(50, rel=GAIN)


def test_what_is_known_of_the_detector_is_taken() -> None:
    frames = readings(3e5, CountModel(50, 0, 0.3))
    found = count_model(frames, ALL, 48.0)
    assert found.counts_per_photon == 48.0
    assert found.readout == pytest.approx(0.3, rel=0.5)
    with pytest.raises(InputError, match="above 0"):
        count_model(frames, ALL, 0.0)


def test_a_gain_that_read_out_noise_hides_is_said_not_to_be_known() -> None:
    hidden = count_model(readings(300.0, CountModel(10, 0, 3.0)), ALL)
    assert not hidden.told
    assert hidden.counts_per_photon * hidden.readout == pytest.approx(30.0, rel=0.1)
    assert "dose is not known" in hidden.words[0]
    assert count_model(readings(300.0, CountModel(10, 0, 3.0)), ALL, 10.0).told
    assert count_model(readings(30.0, CountModel()), ALL).told


def test_frames_that_tell_nothing_are_taken_for_photons() -> None:
    assert count_model(np.zeros((0, 8, 8), np.uint16), np.ones((8, 8), bool)) == CountModel()
    assert count_model(np.zeros((4, 48, 48), np.float32), ALL) == CountModel()


def test_steps_are_found_where_there_are_any() -> None:
    rng = np.random.default_rng(0)
    whole = rng.poisson(40.0, 1000)
    assert smallest_step(whole.astype(np.uint16) * 7) == 7.0
    assert smallest_step((whole / 301.0).astype(np.float32)) == pytest.approx(1 / 301, rel=1e-6)
    assert smallest_step((whole / 60101.0 + 1.0).astype(np.float32) - 1.0) == pytest.approx(1 / 60101, rel=1e-4)
    assert smallest_step(whole + rng.normal(size=1000)) == 0.0


@pytest.mark.parametrize("photons", [0.01, 0.5, 1.0, 3.0, 40.0, 1000.0])
@pytest.mark.parametrize("readout", [0.0, 0.3, 2.0])
def test_the_variance_of_roots_is_that_of_draws(photons: float, readout: float) -> None:
    rng = np.random.default_rng(3)
    drawn = np.maximum(rng.poisson(photons, 400_000) + readout * rng.normal(size=400_000), 0.0)
    assert root_variance(photons, readout) == pytest.approx(np.sqrt(drawn).var(), rel=SAMPLED, abs=1e-4)
