"""All energies of a tile together, after each alone: their noise by halves, and whether that is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import C64, C128, F32, F64, Array, Index, Mask
from stxmdist.ptychography.frc import fourier_ring_correlation
from stxmdist.ptychography.gauge import fit_gauge, register_pair
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.held_out import predicted_residual
from stxmdist.ptychography.joint import (
    GAUGE_PASSES,
    MOST_COMPONENTS,
    EnergyTile,
    JointImages,
    JointOptions,
    JointSetting,
    References,
    joint_images,
    log_ratio,
    released,
    shared_grid,
    shifted_origin,
)
from stxmdist.ptychography.probe import clipped_share
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.shared_spectra import (
    best_candidate,
    beyond_spectra,
    components_in_both,
    fitted_maps,
    found_columns,
    gauge_step,
    logs_of,
    noise_gain,
    unexplained,
)
from stxmdist.ptychography.state import ModelOptions
from stxmdist.ptychography.stitch import to_grid
from stxmdist.ptychography.tile import TileResult, second_half
from stxmdist.ptychography.verdict import verdict

FARTHEST_PX = 20.0
"""Images of two energies that seem to lie farther apart than this have nothing in common"""
LEAST_RANK = 2
"""Of one spectrum alone, thickness follows, and no state of charge. In few photons the second is weaker than the noise
of images, yet it is what is asked for: maps average what single images hide
"""
AS_NOISE, ABOVE_NOISE = 2.0, 3.0
"""From which signal on there is a spectrum: all that there may be without references, where one that is missing is a
wrong number; and beside references only what is beyond doubt, as halves of dim frames err alike
"""
NOT_WORSE = 1.005
"""Frames held out may be predicted worse by this factor: as much as chance makes"""


@dataclass(frozen=True, eq=False)
class LitImage:
    """An image of the sample at one energy, and where it lies."""

    grid: Grid
    """Of its pixels"""
    object_: C64
    """(Y, X)"""
    illumination: F32
    """(Y, X)"""
    shift_px: tuple[float, float] = (0.0, 0.0)
    """As in ``EnergyTile``"""

    def on(self, grid: Grid, values: Array) -> Array:
        """Values (Y, X) of its pixels on the grid of maps."""
        return to_grid(values, self.grid.pixel_nm, shifted_origin(self.grid, grid, self.shift_px, -1), grid)

    def light_on(self, grid: Grid) -> F32:
        """Its illumination on the grid of maps; 0 where none fell."""
        return np.asarray(np.maximum(np.nan_to_num(self.on(grid, self.illumination)), 0.0), np.float32)


@dataclass(frozen=True, eq=False)
class SingleEnergy:
    """What the reconstruction of one energy alone left, and where the joint one starts."""

    energy: EnergyTile
    positions: Index
    """(POSITION,) number in the scan of each frame"""
    result: TileResult
    begun_from: TileResult
    """Whose probe and positions it starts with: its own, or those of an energy that can be trusted more"""

    @property
    def image(self) -> LitImage:
        """What it shows."""
        whole = self.result.whole
        return LitImage(self.energy.grid, whole.object_, whole.illumination, self.energy.shift_px)


@dataclass(frozen=True, eq=False)
class JointTile:
    """What came of all energies of a tile together."""

    results: tuple[TileResult, ...]
    """Of each energy, whose halves differ by what fits of single energies must be told of the error of the maps"""
    better: bool
    """Whether frames that were held out are predicted as well as by each energy alone, or better"""
    note: str
    """What was done, in words"""


def joint_tile(
    singles: Sequence[SingleEnergy],
    references: References | None,
    setting: JointSetting,
    key: Sequence[int],
    halves_key: Sequence[int] | None = None,
) -> JointTile:
    """Reconstruct all energies of a tile together, and each half of the frames for its noise.

    Parameters
    ----------
    references
        spectra of the materials; None: spectra are found from the data
    key
        seed of random numbers
    halves_key
        as in ``reconstruct_tile``
    """
    n_found = _found_count(singles, references, setting.options)
    tiles = [single.energy for single in singles]
    drawn = [*key, 3] if halves_key is None else list(halves_key)
    second = [second_half(single.positions, np.random.default_rng(drawn)) for single in singles]
    whole = joint_images(tiles, references, setting, [*key, 0], n_found=n_found)
    parts = [
        [replace(tile, problem=_Part(tile, mask == which)) for tile, mask in zip(tiles, second, strict=True)]
        for which in (False, True)
    ]
    halves = [
        joint_images(part, None, setting, [*key, 1 + which], columns=whole.columns) for which, part in enumerate(parts)
    ]
    moves, *half_moves = (
        images.moves_to([found.object_ for found in released(images, setting, [*key, 4 + number])])
        for number, images in enumerate((whole, *halves))
    )
    a, b = (half.logs for half in halves)
    shared = _half_difference(a, b, whole.weight)
    noise = _half_difference(a + half_moves[0], b + half_moves[1], whole.weight)
    left, left_by_noise = (beyond_spectra(values, whole.weight, whole.columns) for values in (moves, noise))
    apart = unexplained(left, left_by_noise, whole.weight)
    gain = noise_gain(shared, noise, whole.weight, whole.columns)
    images = whole.with_moves(apart * moves)
    spread = (gain + (1.0 - gain) * apart) * noise
    noisy = [whole.with_moves(apart * moves + sign * spread) for sign in (1.0, -1.0)]
    results = []
    for energy, (single, mask) in enumerate(zip(singles, second, strict=True)):
        result = _judged(single, whole.found[energy], images[energy], [half.found[energy] for half in halves],
                         mask, single.energy.grid.pixel_nm[0], setting.model)  # fmt: skip
        one, other = (replace(half, object_=values[energy]) for half, values in zip(result.halves, noisy, strict=True))
        results.append(replace(result, halves=(one, other)))
    before, after = (_held_out(found) for found in ([one.result for one in singles], results))
    better = not after > NOT_WORSE * before
    return JointTile(tuple(results), better, _words(whole, n_found, gain, apart, before, after, better))


@dataclass(frozen=True, eq=False)
class _Part:
    """Some frames of a tile."""

    tile: EnergyTile
    chosen: Mask

    def __call__(self) -> Problem:
        return self.tile.problem().subset(np.flatnonzero(self.chosen))


def _judged(
    single: SingleEnergy,
    found: Reconstruction,
    image: C64,
    halves: Sequence[Reconstruction],
    second: Mask,
    pixel_nm: float,
    model: ModelOptions,
) -> TileResult:
    """The evidence for an energy, from its own frames and from the halves that did not see each other's."""
    problem, before = single.energy.problem(), single.result
    whole = replace(found, object_=image)
    light = np.ones(len(problem.frames)) if problem.light is None else problem.light
    residual = predicted_residual(problem, whole, sub_pixel=model.sub_pixel, intensity=light)
    squares = []
    for half, unseen in zip(halves, (second, ~second), strict=True):
        index = np.flatnonzero(unseen)
        squares.append(
            predicted_residual(problem.subset(index), half, sub_pixel=model.sub_pixel, intensity=light[index]) ** 2
        )
    one, other = halves
    frc = fourier_ring_correlation(
        one.object_, other.object_, pixel_nm, np.minimum(one.illumination, other.illumination)
    )
    held_out = float(np.sqrt(np.nanmean(squares))) if np.isfinite(squares).any() else float("nan")
    evidence = replace(
        before.evidence,
        stopped=found.stopped,
        residual=residual if np.isfinite(residual) else found.residual,
        held_out_residual=held_out,
        half_period_px=frc.half_bit_half_period_px,
        clipped_share=clipped_share(found.probe),
        stretch=single.begun_from.evidence.stretch,
        motion_steps=single.begun_from.evidence.motion_steps,
    )
    joined = replace(
        before.whole,
        object_=image,
        probe=found.probe,
        positions_px=found.positions_px,
        residual=evidence.residual,
        illumination=found.illumination,
        mode_power=found.mode_power,
        affine=single.begun_from.whole.affine,
        intensity=found.intensity,
        stopped=found.stopped,
    )
    return replace(before, whole=joined, halves=(one, other), frc=frc, evidence=evidence, verdict=verdict(evidence))


