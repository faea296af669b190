"""The PIE family: object and probe corrected pattern after pattern, in an order shuffled anew for each iteration."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stxmdist.errors import InputError
from stxmdist.ptychography import kernels, operators
from stxmdist.ptychography.fourier import Transform, inside, padded_copy, transform
from stxmdist.ptychography.probe import add_modes, mode_power, orthogonalise, scaled_probe
from stxmdist.ptychography.problem import Complex, Problem, Reconstruction, check


@dataclass(frozen=True)
class PieOptions:
    """What may be chosen of the PIE engines; the defaults suit a start from a file or an optical model."""

    iterations: int = 30
    """Passes over all frames"""
    object_step: float = 1.5
    """Share of the step that the engine proposes for the object: beyond 1 what is wide settles sooner"""
    probe_step: float = 0.3
    """The same for the probe"""
    probe_start_iteration: int = 5
    """Iterations (counted from 0) before this one leave the probe alone"""
    final_step: float = 0.1
    """Over the second half of the iterations both steps fall to this share of themselves: what single frames say is
    averaged
    """
    object_alpha: float | None = None
    """Regularisation of the object's step: 1 divides by max |P|^2 (ePIE), 0 by |P|^2; None: the engine's own (ePIE 1,
    rPIE 0.5)
    """
    probe_alpha: float = 1.0
    """The same of the probe's step"""
    amplitude_limit: float = 1.3
    """Largest |O|, vacuum being 1; after each iteration what is above is brought down to it. 0: no limit"""
    n_modes: int = 2
    """Incoherent modes of the probe; those that the start lacks are made from its strongest"""
    second_mode_power: float = 0.05
    """Power, as share of the first mode's, that each added mode starts with"""
    keep_power: bool = True
    """Hold the probe's power at what vacuum frames count, so that |O| = 1 in vacuum; the object takes the factor"""
    sub_pixel: bool = True
    """Move the probe by the fractions of positions; False rounds positions to whole pixels"""
    divergence: float = 1.5
    """Stop when the error exceeds its smallest value by this factor, and keep the best state"""

    def __post_init__(self) -> None:
        alpha = 1.0 if self.object_alpha is None else self.object_alpha
        limit = self.amplitude_limit
        wrong = [
            (self.iterations >= 1, "iterations", self.iterations, "at least 1"),
            (0.0 < self.object_step <= 2.0, "object_step", self.object_step, "above 0, at most 2"),
            (0.0 <= self.probe_step <= 2.0, "probe_step", self.probe_step, "0 to 2"),
            (0.0 < self.final_step <= 1.0, "final_step", self.final_step, "above 0, at most 1"),
            (self.probe_start_iteration >= 0, "probe_start_iteration", self.probe_start_iteration, "0 or more"),
            (0.0 < alpha <= 1.0, "object_alpha", self.object_alpha, "above 0, at most 1"),
            (0.0 < self.probe_alpha <= 1.0, "probe_alpha", self.probe_alpha, "above 0, at most 1"),
            (limit == 0.0 or limit >= 1.0, "amplitude_limit", limit, "0 or at least 1"),
            (1 <= self.n_modes <= 16, "n_modes", self.n_modes, "1 to 16"),
            (0.0 < self.second_mode_power < 1.0, "second_mode_power", self.second_mode_power, "between 0 and 1"),
            (self.divergence > 1.0, "divergence", self.divergence, "above 1"),
        ]  # fmt: skip
        for fine, name, got, wanted in wrong:
            if not fine:
                raise InputError(
                    where=f"PieOptions.{name}",
                    problem="the value makes no sense",
                    got=got,
                    wanted=wanted,
                    mend="Change it",
                )


def epie(problem: Problem, options: PieOptions, rng: np.random.Generator) -> Reconstruction:
    """Extended PIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009) with incoherent modes and sub-pixel
    positions.

    Raises
    ------
    InputError
        for a problem that cannot be reconstructed.
    """
    return _reconstruct(problem, options, rng, 1.0)


