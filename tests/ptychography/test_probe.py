"""The illumination: optics in closed form, modes, and the power that frames show."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.ptychography import probe as probes
from stxmdist.simulation import optics


def test_the_model_is_the_simulations_which_was_written_apart() -> None:
    n, pixel, energy, defocus = 96, 12.0, 708.0, 8.0
    ours = probes.zone_plate_probe(
        (n, n), pixel, energy, outer_zone_nm=60.0, central_stop_fraction=0.3, defocus_um=defocus
    )
    plate = optics.ZonePlate(240.0, 60.0, 0.3)
    theirs = optics.probe(n, pixel, energy, plate, defocus, periodic=True)
    likeness = abs(np.vdot(ours, theirs)) / (np.linalg.norm(ours) * np.linalg.norm(theirs))
    assert likeness > 0.9999
    assert (np.abs(ours) ** 2).sum() == pytest.approx(1.0, rel=1e-5)


def test_the_pupil_is_an_annulus() -> None:
    n, pixel = 128, 10.0
    wave = probes.zone_plate_probe((n, n), pixel, 700.0, outer_zone_nm=50.0, central_stop_fraction=0.4)
    pupil = np.abs(np.fft.fft2(wave))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(n, pixel), np.fft.fftfreq(n, pixel))) * 2 * 50.0
    cell = 2 * 50.0 / (n * pixel)
    assert pupil[(radius > 0.4 + cell) & (radius < 1 - cell)].min() > 0.9 * pupil.max()
    assert pupil[(radius < 0.4 - cell) | (radius > 1 + cell)].max() < 1e-4 * pupil.max()


def test_a_defocused_beam_has_the_width_of_its_cone() -> None:
    n, pixel, energy, zone, defocus = 256, 10.0, 700.0, 50.0, 60.0
    power = np.abs(probes.zone_plate_probe((n, n), pixel, energy, outer_zone_nm=zone, defocus_um=defocus)) ** 2
    cone = optics.ZonePlate(240.0, zone).numerical_aperture(energy) * defocus * 1e3 / pixel  # radius in pixels
    radius = np.hypot(*(np.indices((n, n)) - n // 2))
    assert 0.85 < power[radius < cone].sum() < 0.995
    assert power[radius < 0.7 * cone].sum() < 0.6


def test_propagation_keeps_power_and_can_be_undone() -> None:
    rng = np.random.default_rng(0)
    wave = (rng.normal(size=(2, 40, 37)) + 1j * rng.normal(size=(2, 40, 37))).astype(np.complex64)
    there = probes.propagate(wave, (10.0, 12.0), 700.0, 4.0)
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(wave), rel=1e-5)
    np.testing.assert_allclose(probes.propagate(there, (10.0, 12.0), 700.0, -4.0), wave, atol=1e-4)


def test_propagation_moves_the_focus() -> None:
    arguments = {"outer_zone_nm": 60.0, "central_stop_fraction": 0.3}
    focus = probes.zone_plate_probe((64, 64), 12.0, 700.0, **arguments)
    moved = probes.zone_plate_probe((64, 64), 12.0, 700.0, defocus_um=5.0, **arguments)
    np.testing.assert_allclose(probes.propagate(focus, 12.0, 700.0, 5.0), moved, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"outer_zone_nm": -1.0}, "no zone plate"),
        ({"outer_zone_nm": 50.0, "central_stop_fraction": 1.0}, "no zone plate"),
        ({"outer_zone_nm": 8.0}, "wider than the detector"),
    ],
)
def test_impossible_optics_are_refused(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        probes.zone_plate_probe((32, 32), 12.0, 700.0, **arguments)


def test_a_mean_pattern_in_vacuum_gives_the_focus_back() -> None:
    focus = probes.zone_plate_probe((64, 64), 12.0, 700.0, outer_zone_nm=60.0) * 1000.0
    frame = np.abs(np.fft.fftshift(np.fft.fft2(focus, norm="ortho"))) ** 2
    found = probes.probe_from_mean_pattern(frame)
    assert abs(np.vdot(found, focus)) > 0.999 * np.linalg.norm(found) * np.linalg.norm(focus)
    assert (np.abs(found) ** 2).sum() == pytest.approx(frame.sum(), rel=1e-5)
    frame[3, 4] = np.nan
    assert np.isfinite(probes.probe_from_mean_pattern(frame)).all()


def test_orthogonal_modes_of_the_same_state() -> None:
    rng = np.random.default_rng(0)
    mixed = (rng.normal(size=(4, 11, 13)) + 1j * rng.normal(size=(4, 11, 13))).astype(np.complex64)
    mixed[2] = 0.5 * mixed[0]
    modes = probes.orthogonalise(mixed)
    flat = modes.reshape(4, -1)
    gram = flat @ flat.conj().T
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-3 * np.abs(gram).max()
    assert (np.diff(probes.mode_power(modes)) <= 1e-7).all()
    # The mutual intensity, all that incoherent modes mean, is the same.
    before = np.einsum("mi,mj->ij", mixed.reshape(4, -1), mixed.reshape(4, -1).conj())
    np.testing.assert_allclose(np.einsum("mi,mj->ij", flat, flat.conj()), before, atol=1e-4)
    single = mixed[:1]
    np.testing.assert_allclose(probes.orthogonalise(single), single, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_added_modes_are_orthogonal_and_keep_the_power(count: int) -> None:
    first = probes.zone_plate_probe((48, 48), 12.0, 700.0, outer_zone_nm=60.0, defocus_um=4.0)[None] * 300
    modes = probes.add_modes(first, count, 0.05)
    assert modes.shape == (count, 48, 48)
    assert (np.abs(modes) ** 2).sum() == pytest.approx((np.abs(first) ** 2).sum(), rel=1e-4)
    flat = modes.reshape(count, -1).astype(np.complex128)
    gram = np.abs(flat @ flat.conj().T)
    assert (gram - np.diag(np.diag(gram))).max() < 1e-4 * gram[0, 0]
    np.testing.assert_allclose(np.diag(gram)[1:] / gram[0, 0], 0.05, rtol=1e-3)
    assert probes.add_modes(modes, 1, 0.05).shape[0] == 1


def test_the_start_gets_the_power_of_vacuum_frames_though_pixels_are_bad(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    problem = measured.problem
    good = problem.good.copy()
    good[13:15] = False
    whole = (np.abs(probes.scaled_probe(problem, problem.probe)) ** 2).sum()
    masked = (np.abs(probes.scaled_probe(replace(problem, good=good), problem.probe)) ** 2).sum()
    assert whole == pytest.approx(np.quantile(problem.frames.sum(axis=(1, 2)), 0.95), rel=1e-4)
    assert masked == pytest.approx(whole, rel=0.1)
    assert probes.vacuum_counts(replace(problem, good=good)) < 0.95 * whole
