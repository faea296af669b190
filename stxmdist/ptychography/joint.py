"""All energies of a tile in one problem: their images are a few thickness maps times complex spectra.

Each energy has its own probe and its own frames; what they share are the maps. A round lets an engine move the image of
each energy for some iterations from what the maps make of it. The moves, on one grid and with the gauge of each energy
taken off, are projected on the spectra with the weights that least-squares maximum likelihood moves by: the light on
each pixel. The maps then make the images of the next round. Where the engine takes gradient steps scaled by the light
this is projected gradient descent of the frames' likelihood, and its fixed points are those of the maps.

Source: spectro-ptychographic analysis of Chang et al., J. Appl. Cryst. 53, 937 (2020), which splits exit waves and maps
by ADMM; here the engine's own steps stand in the place of the exit waves, so that no waves are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Literal

import numpy as np

from stxmdist.arrays import C64, F32, F64, Array
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.shared_spectra import (
    ImageGauge,
    best_candidate,
    fitted_maps,
    found_columns,
    gauge_step,
    logs_of,
    stacked,
)
from stxmdist.ptychography.state import NOISE, ModelOptions, refuse_unless
from stxmdist.ptychography.stitch import to_grid

AT_REST = PositionOptions(refine=False, start=0.99)
"""Positions and light are those of the reconstructions of single energies"""
GAUGE_PASSES = 3
SHIFT_PX = 0.3
"""Largest move of an image against the maps in a round"""
SHIFT_FROM = 0.4
"""Share of the rounds after which images are moved: before it there is little to hold them against"""
MOST_COMPONENTS = 6
LARGEST_MOVE = 1.0
"""Of a logarithm of amplitude in one round: dark pixels have no logarithm"""


@dataclass(frozen=True)
class JointOptions:
    """Whether and how all energies of a tile are reconstructed together."""

    spectra: Literal["off", "references", "low_rank"] = "off"
    """Each energy alone (``off``); all as thicknesses of the chemistry's end-members and of what else the data ask for
    (``references``); or of as many spectra as the data ask for (``low_rank``)
    """
    rounds: int = 12
    """Times that the images of all energies are projected on the spectra"""
    iterations: int = 2
    """Passes over all frames of an energy from one projection to the next"""
    final_step: float = 0.03
    """Over the second half of the rounds the steps of the engine shrink to this share"""
    noise: Literal["gaussian", "poisson"] = "gaussian"
    """Which likelihood: of amplitudes, which all have the same error, or of counts"""
    most_found: int = 2
    """With references: how many spectra beside theirs are found from the data at most"""
    release: int = 6
    """Iterations of each energy alone, from what the maps make of it: they tell noise, and what no spectrum explains"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            spectra=(self.spectra in ("off", "references", "low_rank"), "off, references or low_rank"),
            rounds=(self.rounds >= 2, "at least 2"),
            iterations=(self.iterations >= 1, "at least 1"),
            final_step=(0.0 < self.final_step <= 1.0, "above 0, at most 1"),
            noise=(self.noise in NOISE, " or ".join(NOISE)),
            most_found=(0 <= self.most_found <= MOST_COMPONENTS, f"0 to {MOST_COMPONENTS}"),
            release=(self.release >= 1, "at least 1"),
        )

    @property
    def wanted(self) -> bool:
        """Whether energies are reconstructed together."""
        return self.spectra != "off"


@dataclass(frozen=True, eq=False)
class References:
    """Spectra of known materials over the energies, for several shifts of the energy scale."""

    shifts_ev: F64
    """(SHIFT,) what was added to the energies"""
    logs_per_nm: Array
    """(SHIFT, COMPONENT, ENERGY) complex logarithm of the transmission of a nanometre: -mu/2 - i k delta"""

    @property
    def columns(self) -> F64:
        """(SHIFT, 2 ENERGY, COMPONENT)"""
        return np.stack([stacked(logs.T) for logs in self.logs_per_nm])

    def only(self, shift: int) -> "References":
        """The same at one of the shifts, by its number."""
        return References(self.shifts_ev[shift : shift + 1], self.logs_per_nm[shift : shift + 1])


@dataclass(frozen=True, eq=False)
class EnergyTile:
    """A tile at one energy: where its pixels lie, and where it starts."""

    grid: Grid
    """Of its own pixels"""
    problem: Callable[[], Problem]
    """Reads the frames, with the probe and the positions that it starts from"""
    shift_px: tuple[float, float] = (0.0, 0.0)
    """(y, x) of its image against those of the others, as far as is known, in pixels of the maps"""


@dataclass(frozen=True, eq=False)
class JointSetting:
    """How engines run."""

    options: JointOptions
    model: ModelOptions
    """Which unknowns they have beside the image"""
    threads: int = 1
    """As in ``reconstruct``"""
    namespace: ModuleType | None = None
    """As in ``reconstruct``"""