def _held_out(results: Sequence[TileResult]) -> float:
    """Residual of held-out frames of all energies together."""
    squares = [result.evidence.held_out_residual**2 for result in results]
    known = [square for square in squares if np.isfinite(square)]
    return float(np.sqrt(np.mean(known))) if known else float("nan")


def _half_difference(one: Array, other: Array, weight: F32) -> C64:
    """Half of what two halves differ by (ENERGY, Y, X), each energy without what gauges leave free."""
    half = 0.5 * (one - other)
    free = [gauge_step(plane, light, np.zeros_like(plane)).log((plane.shape[0], plane.shape[1]))
            for plane, light in zip(half, weight, strict=True)]  # fmt: skip
    return np.asarray(half - np.stack(free), np.complex64)


def _found_count(singles: Sequence[SingleEnergy], references: References | None, options: JointOptions) -> int:
    """How many spectra the halves of the energies alone ask for, beside the references."""
    most = options.most_found if references is not None else min(MOST_COMPONENTS, 2 * len(singles) - 1)
    images = [single.image for single in singles]
    grid = shared_grid([image.grid for image in images])
    weight = np.stack([image.light_on(grid) for image in images])
    halves = [
        np.stack([
            _flat_log(image.on(grid, single.result.halves[which].object_), light.astype(np.float64))
            for image, single, light in zip(images, singles, weight, strict=True)
        ])
        for which in (0, 1)
    ]  # fmt: skip
    mean = (0.5 * (halves[0] + halves[1])).astype(np.complex64)
    if references is None:
        mean, free, _ = _without_gauges(mean, weight, lambda logs: found_columns(logs, weight, None, min(2, most)))
    else:
        candidates = references.columns
        mean, free, known = _without_gauges(
            mean, weight, lambda logs: candidates[best_candidate(logs, weight, candidates)[0]]
        )
    difference = _half_difference(halves[0] - free, halves[1] - free, weight)
    one, other = mean + difference, mean - difference
    if references is None:
        return min(most, max(LEAST_RANK, components_in_both(one, other, weight, None, AS_NOISE)))
    return min(most, components_in_both(one, other, weight, known, ABOVE_NOISE))


