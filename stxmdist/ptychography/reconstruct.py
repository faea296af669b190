"""A tile reconstructed: engines in a row, what else is unknown found between their iterations, the best state kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import ModuleType
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, F64, namespace_of, numpy_of
from stxmdist.errors import InputError
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels import object_steps, operators
from stxmdist.ptychography.kernels.device import sweep_on
from stxmdist.ptychography.kernels.fourier import inside, padded_copy
from stxmdist.ptychography.kernels.sweep import Sweep, margins
from stxmdist.ptychography.probe import add_modes, mode_power, orthogonalise, scaled_probe
from stxmdist.ptychography.problem import Problem, Reconstruction, check
from stxmdist.ptychography.raster import periodic_pattern, raster_steps
from stxmdist.ptychography.refinement import PositionOptions, Refinement
from stxmdist.ptychography.state import ModelOptions, State, refuse_unless


@dataclass(frozen=True)
class Step:
    """One engine of a schedule."""

    engine: str = "lsqml"
    """A member of the table of engines"""
    iterations: int = 30
    """Passes over all frames"""
    options: Mapping[str, object] = field(default_factory=dict)
    """Its own options, where they are not the defaults"""

    def __post_init__(self) -> None:
        refuse_unless(self, iterations=(self.iterations >= 1, "at least 1"))
        self.parsed()

    def parsed(self) -> object:
        """The options as the engine wants them, a record of its own kind.

        Raises
        ------
        InputError
            for an engine or an option that does not exist, or a value that makes no sense.
        """
        kind = ENGINES[self.engine].options.load()
        known = [option.name for option in fields(kind)]
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise InputError(
                where="options",
                problem=f"{self.engine} has no option {unknown[0]!r}",
                got=unknown[0],
                wanted="one of " + ", ".join(known),
                mend="Correct the name, or take it out",
            )
        return replace(kind(), **self.options)


@dataclass(frozen=True)
class Recipe:
    """All that is chosen of a reconstruction."""

    schedule: tuple[Step, ...] = (Step("raar", 8), Step("lsqml", 32))
    """Engines in a row"""
    model: ModelOptions = field(default_factory=ModelOptions)
    """What is unknown beside the object"""
    positions: PositionOptions = field(default_factory=PositionOptions)
    """How positions are corrected"""

    def __post_init__(self) -> None:
        refuse_unless(self, schedule=(len(self.schedule) > 0, "at least one engine"))

    @property
    def iterations(self) -> int:
        """Of all engines together."""
        return sum(step.iterations for step in self.schedule)

    def modes_at(self, progress: float) -> int:
        """Modes that the probe has after this share of all iterations: they join one by one."""
        model = self.model
        if progress >= model.modes_from:
            return model.n_modes
        return 1 + int((model.n_modes - 1) * progress / model.modes_from)

    def modes_of_waves(self) -> int:
        """Most modes that an engine keeps exit waves of."""
        done, most = 0, 0
        for step in self.schedule:
            last = done + step.iterations - 1
            if ENGINES[step.engine].keeps_waves:
                most = max(most, self.modes_at(last / self.iterations))
            done = last + 1
        return most


def reconstruct(
    problem: Problem,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    threads: int = 1,
    library: str | None = None,
    namespace: ModuleType | str | None = None,
    checkpoint: Checkpoint | None = None,
    watch: Callable[[int, State], None] | None = None,
) -> Reconstruction:
    """Object, probe and whatever else the recipe leaves unknown, from the frames of one tile.

    Parameters
    ----------
    threads
        cores that may be used; they change nothing but the time
    library
        of Fourier transforms, see ``fourier.transform``
    namespace
        array library that the passes run in, see ``device.sweep_on``: ``cupy`` for a GPU, where there is one; None:
        compiled loops on the CPU, which alone use ``threads`` and ``library``
    checkpoint
        where the state is kept on the way, and taken up again if it is there
    watch
        called after each iteration with its number and the state, whose arrays are the namespace's

    Raises
    ------
    InputError
        for a problem that cannot be reconstructed.
    """
    check(problem)
    model = recipe.model
    margin = recipe.positions.margin_px
    roomy = with_margin(problem, margin)
    state = _start(roomy, recipe)
    power = float((np.abs(state.probe) ** 2).sum())
    raster = _raster_of(state) if model.raster_to_probe else None
    refinement = Refinement(state, model, recipe.positions, rng)
    errors: list[float] = []
    done, iteration, stopped = 0, 0, "finished"
    kept = checkpoint.load(state, refinement) if checkpoint is not None else None
    if kept is not None:
        done, state, errors = kept
    sweep = sweep_on(namespace, roomy, threads, library).with_modes(len(state.probe))
    sweep.adopt(state)
    best = state.copy()
    for step in recipe.schedule:
        engine, comparable = None, ENGINES[step.engine].comparable
        for own in range(step.iterations):
            progress = iteration / recipe.iterations
            if iteration < done:
                iteration += 1
                continue
            modes = recipe.modes_at(progress)
            if engine is None or modes != sweep.modes:
                if modes != len(state.probe):
                    more = add_modes(inside(numpy_of(state.probe)), modes, model.second_mode_power)
                    state.probe = namespace_of(state.probe).asarray(padded_copy(more))
                    sweep = sweep.with_modes(modes)
                    # More modes begin with a larger error: that is no divergence.
                    best = replace(state.copy(), error=np.inf)
                    refinement.forget()
                engine = ENGINES[step.engine].load()(sweep, state, step.parsed())
            before = state.copy()
            misfit = engine.iterate(
                (own + 1) / step.iterations, rng, object_moves=not model.freeze_object,
                probe_moves=progress >= model.probe_from and not model.freeze_probe,
            )  # fmt: skip
            state.error = float(np.sqrt(misfit / sweep.counts))
            errors.append(state.error)
            iteration += 1
            # The error is that of the state before the step.
            if not comparable or (np.isfinite(state.error) and state.error <= best.error):
                best = before
                best.error = state.error if comparable else np.inf
            if comparable:
                refinement.review(state)
            stopped = _verdict(state, best.error if comparable else np.inf, model)
            if stopped != "finished":
                break
            if comparable and iteration < recipe.iterations and refinement.due(iteration, progress):
                refinement.apply(sweep, state, progress)
            if raster is not None and not model.freeze_object and not model.freeze_probe:
                _hand_over_pattern(state, raster)
            if model.keep_power and not model.freeze_object and not model.freeze_probe:
                _keep_power(state, power)
            if model.amplitude_limit and not model.freeze_object:
                _clip(state, model.amplitude_limit)
            if checkpoint is not None:
                checkpoint.save(iteration, state, errors, refinement)
            if watch is not None:
                watch(iteration, state)
        if stopped != "finished":
            state = best
            break
    if checkpoint is not None:
        checkpoint.clear()
    return _result(problem, margin, state, sweep, refinement, errors, stopped)


def with_margin(problem: Problem, margin: int) -> Problem:
    """The same problem with vacuum around the object."""
    if margin == 0:
        return problem
    rows, columns = problem.object_shape
    start = problem.object0
    return replace(
        problem,
        positions_px=problem.positions_px + margin,
        object_shape=(rows + 2 * margin, columns + 2 * margin),
        object0=None if start is None else np.pad(start, margin, constant_values=1),
    )


def _start(problem: Problem, recipe: Recipe) -> State:
    model = recipe.model
    shape = problem.frames.shape[1:]
    probe = scaled_probe(problem, add_modes(problem.probe, recipe.modes_at(0.0), model.second_mode_power))
    object_ = np.ones(problem.object_shape, np.complex64) if problem.object0 is None else problem.object0.copy()
    return State(
        object_=object_,
        probe=padded_copy(probe),
        positions_px=problem.positions_px.astype(np.float64),
        intensity=np.ones(len(problem.frames), np.float32),
        background=np.zeros(shape, np.float32),
        variations=np.zeros(margins(model.n_variations, shape), np.complex64),
        shares=np.zeros((len(problem.frames), model.n_variations), np.float32),
        sub_pixel=model.sub_pixel,
    )


def _verdict(state: State, least: float, model: ModelOptions) -> str:
    if not state.finite:
        return "not finite"
    return "diverged" if state.error > model.divergence * least else "finished"


def _keep_power(state: State, power: float) -> None:
    xp = namespace_of(state.probe)
    factor = float(np.sqrt(power / float(xp.sum(xp.abs(state.probe) ** 2, dtype=xp.float64))))
    state.probe *= factor
    state.variations *= factor
    state.object_ /= factor


def _clip(state: State, limit: float) -> None:
    if isinstance(state.object_, np.ndarray):
        object_steps.clip_amplitude(state.object_.view(np.float32), limit)
    else:
        state.object_ = operators.clipped(state.object_, limit)


class _Raster(NamedTuple):
    steps_px: F64
    knot_px: F64  # one of its positions; refinement and jitter move those of the state
    light: F32  # (Y, X) that fell on the object


def _raster_of(state: State) -> _Raster | None:
    steps = raster_steps(state.positions_px)
    if steps is None:
        return None
    return _Raster(steps, state.positions_px[0].copy(), _illumination(state, inside(state.probe)))


def _hand_over_pattern(state: State, raster: _Raster) -> None:
    xp = namespace_of(state.object_)
    pattern = periodic_pattern(numpy_of(state.object_), raster.steps_px, raster.light)
    state.object_ /= xp.asarray(pattern.on(np.zeros(2), raster.light.shape))
    here = xp.asarray(pattern.on(raster.knot_px, inside(state.probe).shape[1:]))
    inside(state.probe)[...] *= here
    inside(state.variations)[...] *= here


def _illumination(state: State, probe: C64) -> F32:
    illumination = np.zeros(state.object_.shape, np.float32)
    nearest = np.round(state.positions_px).astype(np.int32)
    object_steps.add_illumination((np.abs(probe) ** 2).sum(axis=0), nearest, illumination)
    return illumination


def _result(
    problem: Problem, margin: int, state: State, sweep: Sweep, refinement: Refinement, errors: list[float], stopped: str
) -> Reconstruction:
    residual = float(np.sqrt(sweep.misfit(state) / sweep.counts))
    sweep.release(state)
    probe = orthogonalise(inside(state.probe))
    illumination = _illumination(state, probe)
    inner = (slice(margin, margin + problem.object_shape[0]), slice(margin, margin + problem.object_shape[1]))
    return Reconstruction(
        object_=np.ascontiguousarray(state.object_[inner]),
        probe=probe,
        positions_px=state.positions_px - margin,
        error=np.array(errors, np.float32),
        residual=residual,
        illumination=np.ascontiguousarray(illumination[inner]),
        mode_power=mode_power(probe),
        intensity=state.intensity,
        background=np.fft.fftshift(state.background),
        variations=inside(state.variations).copy(),
        shares=state.shares,
        affine=refinement.affine,
        stopped=stopped,
    )
