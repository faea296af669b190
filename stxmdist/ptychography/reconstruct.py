"""A tile reconstructed: engines run in a row, other unknowns are found between iterations, the best state is kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from types import ModuleType
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, F64, namespace_of, numpy_of
from stxmdist.errors import InputError
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.constraints import less_varied
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
    """Options of the engine that differ from the defaults"""

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
        """Number of iterations of all engines together."""
        return sum(step.iterations for step in self.schedule)

    def passes(self) -> Iterator[tuple[Step, int]]:
        """All iterations in their order: the step that each belongs to, and its number in it from 0."""
        return ((step, own) for step in self.schedule for own in range(step.iterations))

    def modes_at(self, progress: float) -> int:
        """Number of modes of the probe after this share of all iterations: they are added one by one."""
        model = self.model
        if progress >= model.modes_from:
            return model.n_modes
        return 1 + int((model.n_modes - 1) * progress / model.modes_from)

    def modes_of_waves(self) -> int:
        """Largest number of modes of which an engine keeps exit waves."""
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
    """Object, probe and the other unknowns of the recipe, from the frames of one tile.

    Parameters
    ----------
    threads, library
        cores that may be used, which change nothing but the time; and the library of ``fourier.transform``
    namespace
        array library that the passes run in, see ``device.sweep_on``: ``cupy`` for a GPU, where there is one; None:
        compiled loops on the CPU, which alone use ``threads`` and ``library``
    checkpoint
        file in which the state is kept on the way, and from which it is taken up again if it is there
    watch
        called after each iteration with its number and the state, whose arrays are the namespace's

    Raises
    ------
    InputError
        for a problem that cannot be reconstructed.
    """
    check(problem)
    model = recipe.model
    roomy = with_margin(problem, recipe.positions.margin_px)
    state = _start(roomy, recipe)
    power = float((np.abs(state.probe) ** 2).sum())
    raster = _raster_of(state) if model.raster_to_probe else None
    refinement = Refinement(state, model, recipe.positions, rng, limits=problem.at_least is not None)
    errors: list[float] = []
    done, stopped = 0, "finished"
    if checkpoint is not None and (kept := checkpoint.load(state, refinement)) is not None:
        done, state, errors = kept
    sweep = sweep_on(namespace, roomy, threads, library).with_modes(len(state.probe))
    sweep.adopt(state)
    best, engine = state.copy(), None
    for iteration, (step, own) in islice(enumerate(recipe.passes()), done, None):
        progress, comparable = iteration / recipe.iterations, ENGINES[step.engine].comparable
        if (modes := recipe.modes_at(progress)) != sweep.modes:
            sweep, engine = _with_modes(sweep, state, modes, model), None
            # With a new mode the error rises at first: that is not a divergence.
            best = replace(state.copy(), error=np.inf)
            refinement.forget()
        if engine is None or own == 0:
            engine = ENGINES[step.engine].load()(sweep, state, step.parsed())
        before = state.copy()
        probe_moves = progress >= model.probe_from and not model.freeze_probe
        share = (own + 1) / step.iterations
        misfit = engine.iterate(share, rng, object_moves=not model.freeze_object, probe_moves=probe_moves)
        state.error = float(np.sqrt(misfit / sweep.counts))
        errors.append(state.error)
        # The error is that of the state before the step.
        if not comparable or (np.isfinite(state.error) and state.error <= best.error):
            best = before
            best.error = state.error if comparable else np.inf
        if comparable:
            refinement.review(state)
        stopped = _verdict(state, best.error if comparable else np.inf, model)
        if stopped != "finished":
            state = best
            break
        if comparable and iteration + 1 < recipe.iterations and refinement.due(iteration + 1, progress):
            refinement.apply(sweep, state, progress)
            power = refinement.power_of(state, problem.good, power)
        _constrain(state, model, power, raster)
        if checkpoint is not None:
            checkpoint.save(iteration + 1, state, errors, refinement)
        if watch is not None:
            watch(iteration + 1, state)
    if checkpoint is not None:
        checkpoint.clear()
    return _result(problem, recipe, state, sweep, refinement, errors, stopped)


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
        intensity=_light(problem, model),
        background=np.zeros(shape, np.float32),
        variations=np.zeros(margins(model.n_variations, shape), np.complex64),
        shares=np.zeros((len(problem.frames), model.n_variations), np.float32),
        sub_pixel=model.sub_pixel,
    )


def _light(problem: Problem, model: ModelOptions) -> F32:
    if problem.light is None or model.intensities is False:
        return np.ones(len(problem.frames), np.float32)
    return problem.light.astype(np.float32)


def _verdict(state: State, least: float, model: ModelOptions) -> str:
    if not state.finite:
        return "not finite"
    return "diverged" if state.error > model.divergence * least else "finished"


def _with_modes(sweep: Sweep, state: State, modes: int, model: ModelOptions) -> Sweep:
    """Give the state's probe another number of modes, in place, and return passes for as many."""
    more = add_modes(inside(numpy_of(state.probe)), modes, model.second_mode_power)
    state.probe = namespace_of(state.probe).asarray(padded_copy(more))
    return sweep.with_modes(modes)


