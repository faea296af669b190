"""Passes over the frames compute what plain array code says, and what derivatives and least squares ask."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stxmdist.arrays import C64, C128, F64
from stxmdist.ptychography.engines.directions import SAMPLE, joint_steps, probe_direction
from stxmdist.ptychography.kernels import operators, sums, waves
from stxmdist.ptychography.kernels.fourier import inside, padded_copy
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.interpolation import coefficients
from stxmdist.ptychography.kernels.sweep import margins
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

SHAPE = (13, 17)  # primes, and eleven positions: no number that happens to fit
OBJECT = (34, 37)
COUNT = 11
SINGLE = 1e-4
"""float32 sums of some ten thousand terms, relative to the largest"""
SAMPLED = 1e-3
"""The same of differences of float64 sums, relative"""
TINY = 1e-6
"""Counts that the loops add to every pixel, so that none divides by nothing"""


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> C64:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


class Small:
    """A made-up tile, its state with everything that may be unknown, and the model in double precision."""

    def __init__(self, modes: int, *, whole: bool = False, varies: bool = False, plain: bool = False) -> None:
        rng = np.random.default_rng(7)
        positions = rng.uniform(1.0, 18.0, size=(COUNT, 2))
        self.problem = Problem(
            frames=rng.poisson(6.0, (COUNT, *SHAPE)).astype(np.uint16),
            good=rng.random(SHAPE) > 0.1,
            positions_px=np.round(positions) if whole else positions,
            probe=complex_normal(rng, (modes, *SHAPE)),
            object_shape=OBJECT,
        )
        n_vary = 2 if varies else 0
        self.state = State(
            object_=complex_normal(rng, OBJECT),
            probe=padded_copy(self.problem.probe),
            positions_px=self.problem.positions_px,
            intensity=np.ones(COUNT, np.float32) if plain else rng.uniform(0.7, 1.4, COUNT).astype(np.float32),
            background=(0.0 if plain else 1.0) * rng.uniform(0.5, 1.0, SHAPE).astype(np.float32),
            variations=np.zeros(margins(n_vary, SHAPE), np.complex64),
            shares=rng.normal(size=(COUNT, n_vary)).astype(np.float32),
        )
        inside(self.state.variations)[...] = 0.3 * complex_normal(rng, (n_vary, *SHAPE))
        self.state.place(self.state.positions_px)
        self.sweep = FusedSweep(self.problem, modes)
        self.frames = np.fft.ifftshift(self.problem.frames, axes=(-2, -1)).astype(np.float64)
        self.good = np.fft.ifftshift(self.problem.good)

    def light(self, position: int, probe: Any) -> C128:
        """The probe at one position, without what varies."""
        placed = self.state.placed
        probe = probe.astype(np.complex128)
        wy, wx = placed.weights[position].astype(np.float64)
        return operators.shift_probe(probe, wy, wx) if placed.moved else probe

    def varied(self, position: int, probe: Any) -> C128:
        probe = probe.astype(np.complex128).copy()
        probe[0] += np.tensordot(self.state.shares[position].astype(float), inside(self.state.variations), 1)
        return self.light(position, probe)

    def wave(self, position: int, object_: Any, probe: Any) -> C128:
        corner = self.state.placed.corners[position]
        return operators.exit_waves(operators.window(object_.astype(np.complex128), corner, SHAPE), probe)

    def misfits(self, object_: Any, probe: Any, poisson: bool = False) -> F64:
        """Of each frame, brought to even intensity, over good pixels."""
        found = []
        for position in range(COUNT):
            level = 1.0 / float(np.float32(self.state.intensity[position]))
            field = operators.propagate(self.wave(position, object_, self.varied(position, probe)))
            expected = (np.abs(field) ** 2).sum(axis=0) + self.state.background * level + TINY
            measured = self.frames[position] * level
            one = (
                expected - measured * np.log(expected) if poisson else (np.sqrt(expected) - np.sqrt(measured)) ** 2
            )  # fmt: skip
            found.append(one[self.good].sum())
        return np.array(found)


CASES = [
    {"modes": 1, "whole": True}, {"modes": 1}, {"modes": 3}, {"modes": 2, "whole": True, "varies": True},
    {"modes": 1, "varies": True},
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_misfit_is_the_models(case: dict[str, Any]) -> None:
    small = Small(**case)
    wanted = small.misfits(small.state.object_, inside(small.state.probe)) @ small.state.intensity
    assert small.sweep.misfit(small.state) == pytest.approx(wanted, rel=SINGLE)
    sums = small.sweep.gradients(small.state, small.sweep.everything)
    assert sums.misfit == pytest.approx(wanted, rel=SINGLE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_the_slope_of_the_misfit(case: dict[str, Any]) -> None:
    # d = what the modulus asks less the wave: minus half the derivative, so d E = -2 Re <sums, change>.
    small = Small(**case)
    state, rng = small.state, np.random.default_rng(2)
    sums = small.sweep.gradients(state, small.sweep.everything)
    whole = np.zeros(OBJECT, np.complex128)
    whole[sums.rows] = sums.object_
    object_, probe = state.object_.astype(np.complex128), inside(state.probe).astype(np.complex128)
    step = 1e-5
    size = float(np.linalg.norm(sums.object_) + np.linalg.norm(sums.probe))
    for _ in range(3):
        change = complex_normal(rng, OBJECT).astype(np.complex128)
        up, down = (small.misfits(object_ + side * step * change, probe).sum() for side in (1, -1))
        assert -2.0 * np.vdot(change, whole).real == pytest.approx(
            (up - down) / (2 * step), rel=SAMPLED, abs=SAMPLED * size
        )
        turn = complex_normal(rng, probe.shape).astype(np.complex128)
        up, down = (small.misfits(object_, probe + side * step * turn).sum() for side in (1, -1))
        asked = np.vdot(turn, inside(sums.probe)).real
        assert -2.0 * asked == pytest.approx((up - down) / (2 * step), rel=SAMPLED, abs=SAMPLED * size)
    margin = sums.probe.copy()
    inside(margin)[...] = 0
    assert not margin.any()


def test_weights_of_the_sums_are_the_light_and_the_brightness() -> None:
    small = Small(2)
    index = np.array([9, 0, 4, 7, 2], np.int64)
    sums = small.sweep.gradients(small.state, index)
    weight, brightness = np.zeros(OBJECT), np.zeros(SHAPE)
    for position in index:
        corner = small.state.placed.corners[position]
        light = (np.abs(small.light(position, small.problem.probe)) ** 2).sum(axis=0)
        weight += operators.window_adjoint(light, corner, OBJECT)
        brightness += np.abs(operators.window(small.state.object_, corner, SHAPE)) ** 2
    np.testing.assert_allclose(sums.weight, weight[sums.rows], atol=SINGLE * weight.max())
    np.testing.assert_allclose(sums.brightness, brightness, rtol=SINGLE)
    assert sums.brightest == pytest.approx(weight.max(), rel=SINGLE)
    outside = weight.copy()
    outside[sums.rows] = 0.0
    assert not outside.any()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("poisson", [False, True])
def test_search_is_the_slope_and_the_curve_along_a_direction(case: dict[str, Any], poisson: bool) -> None:
    small = Small(**case)
    state = small.state
    # Where the model holds the likelihood is followed as it is: frames as the model says, with noise.
    rng = np.random.default_rng(3)
    model = np.zeros_like(small.frames)
    for position in range(COUNT):
        field = operators.propagate(
            small.wave(position, state.object_, small.varied(position, inside(state.probe)))
        )  # fmt: skip
        model[position] = (np.abs(field) ** 2).sum(axis=0) * state.intensity[position] + state.background
    small.frames = np.round(model * rng.uniform(0.5, 2.0, model.shape))
    frames = np.fft.fftshift(small.frames, axes=(-2, -1)).astype(np.uint16)
    small.problem = replace(small.problem, frames=frames)
    small.sweep = FusedSweep(small.problem, case["modes"])
    object_change = 0.1 * complex_normal(rng, OBJECT)
    probe_change = padded_copy(0.1 * complex_normal(rng, small.problem.probe.shape))
    slope, curve = small.sweep.search(state, object_change, probe_change, poisson=poisson)
    object_, probe = state.object_.astype(np.complex128), inside(state.probe).astype(np.complex128)

    def along(step: float) -> float:
        # The field along the direction to first order: the product of both changes is left out, as in the loops.
        total = 0.0
        for position in range(COUNT):
            light = small.varied(position, probe)
            wave = small.wave(position, object_, light) + step * (
                small.wave(position, object_change, light)
                + small.wave(position, object_, small.light(position, inside(probe_change)))
            )
            level = 1.0 / float(state.intensity[position])
            expected = (np.abs(operators.propagate(wave)) ** 2).sum(axis=0) + state.background * level + TINY
            measured = small.frames[position] * level
            # Below a quarter of the counts the loops leave the likelihood: not here.
            assert (expected > 0.25 * measured).all()
            one = (
                expected - measured * np.log(expected) if poisson else (np.sqrt(expected) - np.sqrt(measured)) ** 2
            )  # fmt: skip
            total += float(one[small.good].sum())
        return total

    step = 1e-3
    up, here, down = along(step), along(0.0), along(-step)
    assert slope == pytest.approx((up - down) / (2 * step), rel=SAMPLED, abs=1e-5 * abs(curve))
    assert curve == pytest.approx((up - 2 * here + down) / step**2, rel=0.01)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("beta", [1.0, 0.8])
def test_projections_are_the_formula(case: dict[str, Any], beta: float) -> None:
    small = Small(**case, plain=True)
    state = small.state
    kept = small.sweep.waves(state)
    probe = inside(state.probe)
    for position in range(COUNT):
        wanted = small.wave(position, state.object_, small.varied(position, probe))
        np.testing.assert_allclose(kept[position], wanted, atol=SINGLE)
    kept += 0.5 * complex_normal(np.random.default_rng(4), kept.shape)
    before = kept.astype(np.complex128)
    sums = small.sweep.projections(state, kept, beta)
    numerator = np.zeros(OBJECT, np.complex128)
    gathered = np.zeros(probe.shape, np.complex128)
    for position in range(COUNT):
        light = small.varied(position, probe)
        overlap = small.wave(position, state.object_, light)
        field = operators.propagate(2.0 * overlap - before[position])
        intensity = (np.abs(field) ** 2).sum(axis=0) + TINY
        factor = np.where(small.good, np.sqrt(small.frames[position] / intensity), 1.0)
        projected = operators.propagate_adjoint(field * factor)
        wanted = beta * (before[position] + projected) + (1.0 - 2.0 * beta) * overlap
        np.testing.assert_allclose(kept[position], wanted, atol=SINGLE * np.abs(wanted).max())
        corner = state.placed.corners[position]
        difference = wanted - overlap
        numerator += operators.window_adjoint(operators.object_adjoint(difference, light), corner, OBJECT)
        asked = operators.probe_adjoint(
            difference, operators.window(state.object_.astype(np.complex128), corner, SHAPE)
        )  # fmt: skip
        if state.placed.moved:
            asked = operators.shift_probe_adjoint(asked, *state.placed.weights[position].astype(np.float64))
        gathered += asked
    np.testing.assert_allclose(sums.object_, numerator[sums.rows], atol=SINGLE * np.abs(numerator).max())
    np.testing.assert_allclose(inside(sums.probe), gathered, atol=SINGLE * np.abs(gathered).max())


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("modes", [1, 3])
def test_gathering_the_probe_is_the_adjoint_of_beginning(modes: int, whole: bool) -> None:
    # <y, begin(P)> = <gather(conj(O) y), P>, the object held.
    small = Small(modes, whole=whole)
    state, placed = small.state, small.state.placed
    rng = np.random.default_rng(6)
    wave, shifted = (np.zeros(margins(modes, SHAPE), np.complex64) for _ in range(2))
    psi = wave.view(np.float32)
    asked, power, bright = np.zeros_like(psi), np.zeros((1, *OBJECT), np.float32), np.zeros(SHAPE, np.float32)
    between, combined = np.zeros((2, psi.shape[2] + 32), np.float32), np.zeros_like(psi)
    probe = coefficients(state.probe) if placed.moved else state.probe
    object_, light, vary = (a.view(np.float32) for a in (state.object_, probe, state.variations))
    source = shifted.view(np.float32) if placed.moved else light
    left = 0.0
    for position in rng.permutation(COUNT).tolist():
        wy, wx = placed.weights[position]
        waves.begin(
            object_, light, vary, state.shares, combined, shifted.view(np.float32), psi, placed.corners,
            placed.weights, placed.moved, between, np.zeros((0, 1, 1, 1), np.float32), position,
        )  # fmt: skip
        y = complex_normal(rng, (modes, *SHAPE))
        left += np.vdot(y, inside(wave))
        inside(wave)[...] += y  # the difference is y
        numerators = np.zeros((1, OBJECT[0], 2 * OBJECT[1]), np.float32)
        sums.gradients(
            object_, source, placed.corners, placed.moved, psi, numerators, power, 0, 0, bright, asked, position
        )  # fmt: skip
        if placed.moved:
            waves.interpolate_adjoint(psi, wy, wx, between, asked)
    right = np.vdot(asked.view(np.complex64), probe)
    assert abs(left) > 1.0
    assert left == pytest.approx(right, rel=SINGLE)


@pytest.mark.parametrize("modes", [1, 2])
def test_joint_steps_minimise_the_quadratic(modes: int) -> None:
    # One position of SAMPLE is asked for the coupling: a scan repeated as often has each of them asked once.
    small = Small(modes, whole=True, plain=True)
    state = small.state
    index = np.repeat(np.arange(COUNT, dtype=np.int64), SAMPLE)
    sums = small.sweep.gradients(state, index)
    object_ = small.sweep.object_direction(sums, 0.1)
    probe = probe_direction(sums, 0.1)
    found = joint_steps(small.sweep, state, index, sums, object_, probe)
    # The same as least squares over all exit waves.
    change = object_.whole(OBJECT)
    columns: list[list[np.ndarray]] = [[], []]
    right = []
    for position in range(COUNT):
        wave = small.wave(position, state.object_, inside(state.probe))
        field = operators.propagate(wave)
        intensity = (np.abs(field) ** 2).sum(axis=0) + TINY
        factor = np.where(small.good, np.sqrt(small.frames[position] / intensity), 1.0)
        right.append((operators.propagate_adjoint(field * factor) - wave).ravel())
        columns[0].append(small.wave(position, change, inside(state.probe)).ravel())
        columns[1].append(small.wave(position, state.object_, inside(probe)).ravel())
    matrix = np.stack([np.concatenate(column).view(np.float64) for column in columns], axis=1)
    wanted = np.linalg.lstsq(matrix, np.concatenate(right).view(np.float64), rcond=None)[0]
    assert (wanted > 0.0).all()
    np.testing.assert_allclose(found, wanted, rtol=SAMPLED)
