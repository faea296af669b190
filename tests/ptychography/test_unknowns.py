"""What is unknown beside object and probe: modes, drift of the probe, background, intensities, positions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.probe import propagate
from stxmdist.ptychography.problem import Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.refinement import PositionOptions, linear_part, principal, shifts
from tests.ptychography.conftest import Measurement, run

pytestmark = pytest.mark.long

WIDE = {"n": 64, "defocus_um": 12.0, "step": 5.0, "whole": False, "hooded": True, "counts": 1e6}
OFTEN = PositionOptions(refine=False, start=0.1, every=1)

POWER = 0.02
"""Of each mode, as share of all"""
LIKENESS = 0.99
"""Correlation of the shares found with those planted"""
DRIFT = 0.12
"""Error of the probes' differences from their mean, as share of these differences"""
BACKGROUND = 0.05
"""Of the sum: under the bright field nothing but smoothness tells the background from the beam"""
INTENSITY = 0.01
"""Rms over frames: a wide object takes up what changes slowly over the scan"""
POSITION_PX = 0.3
"""Rms of positions found at 1e6 counts, of 3 px planted"""
EMPTY_PX = 0.3
"""Rms by which positions over vacuum may move though nothing tells them to"""


@pytest.mark.parametrize(
    "step",
    [
        Step("rpie", 200, {"final_step": 1.0}),
        Step("lsqml", 200, {"batch": 10, "final_step": 1.0}),
        Step("ml", 200),
    ],
    ids=lambda step: step.engine,
)
def test_power_of_two_modes(step: Step, measurement: Callable[..., Any]) -> None:
    measured = measurement(modes=2, second_power=0.2)
    found = run(measured.problem, step, n_modes=2, probe_from=0.025, modes_from=0.0)
    print(f"{step.engine}: power of two modes {found.mode_power}, planted .8 and .2")
    np.testing.assert_allclose(found.mode_power, [0.8, 0.2], atol=POWER)
    one = run(measured.problem, step, probe_from=0.025)
    assert found.residual < 0.1 * one.residual


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum(np.abs(values) ** 2, axis=-1))))


def probes_of(found: Reconstruction) -> np.ndarray:
    return found.probe[0] + np.tensordot(found.shares, found.variations, 1)


def test_a_probe_that_drifts_is_followed(measurement: Callable[..., Any]) -> None:
    # Between two distances from the focus and back, several times: neither a shift nor a scale of the scan.
    measured = measurement(side=11, **WIDE)
    count = len(measured.problem.frames)
    first = measured.probe[0]
    pattern = propagate(first, 10.0, 700.0, 2.0) - propagate(first, 10.0, 700.0, -2.0)
    pattern = pattern - np.vdot(first, pattern) / np.vdot(first, first) * first
    pattern *= 0.3 * np.linalg.norm(first) / np.linalg.norm(pattern)
    share = np.sin(np.arange(count) / 7.0)
    planted = first + share[:, None, None] * pattern
    drifting = measured.again(probes=planted[:, None])
    found = run(drifting.problem, Step("lsqml", 200), positions=OFTEN, n_variations=1)
    fixed = run(drifting.problem, Step("lsqml", 200), positions=OFTEN)
    likeness = abs(np.corrcoef(found.shares[:, 0], share)[0, 1])
    print(f"drift of the probe: correlation with the planted one {likeness:.4f}")
    assert likeness > LIKENESS
    assert found.residual < 0.6 * fixed.residual
    seen, true = probes_of(found).reshape(count, -1), planted.reshape(count, -1)
    factor = np.vdot(seen.mean(axis=0), true.mean(axis=0)) / np.vdot(seen.mean(axis=0), seen.mean(axis=0))
    difference = factor * (seen - seen.mean(axis=0)) - (true - true.mean(axis=0))
    assert rms(difference) < DRIFT * rms(true - true.mean(axis=0))


