"""Maps times spectra: fitted exactly, blind to the order of energies, and counted by what two halves have in common."""

import numpy as np
import pytest

from stxmdist.arrays import C64, F32, F64
from stxmdist.ptychography.shared_spectra import (
    LEAST,
    ImageGauge,
    best_candidate,
    beyond_spectra,
    components_in_both,
    fitted_maps,
    found_columns,
    gauge_step,
    logs_of,
    noise_gain,
    stacked,
    unexplained,
)

ENERGIES, SHAPE = 5, (37, 41)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def spectra(rng: np.random.Generator, count: int = 2) -> F64:
    """As of materials: all absorb, each in its own way."""
    return stacked((-rng.uniform(0.2, 1.0, (ENERGIES, count)) - 1j * rng.uniform(0.2, 1.0, (ENERGIES, count))) * 0.01)


def light(rng: np.random.Generator) -> F32:
    return rng.uniform(50.0, 150.0, (ENERGIES, *SHAPE)).astype(np.float32)


def grain(rng: np.random.Generator, weight: F32) -> C64:
    """Noise of counted photons."""
    size = 1.0 / np.sqrt(4.0 * weight)
    return ((rng.normal(size=weight.shape) + 1j * rng.normal(size=weight.shape)) * size).astype(np.complex64)


def plates(rng: np.random.Generator, count: int = 2) -> F32:
    return (100.0 * rng.uniform(0.0, 1.0, (count, *SHAPE))).astype(np.float32)


def test_maps_without_noise_are_found(rng: np.random.Generator) -> None:
    maps, columns, weight = plates(rng), spectra(rng), light(rng)
    found = fitted_maps(logs_of(maps, columns), weight, columns)
    # What holds maps at zero without light draws them back by its share, more where light is weak and spectra alike.
    assert np.abs(found - maps).max() < 30.0 * LEAST * maps.max()


def test_no_other_maps_leave_less(rng: np.random.Generator) -> None:
    columns, weight = spectra(rng), light(rng)
    logs = logs_of(plates(rng), columns) + grain(rng, weight)
    found = fitted_maps(logs, weight, columns)

    def misfit(maps: F32) -> float:
        return float((weight * np.abs(logs - logs_of(maps, columns)) ** 2).sum(dtype=np.float64))

    least = misfit(found)
    step = rng.normal(size=found.shape).astype(np.float32)
    up, down = (misfit(found + sign * step) for sign in (1.0, -1.0))
    assert min(up, down) > least
    # The slope along any direction is far below the curvature: central and one-sided differences agree.
    assert abs(up - down) < 0.02 * (up + down - 2.0 * least)


def test_energies_in_another_order_make_the_same_maps(rng: np.random.Generator) -> None:
    columns, weight = spectra(rng), light(rng)
    logs = logs_of(plates(rng), columns) + grain(rng, weight)
    order = np.array([3, 0, 4, 1, 2])
    turned = np.concatenate([columns[:ENERGIES][order], columns[ENERGIES:][order]])
    np.testing.assert_allclose(
        fitted_maps(logs[order], weight[order], turned), fitted_maps(logs, weight, columns), atol=1e-3
    )


def test_found_spectra_span_those_of_the_sample(rng: np.random.Generator) -> None:
    columns, weight = spectra(rng), light(rng)
    logs = logs_of(plates(rng), columns)
    assert np.abs(beyond_spectra(logs, weight, found_columns(logs, weight, None, 2))).max() < 30.0 * LEAST
    # Beside the first of them, one is left.
    both = np.concatenate([columns[:, :1], found_columns(logs, weight, columns[:, :1], 1)], axis=1)
    assert np.abs(beyond_spectra(logs, weight, both / np.abs(both).max(axis=0))).max() < 30.0 * LEAST


@pytest.mark.parametrize("planted", [0, 1, 3])
def test_spectra_are_counted_by_what_halves_share(rng: np.random.Generator, planted: int) -> None:
    weight, columns = light(rng), spectra(rng, 3)
    sample = logs_of(plates(rng, 3)[:planted], columns[:, :planted]) if planted else np.complex64(0.0)
    one, other = (sample + grain(rng, weight) for _ in range(2))
    assert components_in_both(one, other, weight, None, 2.0) == planted
    if planted == 3:
        assert components_in_both(one, other, weight, columns[:, :2], 2.0) == 1
        assert components_in_both(one, other, weight, columns[:, :2], 1e9) == 0


