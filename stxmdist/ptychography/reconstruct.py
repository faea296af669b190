"""A tile reconstructed: engines run in a row, other unknowns are found between iterations, the best state is kept.

It is longer than 400 lines because the recipe stands beside the loop that follows it, and `reconstruct` is longer than
80 lines because that loop is one course of events.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from stxmdist.ptychography.schedule import AS_GIVEN, LEAST, Adaptation, Length, length_of
from stxmdist.ptychography.state import ModelOptions, State, refuse_unless
from stxmdist.ptychography.verdict import shot_noise_residual


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
    adaptation: Adaptation = AS_GIVEN
    """How far the schedule follows what its errors say"""

    def __post_init__(self) -> None:
        refuse_unless(self, schedule=(len(self.schedule) > 0, "at least one engine"))

    @property
    def iterations(self) -> int:
        """Number of iterations of all engines together, as planned."""
        return sum(step.iterations for step in self.schedule)

    @property
    def most_iterations(self) -> int:
        """The same where the last engine goes on for as long as it may."""
        last = self.schedule[-1].iterations
        return self.iterations + (int(self.adaptation.longest * last) - last if self.adapts else 0)

    @property
    def adapts(self) -> bool:
        """Whether errors decide how long the last engine goes on: they must tell, and there must be enough of them."""
        last = self.schedule[-1]
        return self.adaptation.adapt and ENGINES[last.engine].comparable and last.iterations >= 2 * LEAST

    def passes(self, errors: Sequence[float], noise: float) -> Iterator["Pass"]:
        """All iterations in their order, while ``errors`` grows by that of each; ``noise`` as in ``length_of``."""
        begun = 0
        for number, step in enumerate(self.schedule):
            ends = number + 1 == len(self.schedule)
            adapts, own, planned = ends and self.adapts, 0, step.iterations
            length, passes = None, None if adapts else planned
            while passes is None or own < passes:
                if adapts and length is None:
                    length = self._length(errors[begun : begun + own], planned, noise)
                    passes = length.passes if length is not None else None
                own += 1
                if length is not None:
                    share = length.share(own)
                else:
                    share = min(0.5, own / planned) if adapts else own / planned
                yield Pass(step, own - 1, share, ends and own == passes)
            begun += own

    def length(self, errors: Sequence[float], noise: float) -> Length | None:
        """How long its last engine went on, if errors decided that: those of all iterations."""
        last = self.schedule[-1].iterations
        own = errors[self.iterations - last :]
        return self._length(own, last, noise) if self.adapts else None

    def _length(self, own: Sequence[float], planned: int, noise: float) -> Length | None:
        return length_of(own, planned, noise, self.adaptation.longest, sooner=self.adaptation.sooner)

    def words(self, errors: Sequence[float], length: Length | None) -> str:
        """What was done in iterations with such errors, and why."""
        done, said = 0, []
        for step in self.schedule[:-1]:
            said.append(f"{step.engine} {min(step.iterations, max(0, len(errors) - done))}")
            done += step.iterations
        last, here = self.schedule[-1], max(0, len(errors) - done)
        said.append(f"{last.engine} {here}")
        if length is not None and length.reason != "as planned":
            said[-1] += f" of {last.iterations} ({length.reason})"
        return ", ".join(said)

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


class Pass(NamedTuple):
    """One iteration of a schedule."""

    step: Step
    own: int
    """Its number in the step, from 0"""
    share: float
    """Of the step, after it"""
    ends: bool
    """Whether it is the last of all"""


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
    noise = noise_of(problem) if recipe.adapts else float("nan")
    errors: list[float] = []
    stopped = "finished"
    if checkpoint is not None and (kept := checkpoint.load(state, refinement)) is not None:
        state, errors, stopped = kept
    sweep = sweep_on(namespace, roomy, threads, library).with_modes(len(state.probe))
    sweep.adopt(state)
    best, engine = state.copy(), None
    ahead = islice(enumerate(recipe.passes(errors, noise)), len(errors), None)
    for iteration, (step, own, share, ends) in ahead if stopped == "finished" else ():
        progress, comparable = min(1.0, iteration / recipe.iterations), ENGINES[step.engine].comparable
        if (modes := recipe.modes_at(progress)) != sweep.modes:
            sweep, engine = _with_modes(sweep, state, modes, model), None
            # With a new mode the error rises at first: that is not a divergence.
            best = replace(state.copy(), error=np.inf)
            refinement.forget()
        if engine is None or own == 0:
            engine = ENGINES[step.engine].load()(sweep, state, step.parsed())
        before = state.copy()
        probe_moves = progress >= model.probe_from and not model.freeze_probe
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
        if comparable and not ends and refinement.due(iteration + 1, progress):
            refinement.apply(sweep, state, progress)
            power = refinement.power_of(state, problem.good, power)
        _constrain(state, model, power, raster)
        if checkpoint is not None:
            checkpoint.save(state, errors, refinement)
        if watch is not None:
            watch(iteration + 1, state)
    if checkpoint is not None:
        checkpoint.end(state, errors, refinement, stopped)
    length = recipe.length(errors, noise)
    return replace(
        _result(problem, recipe, state, sweep, refinement, errors, stopped),
        schedule=recipe.words(errors, length),
        gaining=length is not None and length.reason == "still gaining",
    )


def noise_of(problem: Problem) -> float:
    """Amplitude residual that the noise of all frames alone leaves over."""
    return shot_noise_residual(problem.frames, problem.good, problem.readings.readout, problem.at_least)


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