def test_a_probe_that_does_not_drift_is_given_next_to_no_variation(measurement: Callable[..., Any]) -> None:
    measured = measurement(side=8, **WIDE)
    found = run(measured.problem, Step("lsqml", 60), positions=OFTEN, n_variations=1)
    varies = rms((found.shares[:, :1, None] * found.variations.reshape(1, 1, -1))[:, 0])
    assert varies < 0.03 * np.linalg.norm(found.probe)
    np.testing.assert_allclose(found.shares.mean(axis=0), 0.0, atol=1e-3)


def test_background_and_intensities_are_found(measurement: Callable[..., Any]) -> None:
    measured = measurement(side=15, **WIDE)
    count, n = len(measured.problem.frames), 64
    radius = np.hypot(*(np.indices((n, n)) - n // 2))
    background = 3.0 + 20.0 * np.exp(-0.5 * (radius / (n / 8)) ** 2)
    intensity = np.random.default_rng(1).normal(1.0, 0.1, count)
    intensity /= intensity.mean()
    planted = measured.again(intensity=intensity, background=background)
    found = run(planted.problem, positions=OFTEN, background=True, intensities=True)
    print(f"background: {found.background.sum() / background.sum():.3f} of the planted sum")
    assert found.background.sum() == pytest.approx(background.sum(), rel=BACKGROUND)
    assert np.sqrt(np.mean((found.intensity / intensity - 1.0) ** 2)) < INTENSITY
    blind = run(planted.problem, positions=OFTEN)
    assert found.residual < 0.8 * blind.residual
    assert measured.object_error(found) < 0.8 * measured.object_error(blind)


def test_a_background_of_bad_pixels_is_none(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    good = measured.problem.good.copy()
    good[20:23] = False
    planted = measured.again(background=5.0)
    found = run(replace(planted.problem, good=good), Step("lsqml", 20), positions=OFTEN, background=True)
    assert not found.background[20:23].any()
    assert (found.background >= 0.0).all()


@pytest.fixture(scope="module")
def displaced(measurement: Callable[..., Any]) -> tuple[Measurement, np.ndarray]:
    """A scan whose file has every position wrong by 3 px rms, with room around, and the true positions."""
    measured = measurement(side=11, **WIDE)
    room = 12
    problem = measured.problem
    wrong = np.random.default_rng(5).normal(size=problem.positions_px.shape)
    wrong -= wrong.mean(axis=0)
    wrong *= 3.0 / rms(wrong)
    shape = (problem.object_shape[0] + 2 * room, problem.object_shape[1] + 2 * room)
    true = problem.positions_px + room
    return replace(measured, problem=replace(problem, positions_px=true + wrong, object_shape=shape)), true


@pytest.mark.parametrize("method", ["gradient", "correlation"])
def test_wrong_positions_are_found(method: Any, displaced: tuple[Measurement, np.ndarray]) -> None:
    measured, true = displaced
    schedule = (Step("raar", 10), Step("lsqml", 100))
    found = run(measured.problem, *schedule, positions=PositionOptions(method=method))
    left = found.positions_px - true
    print(f"{method}: {rms(left - left.mean(axis=0)):.3f} px rms left of 3, residual {found.residual:.4f}")
    assert rms(left - left.mean(axis=0)) < POSITION_PX
    wrong = run(measured.problem, *schedule)
    assert found.residual < 0.7 * wrong.residual
    # What all corrections have in common is told.
    moves = found.positions_px - measured.problem.positions_px
    np.testing.assert_allclose(found.affine, linear_part(measured.problem.positions_px, moves)[1], atol=1e-3)


def test_a_scale_that_is_removed_is_still_told(displaced: tuple[Measurement, np.ndarray]) -> None:
    measured, _ = displaced
    found = run(
        measured.problem, Step("raar", 10), Step("lsqml", 50), positions=PositionOptions(linear="remove")
    )  # fmt: skip
    moves = found.positions_px - measured.problem.positions_px
    shift, matrix = linear_part(measured.problem.positions_px, moves)
    np.testing.assert_allclose(shift, 0.0, atol=1e-9)
    np.testing.assert_allclose(matrix, 0.0, atol=1e-9)
    assert np.abs(found.affine).max() > 0.0


@pytest.mark.parametrize(("method", "linear"), [("gradient", "keep"), ("gradient", "remove"), ("correlation", "keep")])
def test_positions_over_vacuum_do_not_wander(method: Any, linear: Any, measurement: Callable[..., Any]) -> None:
    measured = measurement(n=32, side=12, whole=False, hooded=True, counts=1e5)
    half = measured.object_.shape[1] // 2
    object_ = measured.object_.copy()
    object_[:, half:] = 1.0
    problem = measured.again(object_=object_).problem
    empty = problem.positions_px[:, 1] >= half
    assert empty.sum() > 15
    found = run(problem, positions=PositionOptions(method=method, linear=linear))
    assert rms((found.positions_px - problem.positions_px)[empty]) < EMPTY_PX
    assert rms((found.positions_px - problem.positions_px)[~empty]) < EMPTY_PX


def test_no_position_goes_farther_than_it_may(displaced: tuple[Measurement, np.ndarray]) -> None:
    measured, _ = displaced
    limit = 0.5
    options = PositionOptions(limit_px=limit, start=0.0, every=1)
    found = run(measured.problem, Step("lsqml", 20), positions=options)
    moves = found.positions_px - measured.problem.positions_px
    # The shift that all have in common is taken off after the limit: it may add to some.
    assert np.hypot(*moves.T).max() < 1.2 * limit


def test_shifts_that_chance_explains_are_none() -> None:
    # One position with a slope seen clearly, the same with a hundredth of it.
    clear = np.array([[4.0, 0.0, 4.0, 2.0, -1.0, 1.0]])
    np.testing.assert_allclose(shifts(clear, 4096), [[0.5, -0.25]], rtol=0.01)
    faint = clear * [1, 1, 1, 0.01, 0.01, 1]
    np.testing.assert_array_equal(shifts(faint, 4096), 0.0)


def test_principal_variations_are_the_same_variation() -> None:
    rng = np.random.default_rng(3)
    shares = rng.normal(size=(40, 3))
    patterns = (rng.normal(size=(3, 6, 5)) + 1j * rng.normal(size=(3, 6, 5))).astype(np.complex64)
    before = np.tensordot(shares, patterns, 1)
    rotated, found, mean = principal(shares, patterns)
    np.testing.assert_allclose(np.tensordot(rotated, found, 1) + mean, before, atol=1e-5)
    np.testing.assert_allclose((rotated**2).mean(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(rotated.mean(axis=0), 0.0, atol=1e-6)
    flat = found.reshape(3, -1).view(np.float32)
    gram = flat @ flat.T
    assert (np.diff(np.diag(gram)) <= 0.0).all()
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0.0, atol=1e-4 * gram[0, 0])


def test_the_defaults_look_for_positions_and_two_modes() -> None:
    recipe = Recipe()
    assert recipe.positions.refine
    assert recipe.model.n_modes == 2
    assert recipe.iterations <= 40


def test_a_limit_of_the_amplitude_that_binds_is_measured(measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    steps = Step("lsqml", 10), Step("rpie", 2)
    free, bound = (run(problem, *steps, amplitude_limit=limit) for limit in (1.3, 1.0))
    assert free.held_share < 0.01
    scanned = bound.illumination >= 0.1 * bound.illumination.max()
    held = np.abs(bound.object_[scanned]) > 0.9999
    assert bound.held_share == pytest.approx(held.mean(), abs=0.005)
    assert bound.held_share > 0.05  # vacuum lies at the limit, and noise beyond it
    assert run(problem, Step("lsqml", 2), amplitude_limit=0.0).held_share == 0.0