@dataclass(frozen=True, eq=False)
class JointImages:
    """Maps, and what each energy has of its own."""

    grid: Grid
    """Of the maps"""
    maps: F32
    """(COMPONENT, Y, X); nm where the first spectra are references"""
    columns: F64
    """(2 ENERGY, COMPONENT)"""
    gauges: tuple[ImageGauge, ...]
    """Of each energy"""
    weight: F32
    """(ENERGY, Y, X) photons that came through each pixel"""
    found: tuple[Reconstruction, ...]
    """Of each energy: its probe and positions, with the image that the maps make of it"""
    tiles: tuple[EnergyTile, ...]
    shift_ev: float | None
    """Of the references that fit best; None: there are none"""

    @property
    def logs(self) -> C64:
        """(ENERGY, Y, X) on the grid of the maps, without the gauges of the energies."""
        return logs_of(self.maps, self.columns)

    def moves_to(self, images: Sequence[Array]) -> C64:
        """Logarithms (ENERGY, Y, X) of other images of each energy over those of the maps, in the gauge of the maps."""
        moves = []
        for energy, image in enumerate(images):
            move = self._onto(energy, log_ratio(image, self.found[energy].object_))
            left = gauge_step(move, self.weight[energy], np.zeros_like(move))
            moves.append(move - left.log((move.shape[0], move.shape[1])))
        return np.asarray(np.stack(moves), np.complex64)

    def with_moves(self, moves: C64) -> tuple[C64, ...]:
        """The images (Y, X) of each energy on its own pixels, their logarithms changed by moves (ENERGY, Y, X)."""
        changed = []
        for energy, tile in enumerate(self.tiles):
            origin = shifted_origin(self.grid, self.grid, self.gauges[energy].shift_px, 1)
            move = to_grid(moves[energy], self.grid.pixel_nm, origin, tile.grid)
            changed.append((self.found[energy].object_ * np.exp(np.nan_to_num(move))).astype(np.complex64))
        return tuple(changed)

    def _onto(self, energy: int, values: Array) -> Array:
        grid = self.tiles[energy].grid
        origin = shifted_origin(grid, self.grid, self.gauges[energy].shift_px, -1)
        return np.nan_to_num(to_grid(values, grid.pixel_nm, origin, self.grid))


def shifted_origin(grid: Grid, pixels: Grid, shift_px: tuple[float, float], sign: int) -> tuple[float, float]:
    """Origin (y, x) in um of a grid that is moved by some pixels of another."""
    y, x = (grid.origin_um[axis] + sign * shift_px[axis] * pixels.pixel_nm[axis] * 1e-3 for axis in (0, 1))
    return y, x


def shared_grid(grids: Sequence[Grid]) -> Grid:
    """The grid of maps: the finest pixels of any energy, over all that the windows of all energies have."""
    pixel = (min(grid.pixel_nm[0] for grid in grids), min(grid.pixel_nm[1] for grid in grids))
    low = [min(grid.origin_um[axis] for grid in grids) for axis in (0, 1)]
    high = [max(grid.origin_um[axis] + (grid.shape[axis] - 1) * grid.pixel_nm[axis] * 1e-3 for grid in grids)
            for axis in (0, 1)]  # fmt: skip
    rows, columns = (int(np.ceil((high[axis] - low[axis]) / (pixel[axis] * 1e-3) - 1e-6)) + 1 for axis in (0, 1))
    return Grid((low[0], low[1]), pixel, (rows, columns))


def log_ratio(image: Array, model: Array) -> C64:
    """Logarithm (Y, X) of an image over its model, with the phase between -pi and pi and a bounded amplitude."""
    ratio = image / np.where(np.abs(model) > 1e-6, model, 1.0)
    size = np.clip(np.log(np.maximum(np.abs(ratio), 1e-6)), -LARGEST_MOVE, LARGEST_MOVE)
    return np.asarray(size + 1j * np.angle(ratio), np.complex64)


def joint_images(
    tiles: Sequence[EnergyTile],
    references: References | None,
    setting: JointSetting,
    key: Sequence[int],
    *,
    n_found: int = 0,
    columns: F64 | None = None,
) -> JointImages:
    """Maps and probes from the frames of all energies of a tile.

    Parameters
    ----------
    references
        spectra of the materials; None: spectra are found from the data
    key
        seed of random numbers
    n_found
        number of spectra that are found from the data: all of them, without references
    columns
        (2 ENERGY, COMPONENT) spectra that are known already; None: they are chosen or found in every round
    """
    grid = shared_grid([tile.grid for tile in tiles])
    count = len(tiles)
    gauges = [ImageGauge(shift_px=tile.shift_px) for tile in tiles]
    logs = np.zeros((count, *grid.shape), np.complex64)
    weight = np.zeros((count, *grid.shape), np.float32)
    found: list[Reconstruction | None] = [None] * count
    choice = _Choice(references, n_found, columns)
    options = setting.options
    for number in range(options.rounds):
        progress = number / (options.rounds - 1)
        recipe = _recipe(setting, options.final_step ** max(0.0, 2.0 * progress - 1.0))
        wanted = np.empty_like(logs)
        for energy, tile in enumerate(tiles):
            start = _image(tile.grid, grid, logs[energy], gauges[energy])
            result = _moved_by_engine(tile.problem(), found[energy], start, recipe, setting, [*key, number, energy])
            origin = shifted_origin(tile.grid, grid, gauges[energy].shift_px, -1)
            move = np.nan_to_num(to_grid(log_ratio(result.object_, start), tile.grid.pixel_nm, origin, grid))
            light = (result.illumination * np.abs(start) ** 2).astype(np.float32)
            weight[energy] = np.maximum(np.nan_to_num(to_grid(light, tile.grid.pixel_nm, origin, grid)), 0.0)
            wanted[energy] = logs[energy] + move
            found[energy] = replace(result, object_=start)
        maps, chosen = _projected(wanted, weight, choice, gauges, SHIFT_PX if progress >= SHIFT_FROM else 0.0)
        logs = logs_of(maps, chosen)
    results = []
    for energy, tile in enumerate(tiles):
        last = found[energy]
        assert last is not None
        results.append(replace(last, object_=_image(tile.grid, grid, logs[energy], gauges[energy])))
    return JointImages(grid, maps, chosen, tuple(gauges), weight, tuple(results), tuple(tiles), choice.shift_ev)