def _without_gauges(logs: C64, weight: F32, columns_of: Callable[[C64], F64]) -> tuple[C64, C128, F64]:
    """Logarithms (ENERGY, Y, X) without what gauges leave free beside spectra, what was taken off, and the spectra."""
    free = np.zeros(logs.shape, np.complex128)
    for _ in range(GAUGE_PASSES):
        columns = columns_of(logs)
        modelled = logs_of(fitted_maps(logs, weight, columns), columns)
        step = np.stack([gauge_step(left, light, plane).log((left.shape[0], left.shape[1]))
                         for left, light, plane in zip(logs - modelled, weight, modelled, strict=True)])  # fmt: skip
        logs, free = (logs - step).astype(np.complex64), free + step
    return logs, free, columns


def best_shift(images: Sequence[LitImage], references: References) -> int:
    """Number of the shift of the energy scale at which references explain images (one for each energy) best.

    A scan has one energy scale: tiles that found one each would show steps of the state of charge at their borders.
    """
    grid, candidates = shared_grid([image.grid for image in images]), references.columns
    brightest = max(images, key=lambda image: float(image.illumination.sum()))
    placed = [
        image if image is brightest else replace(image, shift_px=shift_against(image, brightest, grid))
        for image in images
    ]
    weight = np.stack([image.light_on(grid) for image in placed])
    logs = np.stack([_flat_log(image.on(grid, image.object_), light.astype(np.float64))
                     for image, light in zip(placed, weight, strict=True)]).astype(np.complex64)  # fmt: skip
    logs, _, _ = _without_gauges(logs, weight, lambda now: candidates[best_candidate(now, weight, candidates)[0]])
    return best_candidate(logs, weight, candidates)[0]


def _flat_log(image: Array, weight: F64) -> C128:
    """Logarithm (Y, X) of an image whose offset and ramp are taken off; 0 where it is not known."""
    gauge = fit_gauge(image, weight)
    flat = np.where(np.isfinite(image), image / gauge.factor((image.shape[0], image.shape[1])), 1.0)
    return np.asarray(log_ratio(flat, np.ones(1)), np.complex128)


def shift_against(one: LitImage, reference: LitImage, grid: Grid) -> tuple[float, float]:
    """Shift (y, x) in pixels of the maps by which an image lies beside that of a reference; 0 where they do not match.

    Drift of the sample between energies moves the image of each as a whole, and frames cannot tell it from a probe
    that moved.
    """
    weight = np.minimum(one.light_on(grid), reference.light_on(grid)).astype(np.float64)
    if not (weight > 0.0).any():
        return 0.0, 0.0
    a, b = (np.exp(_flat_log(image.on(grid, image.object_), weight)) for image in (reference, one))
    y, x = register_pair(a, b, weight)
    return (-float(y), -float(x)) if np.hypot(y, x) < FARTHEST_PX else (0.0, 0.0)


def _words(whole: JointImages, n_found: int, gain: float, apart: F32, before: float, after: float, better: bool) -> str:
    what = f"{len(whole.found)} energies together as {whole.maps.shape[0]} maps"
    if whole.shift_ev is not None:
        what += f" (the end-members, energies moved by {whole.shift_ev:+.2f} eV"
        what += f", and {n_found} found beside them)" if n_found else ")"
    else:
        what += " with spectra found from the data"
    said = f"{what}: frames held out leave {after:.4f}, each energy alone {before:.4f}"
    if not better:
        return f"{said}, so each energy is left as it was alone: the sample holds what these spectra do not explain"
    alone = float((apart > 0.5).mean())
    if alone > 0.0:
        said += f"; {alone:.1%} of the area, which no spectrum explains, is left as each energy alone shows it"
    return f"{said}; noise is {gain:.2f} of that of single energies"
