"""Every operator has its adjoint, and the fused kernels compute what the operators say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stxmdist.ptychography.kernels import interpolation, modulus, object_steps, operators, sums, waves
from stxmdist.ptychography.kernels.fourier import PAD, PAD_ROWS, inside, padded_copy
from stxmdist.ptychography.kernels.interpolation import BEFORE
from stxmdist.ptychography.kernels.layout import Detector

SHAPE = (13, 17)  # primes: no size that happens to fit
OBJECT = (31, 29)
CORNER = (7, 5)
FRACTION = np.array([0.37, 0.82])
DOUBLE = 1e-12
SINGLE = 2e-5
"""float32 sums of some hundred terms of order one"""


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.complex128) -> Any:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


WY, WX = interpolation.shift_weights(FRACTION).astype(np.float64)
BACK_Y, BACK_X = interpolation.back_weights(FRACTION).astype(np.float64)
rng_ = np.random.default_rng(1)
PROBE = complex_normal(rng_, (2, *SHAPE))
WINDOW = complex_normal(rng_, SHAPE)
MODES = (2, *SHAPE)
ROOMY = (2, *(count + interpolation.TAPS - 1 for count in SHAPE))  # of coefficients

PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "window": (
        lambda o: operators.window(o, CORNER, SHAPE),
        lambda v: operators.window_adjoint(v, CORNER, OBJECT),
        OBJECT,
        SHAPE,
    ),
    "exit waves of the object": (
        lambda o: operators.exit_waves(o, PROBE),
        lambda v: operators.object_adjoint(v, PROBE),
        SHAPE,
        MODES,
    ),
    "exit waves of the probe": (
        lambda p: operators.exit_waves(WINDOW, p),
        lambda v: operators.probe_adjoint(v, WINDOW),
        MODES,
        MODES,
    ),
    "far field": (operators.propagate, operators.propagate_adjoint, MODES, MODES),
    "sub-pixel shift": (
        lambda p: operators.shift_probe(p, WY, WX),
        lambda v: operators.shift_probe_adjoint(v, WY, WX),
        MODES,
        MODES,
    ),
    "coefficients": (operators.coefficients, operators.coefficients_adjoint, MODES, ROOMY),
    "interpolation": (
        lambda c: operators.interpolate(c, WY, WX),
        lambda v: operators.interpolate_adjoint(v, WY, WX),
        ROOMY,
        MODES,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_operator_has_its_adjoint(name: str) -> None:
    forward, adjoint, domain, image = PAIRS[name]
    rng = np.random.default_rng(5)
    x, y = complex_normal(rng, domain), complex_normal(rng, image)
    left, right = np.vdot(y, forward(x)), np.vdot(adjoint(y), x)
    assert left == pytest.approx(right, rel=DOUBLE)
    assert abs(left) > 1e-3  # nothing is equal to nothing too


def test_the_far_field_keeps_power_and_comes_back() -> None:
    before = complex_normal(np.random.default_rng(2), MODES)
    field = operators.propagate(before)
    assert np.linalg.norm(field) == pytest.approx(np.linalg.norm(before), rel=DOUBLE)
    np.testing.assert_allclose(operators.propagate_adjoint(field), before, atol=1e-12)


def test_positions_split_into_whole_and_fraction() -> None:
    corners, fractions = operators.split_positions(np.array([[3.0, 4.25], [2.9999999, -0.5], [7.00001, 1.99]]))
    np.testing.assert_array_equal(corners, [[3, 4], [3, -1], [7, 1]])
    np.testing.assert_allclose(fractions, [[0.0, 0.25], [0.0, 0.5], [0.0, 0.99]])


def test_pads_written_out_in_the_kernels_are_those_of_the_transforms() -> None:
    for loops in (interpolation, modulus, sums, waves):
        assert (loops._EDGE, loops._ROWS) == (2 * PAD, PAD_ROWS)
    assert (interpolation.TAPS, interpolation.BACK_TAPS) == (6, 4)  # written out in the loops, point by point


class Fused:
    """The arrays that the kernels want, around random object, probe and frame."""

    def __init__(self, modes: int, moved: bool = False, seed: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.object_ = complex_normal(rng, OBJECT, np.complex64)
        self.moved = moved
        self.probe = complex_normal(rng, (modes, *(ROOMY[1:] if moved else SHAPE)), np.complex64)
        self.frame = rng.poisson(30.0, SHAPE).astype(np.uint16)
        self.good = rng.random(SHAPE) > 0.1
        self.padded = padded_copy(np.zeros((modes, *SHAPE), np.complex64))
        self.lit[...] = self.probe
        self.psi, self.shifted = np.zeros_like(self.padded), np.zeros_like(self.padded)
        self.between = np.zeros((2, 2 * self.padded.shape[2] + 32), np.float32)
        self.lines = np.zeros((4, 2 * SHAPE[1]), np.float32)

    @property
    def lit(self) -> np.ndarray:
        """The part of padded memory where the probe lies, or its coefficients."""
        rows, columns = self.probe.shape[1:]
        top, left = (PAD_ROWS - BEFORE, PAD - BEFORE) if self.moved else (PAD_ROWS, PAD)
        return self.padded[:, top : top + rows, left : left + columns]

    def exit_waves(self) -> np.ndarray:
        wy, wx = WY.astype(np.float32), WX.astype(np.float32)
        waves.exit_waves(
            *(a.view(np.float32) for a in (self.object_, self.padded, self.shifted)), *CORNER, wy, wx,
            self.moved, self.between, self.lines, self.psi.view(np.float32),
        )  # fmt: skip
        return inside(self.psi)

    def update(self, steps: np.ndarray) -> None:
        wy, wx = BACK_Y.astype(np.float32), BACK_X.astype(np.float32)
        waves.update(
            *(a.view(np.float32) for a in (self.object_, self.padded, self.shifted, self.psi)), *CORNER, wy, wx,
            self.moved, self.between, self.lines, steps,
        )  # fmt: skip


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("moved", [False, True])
def test_fused_exit_waves(modes: int, moved: bool) -> None:
    fused = Fused(modes, moved)
    found = fused.exit_waves().copy()
    window = operators.window(fused.object_, CORNER, SHAPE)
    light = operators.interpolate(fused.probe, WY, WX) if moved else fused.probe
    np.testing.assert_allclose(found, operators.exit_waves(window, light), atol=SINGLE * 10)
    assert fused.lines[3, 0] == pytest.approx((np.abs(window) ** 2).max(), rel=SINGLE)


@pytest.mark.parametrize("modes", [1, 3])
def test_fused_modulus(modes: int) -> None:
    fused = Fused(modes)
    field = complex_normal(np.random.default_rng(8), (modes, *SHAPE), np.complex64)
    pixels = SHAPE[0] * SHAPE[1]
    inside(fused.psi)[...] = field * np.sqrt(pixels)  # as a transform without normalisation leaves it
    background, gain = np.zeros(SHAPE, np.float32), np.ones(1, np.float32)
    detector = Detector(fused.frame[None], fused.good.astype(np.float32), background, gain)
    residual = modulus.modulus(fused.psi.view(np.float32), *detector, 0, False, fused.lines)
    wanted = operators.modulus(field, fused.frame, fused.good)
    np.testing.assert_allclose(inside(fused.psi) * np.sqrt(pixels), wanted, atol=SINGLE * 10)
    amplitude = np.sqrt((np.abs(field) ** 2).sum(axis=0))
    assert residual == pytest.approx((((amplitude - np.sqrt(fused.frame)) ** 2)[fused.good]).sum(), rel=1e-4)


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("poisson", [False, True])
def test_fused_modulus_of_several_frames_with_background_and_gain(modes: int, poisson: bool) -> None:
    rng = np.random.default_rng(8)
    order = [0, 3, 1]
    field = complex_normal(rng, (3, modes, *SHAPE), np.complex64)
    frames = rng.poisson(3.0, (5, *SHAPE)).astype(np.uint16)
    good, back = rng.random(SHAPE) > 0.1, rng.uniform(0.0, 2.0, SHAPE).astype(np.float32)
    gain = rng.uniform(0.5, 2.0, 5).astype(np.float32)
    pixels = SHAPE[0] * SHAPE[1]
    psi = [padded_copy((one * np.sqrt(pixels)).astype(np.complex64)) for one in field]
    detector = Detector(frames, good.astype(np.float32), back, gain)
    lines = np.zeros((4, 2 * SHAPE[1]), np.float32)
    misfit = sum(
        modulus.modulus(one.view(np.float32), *detector, position, poisson, lines)
        for one, position in zip(psi, order, strict=True)
    )
    level = gain[order, None, None].astype(np.float64)
    expected = (np.abs(field.astype(np.complex128)) ** 2).sum(axis=1) + back * level
    measured = frames[order] * level
    wanted = (good * (np.sqrt(expected) - np.sqrt(measured)) ** 2 / level).sum()
    assert misfit == pytest.approx(wanted, rel=1e-4)
    ratio = np.sqrt(measured / expected)
    likely = np.where(ratio < 2.0, 0.5 * (1.0 + ratio**2), 1.0 + 1.5 * (ratio - 1.0))
    factor = np.where(good, likely if poisson else ratio, 1.0)
    found = np.stack([inside(one) for one in psi]) * np.sqrt(pixels)
    np.testing.assert_allclose(found, field * factor[:, None], atol=SINGLE * 10)
    assert (ratio > 2.0).any()  # both branches were seen


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.2])
def test_fused_update_is_regularised_pie(modes: int, moved: bool, alpha: float) -> None:
    fused = Fused(modes, moved)
    before = fused.exit_waves().astype(np.complex128)
    revised = before + complex_normal(np.random.default_rng(9), before.shape)
    inside(fused.psi)[...] = revised
    window = operators.window(fused.object_, CORNER, SHAPE).astype(np.complex128)
    probe = operators.interpolate(fused.probe, WY, WX) if moved else fused.probe.astype(np.complex128)
    brightest = float((np.abs(probe) ** 2).sum(axis=0).max())
    power, light = (np.abs(probe) ** 2).sum(axis=0), np.abs(window) ** 2
    change = revised - before
    wanted_object = fused.object_.astype(np.complex128)
    wanted_object[CORNER[0] : CORNER[0] + SHAPE[0], CORNER[1] : CORNER[1] + SHAPE[1]] += (
        0.8 * operators.object_adjoint(change, probe) / ((1 - alpha) * power + alpha * brightest)
    )
    step = 0.4 * operators.probe_adjoint(change, window) / (0.7 * light + 0.3 * light.max())
    wanted_probe = fused.probe + (operators.step_back(step, BACK_Y, BACK_X) if moved else step)
    fused.update(np.array([0.8, alpha, brightest, 0.4, 0.3], np.float32))
    np.testing.assert_allclose(fused.object_, wanted_object, atol=SINGLE * 10)
    np.testing.assert_allclose(fused.lit, wanted_probe, atol=SINGLE * 10)
    fused.lit[...] = 0
    assert not fused.padded.any()


def test_a_probe_step_of_zero_leaves_the_probe() -> None:
    for moved in (False, True):
        fused = Fused(2, moved)
        fused.exit_waves()
        inside(fused.psi)[...] += 1.0
        fused.update(np.array([0.8, 1.0, 5.0, 0.0, 1.0], np.float32))
        np.testing.assert_array_equal(fused.lit, fused.probe)


def test_clipping_keeps_phases_and_counts() -> None:
    object_ = complex_normal(np.random.default_rng(3), OBJECT, np.complex64)
    before = object_.copy()
    count = object_steps.clip_amplitude(object_.view(np.float32), 1.3)
    assert count == int((np.abs(before) > 1.3).sum()) > 0
    assert np.abs(object_).max() == pytest.approx(1.3, rel=1e-5)
    np.testing.assert_allclose(np.angle(object_), np.angle(before), atol=1e-5)
