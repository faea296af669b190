"""Every engine of the table against planted truth, noise, masks and bad starts; its entry says what is asked of it."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.engines.lsqml import LeastSquaresOptions
from stxmdist.ptychography.engines.mlcg import ConjugateGradientOptions
from stxmdist.ptychography.engines.pie import PieOptions
from stxmdist.ptychography.engines.projections import ProjectionOptions
from stxmdist.ptychography.probe import scaled_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.trials import TrialOptions
from tests.ptychography.conftest import FIXED, run

LARGER = {"n": 48, "defocus_um": 7.0, "side": 8, "step": 5.0, "hooded": True}
DECADE = 0.25
"""By how much the object error's fall per decade of counts may differ from sqrt(10): single photons in dark pixels say
less than many, and what they leave open stays at vacuum."""

MANY_ROUNDS = "epie"
"""Of the engines that step after each pattern, the one that takes longest to converge"""
AFTER_PATTERNS = [name for name, entry in ENGINES.items() if entry.steps_after == "pattern"]
IN_DRAWN_ORDER = [name for name, entry in ENGINES.items() if entry.steps_after != "pass"]


def converging(name: str) -> Step:
    """Enough iterations of an engine for frames without noise."""
    noiseless = ENGINES[name].noiseless
    return Step(name, noiseless.iterations, noiseless.options)


def every_array(found: Reconstruction) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in vars(found).items() if name != "stopped"}


def assert_same_bits(one: Reconstruction, other: Reconstruction) -> None:
    for name, value in every_array(one).items():
        np.testing.assert_array_equal(value, every_array(other)[name], err_msg=name)
    assert one.stopped == other.stopped


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_of_the_table_lowers_the_error_and_keeps_its_promises(
    name: str, measurement: Callable[..., Any]
) -> None:
    measured = measurement(counts=1e5, modes=2)
    found = run(measured.problem, Step(name, 30), n_modes=2)
    assert found.stopped == "finished"
    assert found.error.shape == (30,)
    assert found.residual < 0.3 * found.error[0]
    if ENGINES[name].comparable:
        assert found.residual < found.error[-1] < 0.3 * found.error[0]
    assert found.object_.dtype == found.probe.dtype == np.complex64
    assert found.object_.shape == measured.problem.object_shape
    np.testing.assert_array_equal(found.positions_px, measured.problem.positions_px)
    assert found.mode_power.sum() == pytest.approx(1.0)
    overlap = np.vdot(found.probe[0], found.probe[1])
    assert abs(overlap) < 1e-4 * np.linalg.norm(found.probe[0]) * np.linalg.norm(found.probe[1])
    assert found.mode_power[0] > found.mode_power[1]
    # What was not looked for is nothing.
    np.testing.assert_array_equal(found.intensity, 1.0)
    assert not found.background.any()
    assert found.variations.shape == (0, *measured.problem.good.shape)
    assert found.shares.shape == (len(measured.problem.frames), 0)
    np.testing.assert_array_equal(found.affine, 0.0)


@pytest.mark.parametrize("name", ENGINES)
def test_noiseless_frames_give_the_object_back(name: str, measurement: Callable[..., Any]) -> None:
    measured = measurement(defocus_error=0.1)
    found = run(measured.problem, converging(name))
    assert found.stopped == "finished"
    print(f"{name}: object error {measured.object_error(found):.1e} without noise")
    assert measured.object_error(found) < ENGINES[name].noiseless.object_error


@pytest.mark.parametrize("name", IN_DRAWN_ORDER)
def test_an_engine_that_draws_an_order_has_batches(name: str) -> None:
    assert ENGINES[name].batches


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == MANY_ROUNDS else ()) for name in AFTER_PATTERNS]
)
def test_batches_give_the_object_back_too(name: str, measurement: Callable[..., Any]) -> None:
    measured = measurement(defocus_error=0.1)
    step = converging(name)
    found = run(measured.problem, Step(name, 3 * step.iterations, {**step.options, "batch": 9}))
    print(f"{name} in batches: object error {measured.object_error(found):.1e} without noise")
    assert measured.object_error(found) < ENGINES[name].noiseless.object_error
    one, two = (run(measured.problem, Step(name, 5, {"batch": 20}), threads=threads) for threads in (1, 2))
    assert_same_bits(one, two)


@pytest.mark.long
def test_positions_between_pixels_are_meant(measurement: Callable[..., Any]) -> None:
    measured = measurement(whole=False, **LARGER)
    step = Step("rpie", 200, {"final_step": 1.0, "object_alpha": 0.1})
    moved = run(measured.problem, step)
    rounded = run(measured.problem, step, sub_pixel=False)
    assert measured.object_error(moved) < 3e-3
    assert moved.residual < 0.2 * rounded.residual
    assert measured.object_error(moved) < 0.2 * measured.object_error(rounded)


@pytest.mark.parametrize("name", ["rpie", "lsqml"])
def test_light_of_a_wide_aperture_is_kept_between_pixels(name: str, measurement: Callable[..., Any]) -> None:
    # Up to .43 cycles a pixel: a shift that loses light there is worse than positions on whole pixels.
    measured = measurement(
        whole=False, outer_zone_nm=11.5, n=48, defocus_um=0.5, side=8, step=5.0, hooded=True, counts=1e6
    )
    moved = run(measured.problem, Step(name, 40))
    rounded = run(measured.problem, Step(name, 40), sub_pixel=False)
    assert moved.residual < 0.97 * rounded.residual
    assert measured.object_error(moved) < 0.98 * measured.object_error(rounded)


@pytest.mark.long
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_means_positions_between_pixels(name: str, measurement: Callable[..., Any]) -> None:
    measured = measurement(whole=False, **LARGER)
    step = Step(name, 60 if ENGINES[name].comparable else 150)
    moved = run(measured.problem, step)
    rounded = run(measured.problem, step, sub_pixel=False)
    assert moved.residual < 0.6 * rounded.residual
    assert measured.object_error(moved) < measured.object_error(rounded)


def test_noise_of_the_object_falls_with_counts(measurement: Callable[..., Any]) -> None:
    errors = []
    for counts in (1e4, 1e5, 1e6):
        measured = measurement(counts=counts)
        errors.append(measured.object_error(run(measured.problem, Step("rpie", 100), probe_from=0.05)))
    # 1/sqrt(10) = 0.32 each time; convergence, which does not know of counts, has a part too.
    assert errors[1] / errors[0] < 0.45
    assert errors[2] / errors[1] < 0.5


@pytest.mark.long
@pytest.mark.parametrize(
    "schedule", [(Step("ml", 300),), (Step("raar", 30), Step("lsqml", 150))], ids=["ml", "raar, lsqml"]
)
def test_noise_of_the_object_falls_as_the_root_of_counts(
    schedule: tuple[Step, ...], measurement: Callable[..., Any]
) -> None:
    # An aperture that fills most of the detector: elsewhere few photons come, whose noise is another's.
    errors = []
    for counts in (1e4, 1e5, 1e6, 1e7):
        measured = measurement(counts=counts, outer_zone_nm=20.0, defocus_um=1.0)
        errors.append(measured.object_error(run(measured.problem, *schedule)))
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    print(f"{schedule[-1].engine}: error falls by {np.round(ratios, 2)} per decade of counts; sqrt 10 is 3.16")
    np.testing.assert_allclose(ratios, np.sqrt(10.0), rtol=DECADE)


def test_bad_pixels_do_not_matter(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e6)
    problem: Problem = measured.problem
    good = problem.good.copy()
    good[np.random.default_rng(1).random(good.shape) < 0.05] = False
    good[18] = False
    spoiled = problem.frames.copy()
    spoiled[:, ~good] = 60000
    step = Step("rpie", 60)
    whole = measured.object_error(run(problem, step))
    masked = measured.object_error(run(replace(problem, frames=spoiled, good=good), step))
    ignored = measured.object_error(run(replace(problem, frames=spoiled), step))
    assert masked < 1.7 * whole
    assert ignored > 5 * masked


@pytest.mark.parametrize("name", ENGINES)
def test_values_under_the_mask_change_nothing_at_all(name: str, measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5, side=5).problem
    good = problem.good.copy()
    good[3:5, 7] = False
    results = []
    for value in (0.0, np.nan, 1e9, -5.0):
        frames = problem.frames.astype(np.float32)
        frames[:, 3:5, 7] = value
        spoiled = replace(problem, frames=frames, good=good)
        results.append(run(spoiled, Step(name, 4), n_modes=2, background=True, intensities=True))
    for other in results[1:]:
        assert_same_bits(results[0], other)


# Engines that step once in a pass are not settled after 30: they have grown the rounding of the start.
@pytest.mark.parametrize("name", IN_DRAWN_ORDER)
def test_vacuum_has_amplitude_one_however_bright_the_start(name: str, measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    objects = []
    for factor in (1.0, 1e-3):
        problem = replace(measured.problem, probe=measured.problem.probe * np.float32(factor))
        objects.append(run(problem, Step(name, 30)))
    np.testing.assert_allclose(objects[0].object_, objects[1].object_, atol=2e-3)


@pytest.mark.parametrize("name", ENGINES)
def test_the_probe_has_the_power_of_vacuum_frames(name: str, measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    found = run(problem, Step(name, 10))
    power = float((np.abs(found.probe) ** 2).sum())
    assert power == pytest.approx(np.quantile(problem.frames.sum(axis=(1, 2)), 0.95), rel=1e-4)


def test_a_divergence_stops_and_the_best_state_comes_back(measurement: Callable[..., Any]) -> None:
    # Steps far too long, and nothing that holds them: no limit to the amplitude, power left to itself.
    measured = measurement(counts=1e5)
    options = {"object_alpha": 0.003, "object_step": 2.0, "probe_step": 2.0, "probe_alpha": 0.003, "final_step": 1.0}
    found = run(
        measured.problem, Step("rpie", 60, options), probe_from=8 / 60, amplitude_limit=0.0, keep_power=False
    )  # fmt: skip
    assert found.stopped in ("diverged", "not finite")
    assert len(found.error) < 60
    best = float(np.nanmin(found.error))
    assert found.residual < 1.5 * best
    assert np.isfinite(found.object_).all()


def test_after_a_step_that_was_too_long_the_state_before_it_comes_back(measurement: Callable[..., Any]) -> None:
    # From this start the first step of the Poisson likelihood more than doubles the error.
    problem = measurement(counts=1e5, whole=False, side=5).problem
    object0 = np.full(problem.object_shape, 0.9 + 0.1j, np.complex64)
    found = run(replace(problem, object0=object0), Step("ml", 20))
    assert found.residual < 1.5 * found.error.min()


@pytest.mark.long
def test_modes_that_join_are_no_divergence(measurement: Callable[..., Any]) -> None:
    # With 5 % of the power in a mode that nothing knows of yet the misfit rises by more than a divergence would.
    found = run(measurement(modes=2).problem, Step("lsqml", 200, {"final_step": 1.0}), n_modes=2)
    assert found.stopped == "finished"


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_not_finite_stops(name: str, measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    object0 = np.ones(problem.object_shape, np.complex64)
    object0[30, 30] = np.nan
    with np.errstate(invalid="ignore"):
        found = run(replace(problem, object0=object0), Step(name, 5))
    assert found.stopped == "not finite"
    assert len(found.error) == 1


def test_illumination_is_where_the_beam_was(measurement: Callable[..., Any]) -> None:
    measured = measurement(counts=1e5)
    found = run(measured.problem, Step("epie", 5))
    power = float((np.abs(found.probe) ** 2).sum())
    assert found.illumination.sum(dtype=np.float64) == pytest.approx(power * len(measured.problem.frames), rel=1e-4)
    assert found.illumination[-1, -1] == 0.0


@pytest.mark.parametrize("name", ENGINES)
def test_one_seed_one_result_and_integers_are_what_floats_are(name: str, measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    first, again = (run(problem, Step(name, 4), n_modes=2, seed=3) for _ in range(2))
    floats = run(replace(problem, frames=problem.frames.astype(np.float64)), Step(name, 4), n_modes=2, seed=3)
    assert_same_bits(first, again)
    np.testing.assert_allclose(first.object_, floats.object_, atol=1e-5)


@pytest.mark.parametrize("name", IN_DRAWN_ORDER)
def test_another_seed_is_another_order(name: str, measurement: Callable[..., Any]) -> None:
    problem = measurement(counts=1e5).problem
    first, other = (run(problem, Step(name, 4), n_modes=2, seed=seed) for seed in (3, 4))
    assert np.abs(first.object_ - other.object_).max() > 1e-4


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("count", [1, 2, 17, 79])
def test_threads_change_nothing_not_even_the_last_bit(name: str, count: int, measurement: Callable[..., Any]) -> None:
    # Numbers that neither lanes nor groups divide; 17 is one more than two full groups of eight.
    problem = measurement(counts=1e5, whole=False, side=9).problem.subset(np.arange(count))
    moving = PositionOptions(start=0.0, every=1)
    options = {"batch": 30} if ENGINES[name].steps_after == "batch" else {}
    one, two = (
        run(
            problem, Step(name, 4, options), n_modes=2, positions=moving,
            threads=threads, n_variations=1, intensities=True, background=True,
        )
        for threads in (1, 2)
    )  # fmt: skip
    assert_same_bits(one, two)
    assert np.isfinite(one.object_).all()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("unknown", [{}, {"n_variations": 1, "background": True, "intensities": True}], ids=str)
def test_what_is_frozen_stays_to_the_last_bit(
    name: str, unknown: dict[str, Any], measurement: Callable[..., Any]
) -> None:
    measured = measurement(counts=1e5, whole=False, side=5)
    object0 = (0.2 + 0.8 * measured.object_).astype(np.complex64)
    problem = replace(measured.problem, object0=object0)
    moving = PositionOptions(start=0.0, every=1)
    held = run(problem, Step(name, 6), freeze_object=True, positions=moving, **unknown)
    np.testing.assert_array_equal(held.object_, object0)
    assert np.abs(held.probe - scaled_probe(problem, problem.probe)).max() > 0.0

    seen: list[np.ndarray] = []
    recipe = Recipe((Step(name, 6),), ModelOptions(n_modes=1, freeze_probe=True, **unknown), moving)
    found = reconstruct(
        problem, recipe, np.random.default_rng(0), watch=lambda _, state: seen.append(np.array(state.probe))
    )  # fmt: skip
    assert len(seen) == 6
    start = scaled_probe(problem, problem.probe)
    np.testing.assert_allclose(found.probe, start, atol=1e-6 * np.abs(start).max())
    for later in seen[1:]:
        np.testing.assert_array_equal(later, seen[0])
    assert np.abs(found.object_ - object0).max() > 0.0

    still = run(problem, Step(name, 6), positions=FIXED, **unknown)
    np.testing.assert_array_equal(still.positions_px, problem.positions_px)


WITHOUT_SENSE: list[tuple[type, dict[str, Any]]] = [
    *((PieOptions, wrong) for wrong in (
        {"object_step": 0.0}, {"probe_step": -1.0}, {"object_alpha": 0.0}, {"probe_alpha": 2.0}, {"final_step": 0.0},
        {"momentum": 1.0}, {"object_step": float("nan")},
    )),
    *((ProjectionOptions, wrong) for wrong in ({"beta": 0.3}, {"beta": 1.1}, {"damping": 0.0}, {"damping": 1.0})),
    *((LeastSquaresOptions, wrong) for wrong in (
        {"batch": 0}, {"object_step": 0.0}, {"probe_step": 2.5}, {"final_step": 1.5}, {"damping": 0.0},
        {"momentum": 1.0}, {"noise": "white"},
    )),
    *((ConjugateGradientOptions, wrong) for wrong in ({"damping": 1.0}, {"noise": "white"})),
    *((ModelOptions, wrong) for wrong in (
        {"n_modes": 0}, {"n_modes": 17}, {"second_mode_power": 1.0}, {"modes_from": 1.0}, {"probe_from": -0.1},
        {"n_variations": -1}, {"background_smooth_px": -1.0}, {"amplitude_limit": 0.5}, {"divergence": 1.0},
    )),
    *((PositionOptions, wrong) for wrong in (
        {"start": 1.0}, {"every": 0}, {"step_limit_px": 0.0}, {"limit_px": 0.0}, {"limit_px": 101.0},
        {"momentum": 1.0}, {"linear": "forget"},
    )),
    *((TrialOptions, wrong) for wrong in (
        {"positions": 8}, {"iterations": 2}, {"phase_step_rad": 0.0}, {"widest": 1.5}
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "wrong"), WITHOUT_SENSE, ids=[f"{kind.__name__} {next(iter(wrong))}" for kind, wrong in WITHOUT_SENSE]
)
def test_options_without_sense_are_refused(kind: type, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        kind(**wrong)


def test_steps_and_schedules_without_sense_are_refused() -> None:
    with pytest.raises(InputError, match="iterations"):
        Step("epie", 0)
    with pytest.raises(InputError, match="schedule"):
        Recipe(())
    with pytest.raises(InputError, match="Did you mean 'epie'"):
        Step("epi", 3)


@pytest.mark.parametrize("name", ENGINES)
def test_unknown_options_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match="bat_size"):
        Step(name, 3, {"bat_size": 4})
    options = fields(ENGINES[name].options.load())
    first = next(option.name for option in options if isinstance(option.default, float))
    with pytest.raises(InputError, match=first):
        Step(name, 3, {first: -7.0})