def rpie(problem: Problem, options: PieOptions, rng: np.random.Generator) -> Reconstruction:
    """Regularised PIE (Maiden, Johnson and Li, Optica 4, 736, 2017): dim parts of the probe count for more.

    Half way between both denominators the inside of particles, wider than the beam, settles in half of ePIE's
    iterations; nearer to the other end noise grows.

    Raises
    ------
    InputError
        for a problem that cannot be reconstructed.
    """
    return _reconstruct(problem, options, rng, 0.5)


class _Scan(NamedTuple):
    # What stays the same from iteration to iteration, laid out for the kernels.
    frames: NDArray[Any]
    good: NDArray[np.float32]
    corners: NDArray[np.int32]
    weights: NDArray[np.float32]
    fractions: NDArray[np.float64]
    fractional: NDArray[np.bool_]
    counts: float


@dataclass
class _State:
    object_: Complex
    probe: Complex
    """Padded as the transforms' buffer is"""
    error: float = np.inf

    def copy(self) -> "_State":
        return _State(self.object_.copy(), self.probe.copy(), self.error)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.error) and np.isfinite(self.object_).all() and np.isfinite(self.probe).all())


@dataclass
class _Workspace:
    fourier: Transform
    shifted: Complex = field(init=False)
    between: NDArray[np.float32] = field(init=False)
    lines: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.shifted = np.zeros_like(self.fourier.padded)
        self.between = np.zeros(self.shifted.view(np.float32).shape[1:], np.float32)
        self.lines = np.zeros((4, 2 * self.fourier.buffer.shape[2]), np.float32)


def _reconstruct(problem: Problem, options: PieOptions, rng: np.random.Generator, alpha: float) -> Reconstruction:
    check(problem)
    scan = _laid_out(problem, options)
    probe = scaled_probe(problem, add_modes(problem.probe, options.n_modes, options.second_mode_power))
    power = float((np.abs(probe) ** 2).sum())
    object_ = np.ones(problem.object_shape, np.complex64) if problem.object0 is None else problem.object0.copy()
    state = _State(object_, padded_copy(probe))
    workspace = _Workspace(transform(probe.shape))
    best, errors, stopped = state.copy(), [], "finished"
    for iteration in range(options.iterations):
        calm = options.final_step ** max(0.0, 2.0 * (iteration + 1) / options.iterations - 1.0)
        moving = options.probe_step if iteration >= options.probe_start_iteration else 0.0
        steps = (calm * options.object_step, options.object_alpha or alpha, calm * moving, options.probe_alpha)
        state.error = _iterate(state, scan, workspace, steps, rng.permutation(len(scan.frames)))
        errors.append(state.error)
        if not state.finite:
            stopped = "not finite"
            break
        if state.error > options.divergence * best.error:
            stopped = "diverged"
            break
        if options.keep_power:
            _keep_power(state, power)
        if options.amplitude_limit:
            kernels.clip_amplitude(state.object_.view(np.float32), options.amplitude_limit)
        if state.error <= best.error:
            best = state.copy()
    if stopped == "finished":
        best = state
    return _result(problem, best, scan, workspace, errors, stopped)


def prepared_loop(
    problem: Problem, options: PieOptions, alpha: float, library: str | None = None
) -> tuple[Callable[[], float], Transform]:
    """One iteration over all frames as a function, and the transforms that it uses: for measuring, not for results."""
    scan = _laid_out(problem, options)
    probe = scaled_probe(problem, add_modes(problem.probe, options.n_modes, options.second_mode_power))
    state = _State(np.ones(problem.object_shape, np.complex64), padded_copy(probe))
    workspace = _Workspace(transform(probe.shape, library))
    steps = (options.object_step, alpha, options.probe_step, options.probe_alpha)
    order = np.random.default_rng(0).permutation(len(scan.frames))
    return lambda: _iterate(state, scan, workspace, steps, order), workspace.fourier


