"""The PIE engines against planted truth, noise, masks and bad starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from stxmdist.errors import InputError
from stxmdist.ptychography.engines import ENGINES, OPTIONS
from stxmdist.ptychography.pie import PieOptions, epie, rpie
from stxmdist.ptychography.problem import Problem

LARGER = {"n": 48, "defocus_um": 7.0, "side": 8, "step": 5.0, "hooded": True}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_of_the_table_lowers_the_error_and_keeps_its_promises(
    name: str, measurement: Callable[..., Any]
) -> None:
    measured = measurement(counts=1e5, modes=2)
    found = ENGINES[name](measured.problem, OPTIONS[name](), rng())
    assert found.stopped == "finished"
    assert found.residual < found.error[-1] < 0.3 * found.error[0]
    assert found.object_.dtype == found.probe.dtype == np.complex64
    assert found.object_.shape == measured.problem.object_shape
    np.testing.assert_allclose(found.positions_px, measured.problem.positions_px)
    assert found.mode_power.sum() == pytest.approx(1.0)
    overlap = np.vdot(found.probe[0], found.probe[1])
    assert abs(overlap) < 1e-4 * np.linalg.norm(found.probe[0]) * np.linalg.norm(found.probe[1])
    assert found.mode_power[0] > found.mode_power[1]


@pytest.mark.parametrize(("engine", "iterations"), [(rpie, 300), (epie, 1500)])
def test_noiseless_frames_give_the_object_back(
    engine: Callable[..., Any], iterations: int, measurement: Callable[..., Any]
) -> None:
    measured = measurement(defocus_error=0.1)
    options = PieOptions(iterations=iterations, n_modes=1, final_step=1.0)
    assert measured.object_error(engine(measured.problem, options, rng())) < 1e-3


def test_positions_between_pixels_are_meant(measurement: Callable[..., Any]) -> None:
    measured = measurement(whole=False, **LARGER)
    options = PieOptions(iterations=200, n_modes=1, final_step=1.0, object_alpha=0.1)
    moved = rpie(measured.problem, options, rng())
    rounded = rpie(measured.problem, replace(options, sub_pixel=False), rng())
    assert measured.object_error(moved) < 3e-3
    assert moved.residual < 0.2 * rounded.residual
    assert measured.object_error(moved) < 0.2 * measured.object_error(rounded)


def test_noise_of_the_object_falls_with_counts(measurement: Callable[..., Any]) -> None:
    errors = []
    for counts in (1e4, 1e5, 1e6):
        measured = measurement(counts=counts)
        errors.append(measured.object_error(rpie(measured.problem, PieOptions(iterations=100, n_modes=1), rng())))
    # 1/sqrt(10) = 0.32 each time; convergence, which does not know of counts, has a part too.
    assert errors[1] / errors[0] < 0.45
    assert errors[2] / errors[1] < 0.5


def test_power_of_two_modes(measurement: Callable[..., Any]) -> None:
    measured = measurement(modes=2, second_power=0.2)
    found = rpie(measured.problem, PieOptions(iterations=200, final_step=1.0), rng())
    np.testing.assert_allclose(found.mode_power, [0.8, 0.2], atol=0.02)
    one = rpie(measured.problem, PieOptions(iterations=200, n_modes=1, final_step=1.0), rng())
    assert found.residual < 0.1 * one.residual


def test_bad_pixels_do_not_matter(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e6)
    problem: Problem = measured.problem
    good = problem.good.copy()
    good[rng(1).random(good.shape) < 0.05] = False
    good[18] = False
    spoiled = problem.frames.copy()
    spoiled[:, ~good] = 60000
    options = PieOptions(n_modes=1, iterations=60)
    whole = measured.object_error(rpie(problem, options, rng()))
    masked = measured.object_error(rpie(replace(problem, frames=spoiled, good=good), options, rng()))
    ignored = measured.object_error(rpie(replace(problem, frames=spoiled), options, rng()))
    assert masked < 1.7 * whole
    assert ignored > 5 * masked


def test_values_under_the_mask_change_nothing_at_all(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    good = problem.good.copy()
    good[3:5, 7] = False
    results = []
    for value in (0.0, np.nan, 1e9, -5.0):
        frames = problem.frames.astype(np.float32)
        frames[:, 3:5, 7] = value
        results.append(epie(replace(problem, frames=frames, good=good), PieOptions(iterations=3), rng()).object_)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_vacuum_has_amplitude_one_however_bright_the_start(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    objects = []
    for factor in (1.0, 1e-3):
        problem = replace(measured.problem, probe=measured.problem.probe * np.float32(factor))
        objects.append(epie(problem, PieOptions(n_modes=1), rng()))
    np.testing.assert_allclose(objects[0].object_, objects[1].object_, atol=2e-3)
    power = float((np.abs(objects[0].probe) ** 2).sum())
    assert power == pytest.approx(np.quantile(measured.problem.frames.sum(axis=(1, 2)), 0.95), rel=1e-4)


def test_a_divergence_stops_and_the_best_state_comes_back(measurement: Callable[..., Any]) -> None:
    # Steps far too long, and nothing that holds them: no limit to the amplitude, power left to itself.
    measured = measurement(counts=1e5)
    options = PieOptions(
        iterations=60, n_modes=1, object_alpha=0.003, object_step=2.0, probe_step=2.0, probe_alpha=0.003,
        probe_start_iteration=8, amplitude_limit=0.0, keep_power=False, final_step=1.0,
    )  # fmt: skip
    found = rpie(measured.problem, options, rng())
    assert found.stopped in ("diverged", "not finite")
    assert len(found.error) < 60
    best = float(np.nanmin(found.error))
    assert found.residual < 1.5 * best
    assert np.isfinite(found.object_).all()


def test_what_is_not_finite_stops(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    object0 = np.ones(problem.object_shape, np.complex64)
    object0[30, 30] = np.nan
    found = epie(replace(problem, object0=object0), PieOptions(iterations=5), rng())
    assert found.stopped == "not finite"
    assert len(found.error) == 1


def test_illumination_is_where_the_beam_was(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    found = epie(measured.problem, PieOptions(iterations=5, n_modes=1), rng())
    power = float((np.abs(found.probe) ** 2).sum())
    assert found.illumination.sum(dtype=np.float64) == pytest.approx(power * len(measured.problem.frames), rel=1e-4)
    assert found.illumination[-1, -1] == 0.0


def test_one_seed_one_result_and_integers_are_what_floats_are(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    options = PieOptions(iterations=4)
    first, again = (epie(problem, options, rng(3)) for _ in range(2))
    other = epie(problem, options, rng(4))
    floats = epie(replace(problem, frames=problem.frames.astype(np.float64)), options, rng(3))
    np.testing.assert_array_equal(first.object_, again.object_)
    np.testing.assert_allclose(first.object_, floats.object_, atol=1e-5)
    assert np.abs(first.object_ - other.object_).max() > 1e-4


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0}, {"object_step": 0.0}, {"probe_step": -1.0}, {"object_alpha": 0.0}, {"probe_alpha": 2.0},
        {"amplitude_limit": 0.5}, {"n_modes": 0}, {"second_mode_power": 1.0}, {"divergence": 1.0}, {"final_step": 0.0},
        {"probe_start_iteration": -1},
    ],
)  # fmt: skip
def test_options_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        PieOptions(**wrong)


def test_the_siemens_star_by_the_defaults(siemens: Path) -> None:
    from stxmdist.ptychography.frc import fourier_ring_correlation
    from stxmdist.ptychography.geometry import positions_to_px
    from stxmdist.readers import read

    (recording,) = read(siemens)
    pixel = 29.352319746957897  # lambda z / (n p) of the nominal geometry, nm
    placed = positions_to_px(recording.positions_um[0], pixel, recording.frame_shape)
    frames = recording.read(0, slice(None))
    assert recording.illumination is not None
    problem = Problem(frames, recording.good, placed.positions_px, recording.illumination, placed.object_shape)
    options = PieOptions()
    assert options.iterations <= 40
    found = epie(problem, options, rng())
    assert found.residual <= 0.122
    assert found.error[-1] <= 0.122
    order = rng(1).permutation(len(frames))
    halves = [epie(problem.subset(np.sort(order[k::2])), options, rng(k + 1)) for k in (0, 1)]
    weight = np.minimum(halves[0].illumination, halves[1].illumination)
    rings = fourier_ring_correlation(halves[0].object_, halves[1].object_, pixel, weight)
    assert 1.5 < rings.half_bit_half_period_px <= 2.4
    # Spokes: the phase along a circle between hub and rim goes up and down some thirty times.
    hub = 227.0, 210.0
    angle = np.linspace(0, 2 * np.pi, 2048, endpoint=False)
    phase = np.angle(found.object_ / np.median(found.object_))
    circles = [[hub[0] + r * np.sin(angle), hub[1] + r * np.cos(angle)] for r in range(110, 130, 2)]
    ring = np.mean([map_coordinates(phase, circle, order=1) for circle in circles], axis=0)
    spectrum = np.abs(np.fft.rfft(ring - ring.mean()))
    assert 25 <= int(spectrum[10:60].argmax()) + 10 <= 40