def released(images: JointImages, setting: JointSetting, key: Sequence[int]) -> tuple[Reconstruction, ...]:
    """Each energy alone for some iterations, from what the maps make of it."""
    options = setting.options
    recipe = Recipe((Step("lsqml", options.release, {"noise": options.noise}),), _engine_model(setting.model), AT_REST)
    return tuple(
        _moved_by_engine(tile.problem(), found, found.object_, recipe, setting, [*key, energy])
        for energy, (tile, found) in enumerate(zip(images.tiles, images.found, strict=True))
    )


class _Choice:
    """Which spectra images are projected on: given, chosen among references, found from the data."""

    def __init__(self, references: References | None, n_found: int, given: F64 | None) -> None:
        self.references, self.n_found, self.given = references, n_found, given
        self.shift_ev: float | None = None

    def columns(self, logs: C64, weight: F32) -> F64:
        if self.given is not None:
            return self.given
        if self.references is None:
            return found_columns(logs, weight, None, self.n_found)
        candidates = self.references.columns
        at, _ = best_candidate(logs, weight, candidates)
        self.shift_ev, known = float(self.references.shifts_ev[at]), candidates[at]
        found = found_columns(logs, weight, known, self.n_found)
        # Brought to the size of the others, so that maps are alike.
        size = np.abs(known).max() / max(float(np.abs(found).max(initial=0.0)), 1e-30)
        return np.concatenate([known, found * size], axis=1)


def _projected(
    wanted: C64, weight: F32, choice: _Choice, gauges: list[ImageGauge], most_shift_px: float
) -> tuple[F32, F64]:
    """Maps and spectra of logarithms (ENERGY, Y, X), whose gauges are found with them and updated in place."""
    left = wanted
    for number in range(GAUGE_PASSES):
        columns = choice.columns(left, weight)
        maps = fitted_maps(left, weight, columns)
        modelled = logs_of(maps, columns)
        shift = most_shift_px if number == GAUGE_PASSES - 1 else 0.0
        steps = [gauge_step(left[e] - modelled[e], weight[e], modelled[e], shift) for e in range(len(left))]
        # Maps have no place of their own: what all images move by is none of theirs.
        mean = np.mean([step.shift_px for step in steps], axis=0)
        for energy, step in enumerate(steps):
            y, x = np.subtract(step.shift_px, mean)
            gauges[energy] = gauges[energy].after(replace(step, shift_px=(float(y), float(x))))
        left = left - np.stack([step.log((left.shape[1], left.shape[2])) for step in steps]).astype(np.complex64)
    columns = choice.columns(left, weight)
    return fitted_maps(left, weight, columns), columns


def _engine_model(model: ModelOptions) -> ModelOptions:
    return replace(model, modes_from=0.0, probe_from=0.0, background=False, n_variations=0)


def _recipe(setting: JointSetting, size: float) -> Recipe:
    options = setting.options
    steps = {"noise": options.noise, "object_step": size, "probe_step": size, "final_step": 1.0}
    return Recipe((Step("lsqml", options.iterations, steps),), _engine_model(setting.model), AT_REST)


def _moved_by_engine(
    problem: Problem,
    before: Reconstruction | None,
    start: C64,
    recipe: Recipe,
    setting: JointSetting,
    key: Sequence[int],
) -> Reconstruction:
    probe = problem.probe if before is None else before.probe
    recipe = replace(recipe, model=replace(recipe.model, n_modes=len(probe)))
    begun = replace(problem, probe=probe, object0=start)
    rng = np.random.default_rng(list(key))
    return reconstruct(begun, recipe, rng, threads=setting.threads, namespace=setting.namespace)


def _image(own: Grid, grid: Grid, log: C64, gauge: ImageGauge) -> C64:
    """What the maps make of an energy (Y, X) on its own pixels; vacuum beyond them."""
    origin = shifted_origin(grid, grid, gauge.shift_px, 1)
    image = to_grid(np.exp(log + gauge.log(grid.shape)), grid.pixel_nm, origin, own)
    return np.where(np.isfinite(image), image, 1.0).astype(np.complex64)
