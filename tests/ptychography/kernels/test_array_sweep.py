"""Passes in plain array code and the fused loops on the CPU say the same, in numpy and in an array library that is not.

Tolerances are shares of an array's largest number. Both sides work in float32, whose rounding is 6e-8.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stxmdist.arrays import namespace_of, numpy_of
from stxmdist.errors import InputError
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels import operators
from stxmdist.ptychography.kernels.array_sweep import ArraySweep
from stxmdist.ptychography.kernels.device_sweep import DeviceSweep, compiles
from stxmdist.ptychography.kernels.fourier import padded_copy
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions, State
from tests.ptychography.foreign import FOREIGN, Foreign
from tests.ptychography.kernels.host_kernels import COMPILER, HOST

SUMS = 1e-5
"""Sums of some thousand terms after two Fourier transforms each, by two libraries and in another order"""
DARK = 5e-5
"""The same where quotients by dim light take part: in Poisson likelihoods, and where each frame builds on the last"""
WHOLE = 2e-4
"""After seven iterations and some refinements, each of which builds on the rounding of the last"""
POSITION_PX = 2e-5
"""The same of positions, in pixels"""
CORRELATED_PX = 2e-3
"""Of peaks in single precision, where vertices of parabolas divide by small differences"""

SHAPE = (13, 17)
OBJECT = (37, 41)
COUNT = 11
INDEX = np.array([7, 2, 3, 9, 10, 0, 4])
NAMESPACES = {"numpy": np, "foreign": FOREIGN} | ({"kernels": HOST} if COMPILER else {})


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def awkward(modes: int, variations: int, whole: bool = False) -> tuple[Problem, State]:
    """Sizes are primes, some positions whole and some not, pixels bad, light uneven, and a background.

    With variations some counts are limits, too.
    """
    rng = np.random.default_rng(3)
    positions = rng.uniform(0, np.array(OBJECT) - np.array(SHAPE) - 1, (COUNT, 2))
    positions[:: 1 if whole else 4] = np.round(positions[:: 1 if whole else 4])
    hood = np.exp(-0.5 * (np.hypot(*(np.indices(SHAPE) - np.array(SHAPE)[:, None, None] // 2)) / 4.0) ** 2)
    probe = (6.0 * hood * complex_normal(rng, (modes, *SHAPE))).astype(np.complex64)
    object_ = 1.0 + 0.3 * complex_normal(rng, OBJECT)
    frames = rng.poisson(rng.uniform(2.0, 60.0, (COUNT, *SHAPE))).astype(np.uint16)
    problem = Problem(frames, rng.random(SHAPE) > 0.1, positions, probe, OBJECT)
    if variations:
        problem = replace(problem, at_least=np.random.default_rng(4).random(frames.shape) < 0.2)
    state = State(
        object_=object_,
        probe=padded_copy(probe),
        positions_px=positions,
        intensity=rng.uniform(0.7, 1.4, COUNT).astype(np.float32),
        background=rng.uniform(0.0, 3.0, SHAPE).astype(np.float32),
        variations=padded_copy((hood * complex_normal(rng, (variations, *SHAPE))).astype(np.complex64)),
        shares=rng.normal(size=(COUNT, variations)).astype(np.float32),
    )
    return problem, state


class Pair:
    """The same problem and state on both sides."""

    def __init__(
        self, namespace: Any, modes: int = 2, variations: int = 2, whole: bool = False, **options: Any
    ) -> None:
        problem, self.state = awkward(modes, variations, whole)
        self.fused = FusedSweep(problem, modes)
        kind = DeviceSweep if compiles(namespace) else ArraySweep
        self.arrays = kind(problem, 1, namespace, **options).with_modes(modes)
        self.other = self.state.copy()
        self.arrays.adopt(self.other)

    def there(self, values: np.ndarray) -> Any:
        return self.arrays.namespace.asarray(values)

    def same_state(self, share: float) -> None:
        close(self.other.object_, self.state.object_, share)
        close(self.other.probe, self.state.probe, share)


def close(found: Any, wanted: Any, share: float = SUMS) -> None:
    found, wanted = np.asarray(numpy_of(found)), np.asarray(wanted)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert np.abs(wanted).max(initial=0.0) > 0.0  # nothing is equal to nothing too
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=share * np.abs(wanted).max())


def same_sums(found: Any, wanted: Any, share: float) -> None:
    assert found.rows == wanted.rows
    for name in ("object_", "weight", "probe", "brightness"):
        close(getattr(found, name), getattr(wanted, name), share)
    assert (found.misfit, found.brightest) == pytest.approx((wanted.misfit, wanted.brightest), rel=share)


namespaces = pytest.mark.parametrize("namespace", NAMESPACES.values(), ids=NAMESPACES)
kinds = pytest.mark.parametrize(
    ("modes", "variations", "whole"), [(1, 0, True), (1, 0, False), (2, 0, False), (2, 2, False)]
)
uneven = pytest.mark.parametrize("budget", [2**30, 8 * 8 * 2 * 13 * 17 * 4], ids=["at once", "4, 4 and 3"])


def test_both_sweeps_offer_what_the_protocol_says() -> None:
    def offered(kind: type) -> dict[str, Any]:
        methods = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
        return {name: list(inspect.signature(getattr(m, "fget", m)).parameters) for name, m in methods.items()}

    assert offered(ArraySweep) == offered(FusedSweep) == offered(Sweep)
    pair = Pair(np)
    for name in ("frames", "good"):
        found, wanted = getattr(pair.arrays, name), getattr(pair.fused, name)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    for name in ("counts", "modes", "object_shape"):
        assert getattr(pair.arrays, name) == getattr(pair.fused, name)


@namespaces
@uneven
@kinds
@pytest.mark.parametrize("poisson", [False, True])
def test_gradients(namespace: Any, modes: int, variations: int, whole: bool, poisson: bool, budget: int) -> None:
    pair = Pair(namespace, modes, variations, whole, budget=budget)
    found, wanted = (s.gradients(x, INDEX, poisson=poisson) for s, x in pair_of(pair))
    same_sums(found, wanted, DARK if poisson else SUMS)


def pair_of(pair: Pair) -> list[tuple[Any, State]]:
    return [(pair.arrays, pair.other), (pair.fused, pair.state)]


@namespaces
@uneven
@kinds
@pytest.mark.parametrize("beta", [0.75, 1.0])
def test_projections(namespace: Any, modes: int, variations: int, whole: bool, beta: float, budget: int) -> None:
    pair = Pair(namespace, modes, variations, whole, budget=budget)
    here, there = pair.fused.waves(pair.state), pair.arrays.waves(pair.other)
    close(there, here)
    for _ in range(2):
        found, wanted = pair.arrays.projections(pair.other, there, beta), pair.fused.projections(pair.state, here, beta)
        same_sums(found, wanted, DARK)
        close(there, here, DARK)


@namespaces
def test_the_object_moves(namespace: Any) -> None:
    pair = Pair(namespace)
    rng = np.random.default_rng(8)
    run = complex_normal(rng, OBJECT)
    other = pair.there(run.copy())
    found, wanted = (s.object_direction(s.gradients(x, INDEX), 0.1) for s, x in pair_of(pair))
    close(found.values, wanted.values)
    close(found.whole(OBJECT), wanted.whole(OBJECT))
    assert (found.right, found.own) == pytest.approx((wanted.right, wanted.own), rel=SUMS)
    pair.fused.move_object(pair.state, run, wanted, 0.7, 0.4)
    pair.arrays.move_object(pair.other, other, found, 0.7, 0.4)
    close(other, run)
    pair.same_state(SUMS)


@namespaces
@uneven
@kinds
def test_observations(namespace: Any, modes: int, variations: int, whole: bool, budget: int) -> None:
    pair = Pair(namespace, modes, variations, whole, budget=budget)
    sketch = np.random.default_rng(2).normal(size=(COUNT, variations)).astype(np.float32)
    found, wanted = (s.observe(x, sketch) for s, x in pair_of(pair))
    for column in range(6):
        close(found.normal[:, column], wanted.normal[:, column])
    for name in ("expected_counts", "measured_counts", "certainty"):
        close(getattr(found, name), getattr(wanted, name))
    close(found.surplus * pair.fused.good, wanted.surplus * pair.fused.good)
    if variations:
        close(found.brightness, wanted.brightness)
        close(found.gathered, wanted.gathered)
        for column in range(2 * variations):
            close(found.variation[:, column], wanted.variation[:, column])
    assert found.misfit == pytest.approx(wanted.misfit, rel=SUMS)


@namespaces
@uneven
@kinds
@pytest.mark.parametrize("poisson", [False, True])
def test_derivatives_along_a_change(
    namespace: Any, modes: int, variations: int, whole: bool, poisson: bool, budget: int
) -> None:
    pair = Pair(namespace, modes, variations, whole, budget=budget)
    rng = np.random.default_rng(6)
    changes = complex_normal(rng, OBJECT), padded_copy(complex_normal(rng, (modes, *SHAPE)))
    found = pair.arrays.search(pair.other, *map(pair.there, changes), poisson=poisson)
    assert found == pytest.approx(pair.fused.search(pair.state, *changes, poisson=poisson), rel=DARK)


@namespaces
@uneven
@kinds
def test_coupling(namespace: Any, modes: int, variations: int, whole: bool, budget: int) -> None:
    pair = Pair(namespace, modes, variations, whole, budget=budget)
    change = padded_copy(complex_normal(np.random.default_rng(6), (modes, *SHAPE)))
    directions = [s.object_direction(s.gradients(x, INDEX), 0.1) for s, x in pair_of(pair)]
    found = pair.arrays.coupling(pair.other, INDEX[::2], directions[0], pair.there(change))
    assert found == pytest.approx(pair.fused.coupling(pair.state, INDEX[::2], directions[1], change), rel=DARK)


@namespaces
@kinds
@pytest.mark.parametrize("steps", [(0.9, 1.0, 0.3, 1.0), (0.7, 0.3, 0.2, 0.4), (0.9, 0.5, 0.0, 1.0)])
def test_pattern_after_pattern(
    namespace: Any, modes: int, variations: int, whole: bool, steps: tuple[float, float, float, float]
) -> None:
    pair = Pair(namespace, modes, variations, whole)
    found, wanted = (s.one_by_one(x, INDEX, steps) for s, x in pair_of(pair))
    assert found == pytest.approx(wanted, rel=DARK)
    pair.same_state(DARK)
    assert pair.arrays.misfit(pair.other) == pytest.approx(pair.fused.misfit(pair.state), rel=DARK)


@namespaces
@kinds
def test_correlation(namespace: Any, modes: int, variations: int, whole: bool) -> None:
    pair = Pair(namespace, modes, variations, whole)
    found, wanted = (s.correlate(x, 4.0) for s, x in pair_of(pair))
    np.testing.assert_allclose(found, wanted, atol=CORRELATED_PX)


@namespaces
def test_windows_and_their_adjoint(namespace: Any) -> None:
    rng = np.random.default_rng(4)
    corners = rng.integers(0, np.array(OBJECT) - np.array(SHAPE) + 1, (9, 2)).astype(np.int32)
    object_, values = complex_normal(rng, OBJECT), complex_normal(rng, (9, *SHAPE))
    found = numpy_of(operators.windows(namespace.asarray(object_), corners, SHAPE))
    np.testing.assert_array_equal(found, [operators.window(object_, corner, SHAPE) for corner in corners])
    total = namespace.asarray(np.zeros(OBJECT, np.complex64))
    operators.add_windows(total, namespace.asarray(values), corners)
    close(total, sum(operators.window_adjoint(v, c, OBJECT) for v, c in zip(values, corners, strict=True)))


def test_cupy_adds_complex_numbers_as_two_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    corners = rng.integers(0, np.array(OBJECT) - np.array(SHAPE) + 1, (9, 2)).astype(np.int32)
    cupyx = ModuleType("cupyx")
    cupyx.scatter_add = np.add.at  # what cupy says it does
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    for values in (complex_normal(rng, (9, *SHAPE)), rng.normal(size=(9, *SHAPE)).astype(np.float32)):
        wanted, found = np.zeros(OBJECT, values.dtype), np.zeros(OBJECT, values.dtype)
        operators.add_windows(wanted, values, corners)
        with monkeypatch.context() as patch:
            named = SimpleNamespace(__name__="cupy", asarray=np.asarray, arange=np.arange)
            patch.setattr(operators, "namespace_of", lambda _, named=named: named)
            operators.add_windows(found, values, corners)
        close(found, wanted)


def reconstructed(made: Any, engine: str, namespace: Any, batch: int) -> Reconstruction:
    batch = 7 if ENGINES[engine].steps_after == "batch" else batch
    schedule = (Step(engine, 4, {"batch": batch} if batch else {}), Step("lsqml", 3, {"batch": 7}))
    model = ModelOptions(n_modes=2, n_variations=1, intensities=True, background=True, amplitude_limit=1.05)
    recipe = Recipe(schedule, model, PositionOptions(start=0.3, limit_px=2.0))
    return reconstruct(made.problem, recipe, np.random.default_rng(5), namespace=namespace)


@pytest.mark.parametrize(
    ("engine", "batch"),
    [
        (name, batch)
        for name, entry in ENGINES.items()
        for batch in ((0, 5) if entry.steps_after == "pattern" else (0,))
    ],
)
def test_every_engine_finds_the_same(engine: str, batch: int, measurement: Callable[..., Any]) -> None:
    made = measurement(n=23, side=4, modes=2, counts=3e4, whole=False, hooded=True)
    made.problem.good[:2, 5] = False
    wanted = reconstructed(made, engine, None, batch)
    for namespace in NAMESPACES.values():
        found = reconstructed(made, engine, namespace, batch)
        assert found.stopped == wanted.stopped == "finished"
        for name in ("object_", "probe", "intensity", "background", "variations", "error"):
            close(getattr(found, name), getattr(wanted, name), WHOLE)
        np.testing.assert_allclose(found.positions_px, wanted.positions_px, atol=POSITION_PX)
        assert found.residual == pytest.approx(wanted.residual, rel=WHOLE)


@pytest.mark.parametrize("trouble", ["absent", "no device", "no driver"])
def test_without_a_gpu_the_cpu_does_it(
    trouble: str, monkeypatch: pytest.MonkeyPatch, measurement: Callable[..., Any]
) -> None:
    def count() -> int:
        if trouble == "no driver":
            raise RuntimeError("cudaErrorInsufficientDriver")
        return 0

    cupy = None if trouble == "absent" else SimpleNamespace(
        cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count))
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    made = measurement(n=16, side=3)
    recipe = Recipe((Step("lsqml", 2),), ModelOptions(n_modes=1))
    wanted = reconstruct(made.problem, recipe, np.random.default_rng(5))
    with pytest.warns(UserWarning, match="reconstructing on the CPU instead"):
        found = reconstruct(made.problem, recipe, np.random.default_rng(5), namespace="cupy")
    np.testing.assert_array_equal(found.object_, wanted.object_)


def test_an_array_library_that_is_not_known_is_refused(measurement: Callable[..., Any]) -> None:
    recipe = Recipe((Step("lsqml", 2),), ModelOptions(n_modes=1))
    with pytest.raises(InputError, match="array library"):
        reconstruct(measurement(n=16, side=3).problem, recipe, np.random.default_rng(5), namespace="torch")


def test_foreign_arrays_do_not_mix_with_numpy() -> None:
    array = Foreign(np.ones(3, np.float32))
    assert namespace_of(array) is FOREIGN
    for mixed in (lambda: array * np.ones(3), lambda: np.ones(3) * array, lambda: np.float32(2) * array):
        with pytest.raises(TypeError):
            mixed()
    with pytest.raises(TypeError):
        np.sqrt(array)
    assert numpy_of(array).tolist() == [1.0, 1.0, 1.0]


def test_older_cupy_arrays_are_known_by_where_their_class_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    array = type("ndarray", (), {"__module__": "cupy._core.core", "get": lambda self: np.arange(3)})()
    assert namespace_of(array) is sys.modules["cupy"]
    np.testing.assert_array_equal(numpy_of(array), np.arange(3))