def test_the_energy_scale_that_leaves_least_is_taken(rng: np.random.Generator) -> None:
    candidates = np.stack([spectra(rng) for _ in range(4)])
    weight = light(rng)
    logs = logs_of(plates(rng), candidates[2]) + grain(rng, weight)
    number, left = best_candidate(logs, weight, candidates)
    assert number == 2
    assert left.argmin() == 2
    assert left[2] < 0.5 * np.delete(left, 2).min()


def test_scale_phase_ramp_and_shift_of_an_image_are_found(rng: np.random.Generator) -> None:
    y, x = np.indices(SHAPE)

    def model(shift: tuple[float, float]) -> C64:
        here = np.exp(-((y - shift[0] - 17.3) ** 2 + (x - shift[1] - 22.1) ** 2) / 60.0)
        return (-(0.4 + 0.7j) * here).astype(np.complex64)

    planted = ImageGauge(0.03, -0.4, (0.2, -0.1), (0.12, -0.21))
    left = model(planted.shift_px) + planted.log(SHAPE) - model((0.0, 0.0))
    found = gauge_step(left, light(rng)[0], model((0.0, 0.0)), 0.3)
    assert found.log_scale == pytest.approx(planted.log_scale, abs=5e-3)
    assert found.phase_rad == pytest.approx(planted.phase_rad, abs=5e-3)
    np.testing.assert_allclose(found.ramp_rad, planted.ramp_rad, atol=5e-3)
    # Of second order in the shift.
    np.testing.assert_allclose(found.shift_px, planted.shift_px, atol=0.03)
    unmoved = gauge_step(left, light(rng)[0], model((0.0, 0.0)))
    assert unmoved.shift_px == (0.0, 0.0)


@pytest.mark.parametrize("size", [1.0, 0.6])
def test_noise_of_single_energies_gives_maps_the_error_of_the_shared_ones(
    rng: np.random.Generator, size: float
) -> None:
    columns, weight = spectra(rng), light(rng)
    single = grain(rng, weight)
    absorbing = np.concatenate([columns[:ENERGIES], np.zeros_like(columns[:ENERGIES])])
    shared = size * logs_of(fitted_maps(single.real.astype(np.complex64), weight, absorbing), columns)
    gain = noise_gain(shared, single, weight, columns)
    assert gain == pytest.approx(size, rel=0.01)
    # A fit of absorption with this noise errs by as much as the shared maps do.
    refitted = fitted_maps((gain * single.real).astype(np.complex64), weight, absorbing)
    errors = [float(np.std(fitted_maps(shared.real.astype(np.complex64), weight, absorbing))), float(np.std(refitted))]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


def test_what_no_spectrum_explains_is_seen_where_it_lies(rng: np.random.Generator) -> None:
    columns, weight = spectra(rng), light(rng)
    foreign = np.zeros(SHAPE, np.float32)
    foreign[10:22, 12:26] = 40.0
    logs = logs_of(plates(rng), columns) + logs_of(foreign[None], spectra(rng, 1)) + grain(rng, weight)
    noise = 0.5 * (np.sqrt(2.0) * grain(rng, weight) - np.sqrt(2.0) * grain(rng, weight))
    left, of_noise = (beyond_spectra(values.astype(np.complex64), weight, columns) for values in (logs, noise))
    apart = unexplained(left, of_noise, weight)
    assert apart[14:18, 16:22].min() == 1.0
    assert apart[30:].max() == 0.0
    assert unexplained(of_noise, of_noise, weight).max() == 0.0


def test_nothing_is_asked_of_pixels_without_light(rng: np.random.Generator) -> None:
    columns, weight = spectra(rng), light(rng)
    weight[:, :5] = 0.0
    found = fitted_maps(logs_of(plates(rng), columns), weight, columns)
    assert np.isfinite(found).all()
    assert (found[:, :5] == 0.0).all()