def _constrain(state: State, model: ModelOptions, power: float, raster: "_Raster | None") -> None:
    """What object and probe are held to after each iteration, in place."""
    if model.freeze_object:
        return
    if not model.freeze_probe:
        if raster is not None:
            _move_pattern_to_probe(state, raster)
        if model.keep_power:
            _keep_power(state, power)
    if model.total_variation:
        state.object_ = less_varied(state.object_, model.total_variation)
    if model.amplitude_limit:
        _clip(state, model.amplitude_limit)


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
    point_px: F64  # one of its positions as the file has it; refinement and jitter move those of the state
    light: F32  # (Y, X) that fell on the object


def _raster_of(state: State) -> _Raster | None:
    steps = raster_steps(state.positions_px)
    if steps is None:
        return None
    return _Raster(steps, state.positions_px[0].copy(), _illumination(state, inside(state.probe)))


def _move_pattern_to_probe(state: State, raster: _Raster) -> None:
    xp = namespace_of(state.object_)
    pattern = periodic_pattern(numpy_of(state.object_), raster.steps_px, raster.light)
    state.object_ /= xp.asarray(pattern.values(np.zeros(2), raster.light.shape))
    here = xp.asarray(pattern.values(raster.point_px, inside(state.probe).shape[1:]))
    inside(state.probe)[...] *= here
    inside(state.variations)[...] *= here


def _illumination(state: State, probe: C64) -> F32:
    illumination = np.zeros(state.object_.shape, np.float32)
    nearest = np.round(state.positions_px).astype(np.int32)
    object_steps.add_illumination((np.abs(probe) ** 2).sum(axis=0), nearest, illumination)
    return illumination


def held_share(object_: C64, illumination: F32, limit: float) -> float:
    """Share of the scanned area (Y, X) whose amplitude is held at a limit; 0: no limit.

    Scanned are pixels that got a tenth of the brightest's light or more.
    """
    if not limit:
        return 0.0
    scanned = illumination >= 0.1 * illumination.max()
    # An object that was rescaled after it was held lies a rounding below.
    return float((np.abs(object_[scanned]) >= limit * (1.0 - 1e-4)).mean())


def _result(
    problem: Problem,
    recipe: Recipe,
    state: State,
    sweep: Sweep,
    refinement: Refinement,
    errors: list[float],
    stopped: str,
) -> Reconstruction:
    margin = recipe.positions.margin_px
    residual = float(np.sqrt(sweep.misfit(state) / sweep.counts))
    sweep.release(state)
    probe = orthogonalise(inside(state.probe))
    illumination = _illumination(state, probe)
    inner = (slice(margin, margin + problem.object_shape[0]), slice(margin, margin + problem.object_shape[1]))
    object_, illumination = np.ascontiguousarray(state.object_[inner]), np.ascontiguousarray(illumination[inner])
    return Reconstruction(
        object_=object_,
        probe=probe,
        positions_px=state.positions_px - margin,
        error=np.array(errors, np.float32),
        residual=residual,
        illumination=illumination,
        mode_power=mode_power(probe),
        intensity=state.intensity,
        background=np.fft.fftshift(state.background),
        variations=inside(state.variations).copy(),
        shares=state.shares,
        affine=refinement.affine,
        held_share=held_share(object_, illumination, recipe.model.amplitude_limit),
        stopped=stopped,
    )