def _laid_out(problem: Problem, options: PieOptions) -> _Scan:
    positions = problem.positions_px if options.sub_pixel else np.round(problem.positions_px)
    corners, fractions = operators.split_positions(positions)
    good = np.fft.ifftshift(problem.good)
    whole = np.issubdtype(problem.frames.dtype, np.integer) and problem.frames.max() < 2**16
    # Integers stay integers: half the memory traffic of the loop, and of the worker.
    frames = np.empty(problem.frames.shape, np.uint16 if whole else np.float32)
    counts = 0.0
    for target, frame in zip(frames, problem.frames, strict=True):
        target[...] = np.where(good, np.maximum(np.fft.ifftshift(frame), 0), 0)
        counts += float(np.sum(target, dtype=np.float64))
    return _Scan(
        frames=frames,
        good=good.astype(np.float32),
        corners=corners,
        weights=operators.shift_weights(fractions),
        fractions=fractions,
        fractional=np.asarray(fractions.any(axis=1), np.bool_),
        counts=counts,
    )


class _Fixed(NamedTuple):
    # What the kernels get at every position, in their order; complex arrays as pairs of floats.
    object_: NDArray[np.float32]
    probe: NDArray[np.float32]
    shifted: NDArray[np.float32]
    psi: NDArray[np.float32]
    corners: NDArray[np.int32]
    weights: NDArray[np.float32]
    fractional: NDArray[np.bool_]
    between: NDArray[np.float32]
    lines: NDArray[np.float32]
    numbers: NDArray[np.float32]


def _fixed(state: _State, scan: _Scan, work: _Workspace, numbers: NDArray[np.float32]) -> _Fixed:
    return _Fixed(
        object_=state.object_.view(np.float32),
        probe=state.probe.view(np.float32),
        shifted=work.shifted.view(np.float32),
        psi=work.fourier.padded.view(np.float32),
        corners=scan.corners,
        weights=scan.weights,
        fractional=scan.fractional,
        between=work.between,
        lines=work.lines,
        numbers=numbers,
    )


def _iterate(
    state: _State, scan: _Scan, work: _Workspace, steps: tuple[float, float, float, float], order: NDArray[np.int64]
) -> float:
    object_step, object_alpha, probe_step, probe_alpha = steps
    brightest = (np.abs(state.probe) ** 2).sum(axis=0).max()
    numbers = np.array([object_step, object_alpha, brightest, probe_step, probe_alpha], np.float32)
    advance, modulus = kernels.advance, kernels.modulus
    forward, backward = work.fourier.forward, work.fourier.backward
    fixed = _fixed(state, scan, work, numbers)
    residual = 0.0
    done = -1
    for position in order.tolist():
        advance(*fixed, done, position)
        forward()
        residual += modulus(fixed.psi, scan.frames, position, scan.good, work.lines)
        backward()
        done = position
    advance(*fixed, done, -1)
    return float(np.sqrt(residual / scan.counts))


def _residual(state: _State, scan: _Scan, work: _Workspace) -> float:
    fixed = _fixed(state, scan, work, np.zeros(5, np.float32))
    residual = 0.0
    for position in range(len(scan.frames)):
        kernels.advance(*fixed, -1, position)
        work.fourier.forward()
        residual += kernels.modulus(fixed.psi, scan.frames, position, scan.good, work.lines)
    return float(np.sqrt(residual / scan.counts))


def _keep_power(state: _State, power: float) -> None:
    factor = np.float32(np.sqrt(power / np.sum(np.abs(state.probe) ** 2, dtype=np.float64)))
    state.probe *= factor
    state.object_ /= factor


def _result(
    problem: Problem, state: _State, scan: _Scan, work: _Workspace, errors: list[float], stopped: str
) -> Reconstruction:
    residual = _residual(state, scan, work)
    probe = orthogonalise(inside(state.probe))
    illumination = np.zeros(problem.object_shape, np.float32)
    power = (np.abs(probe) ** 2).sum(axis=0)
    nearest = np.round(scan.corners + scan.fractions).astype(np.int32)
    kernels.add_illumination(power, nearest, illumination)
    return Reconstruction(
        object_=state.object_,
        probe=probe,
        positions_px=np.asarray(scan.corners + scan.fractions, np.float64),
        error=np.array(errors, np.float32),
        residual=residual,
        illumination=illumination,
        mode_power=mode_power(probe),
        stopped=stopped,
    )
