"""One tile reconstructed and judged: its frames as a whole, and in two halves whose difference tells the noise.

`reconstruct_tile` is longer than 80 lines because it wires every step from a problem to its verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from stxmdist.arrays import F64, Array, Index, Mask
from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.frc import RingCorrelation, fourier_ring_correlation
from stxmdist.ptychography.held_out import predicted_residual, static_residual
from stxmdist.ptychography.linear import parts_of, without_room
from stxmdist.ptychography.motion import Followed, Motion, followed
from stxmdist.ptychography.probe import clipped_share
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, noise_of, reconstruct
from stxmdist.ptychography.route import explained, parts_of_a_route
from stxmdist.ptychography.trials import TrialOptions
from stxmdist.ptychography.verdict import Evidence, Verdict, verdict

TURNED_DEG = 1.0
"""Smaller angles between the axes of scan and detector are not worth a word"""


@dataclass(frozen=True)
class TileResult:
    """What came of one tile at one energy."""

    whole: Reconstruction
    halves: tuple[Reconstruction, Reconstruction]
    frc: RingCorrelation
    """Of the two halves"""
    evidence: Evidence
    counts_per_frame: float
    """Photons, mean over frames, of good pixels"""
    verdict: Verdict
    schedule: str
    """What was done, and why, in words"""
    notes: tuple[str, ...] = ()
    """What else there is to say of it"""


def reconstruct_tile(
    problem: Problem,
    recipe: Recipe,
    positions: Index,
    pixel_nm: tuple[float, float],
    key: Sequence[int],
    *,
    threads: int = 1,
    namespace: ModuleType | None = None,
    checkpoint: Checkpoint | None = None,
    trials: TrialOptions | None = None,
    motion: TrialOptions | None = None,
    starts: TrialOptions | None = None,
    halves_key: Sequence[int] | None = None,
) -> TileResult:
    """Reconstruct a tile, and each half of its frames alone.

    Parameters
    ----------
    positions
        (POSITION,) number in the scan of each frame of the problem: every tile draws its halves in the same way
    key
        seed of random numbers
    threads, namespace, checkpoint
        as in ``reconstruct``; only the whole has a checkpoint
    trials
        how scale and rotation of positions are held against the frames; None: they are not
    motion
        the same of a beam that moves while frames are taken
    starts
        how another start is found where the problem's explains too little; None: there is no other
    halves_key
        seed by which frames are halved, the same for all tiles of a scan: a frame that two tiles share is then in the
        same half of both, and where they are blended halves differ as much as elsewhere. None: that of ``key``
    """
    static = static_residual(problem.frames, problem.good, problem.at_least)
    noise = noise_of(problem)

    def again(
        changed: Problem, draw: int, checkpoint: Checkpoint | None = None, by: Recipe | None = None
    ) -> Reconstruction:
        rng = np.random.default_rng([*key, draw])
        return reconstruct(changed, by or recipe, rng, threads=threads, namespace=namespace, checkpoint=checkpoint)

    def unexplained(found: Reconstruction) -> float:
        return Evidence(found.stopped, found.residual, noise, static).unexplained

    def attempt(changed: Problem, by: Recipe, number: int | None) -> Reconstruction:
        part = checkpoint.part(number) if checkpoint is not None and number is not None else None
        return again(changed, 0, part, by)

    line, way = explained(
        problem, recipe, static, unexplained, attempt, geometry=trials, starts=starts, pixel_nm=pixel_nm
    )
    problem, whole, recipe = line.problem, line.found, way.recipe
    beam = Followed(problem, whole, recipe)
    if motion is not None:
        left = unexplained(whole)
        beam = followed(problem, whole, recipe, left, motion, lambda changed, by: again(changed, 0, by=by))
        problem, whole, recipe = beam.problem, beam.found, beam.recipe
    second = second_half(positions, np.random.default_rng([*key, 3] if halves_key is None else list(halves_key)))
    one, other = (again(problem.subset(np.flatnonzero(second == which)), 1 + which) for which in (False, True))
    halves = (one, other)
    weight = np.minimum(one.illumination, other.illumination)
    frc = fourier_ring_correlation(one.object_, other.object_, pixel_nm[0], weight)
    stretch, turn_deg = parts_of(line.map)
    evidence = Evidence(
        stopped=whole.stopped,
        residual=whole.residual,
        noise_residual=noise,
        static_residual=static,
        held_out_residual=_held_out_residual(problem, whole, halves, second, recipe.model.sub_pixel),
        half_period_px=frc.half_bit_half_period_px,
        clipped_share=clipped_share(whole.probe),
        stretch=stretch,
        motion_steps=beam.steps_ignored,
    )
    if checkpoint is not None:
        for number in range(parts_of_a_route(recipe)):
            checkpoint.part(number).clear()
    return TileResult(
        whole=replace(without_room(whole, line.room_px), affine=line.map),
        halves=(without_room(one, line.room_px), without_room(other, line.room_px)),
        frc=frc,
        evidence=evidence,
        counts_per_frame=float(problem.frames[:, problem.good].sum(dtype=np.float64) / len(problem.frames)),
        verdict=verdict(evidence),
        schedule=way.words,
        notes=tuple(_words(turn_deg, beam.motion if beam.modelled else None)),
    )


def _words(turn_deg: float, moved: Motion | None) -> Iterator[str]:
    if abs(turn_deg) > TURNED_DEG:
        yield f"positions are turned by {turn_deg:.1f} degrees to fit the frames"
    if moved is not None:
        rows, columns = np.abs(moved.travel_px)
        yield (
            f"frames are as if the beam had moved by {moved.steps:.1f} steps while each was taken, {rows:.1f} px along "
            f"y and {columns:.1f} px along x: the probe has {len(moved.probe)} modes for that, of which the store "
            "keeps no more than the model asks for (model: n_modes)"
        )


def _held_out_residual(
    problem: Problem,
    whole: Reconstruction,
    halves: tuple[Reconstruction, Reconstruction],
    second: Mask,
    sub_pixel: bool,
) -> float:
    """Residual with which each half predicts the frames of the other, at the positions that the whole found."""
    refined = replace(problem, positions_px=whole.positions_px)
    squares = []
    for half, unseen in zip(halves, (second, ~second), strict=True):
        index = np.flatnonzero(unseen)
        found = predicted_residual(refined.subset(index), half, sub_pixel=sub_pixel, intensity=whole.intensity[index])
        squares.append(found**2)
    known = [square for square in squares if np.isfinite(square)]
    return float(np.sqrt(np.mean(known))) if known else float("nan")


def second_half(positions: Index, rng: np.random.Generator) -> Mask:
    """Which frames (POSITION,) belong to the second of two halves: of every two numbers in a row, one that is drawn.

    Both halves then cover the field alike. Every second position would leave whole columns of a raster to one half,
    whose image then has stripes.
    """
    drawn = rng.integers(0, 2, int(positions.max()) // 2 + 1).astype(bool)
    return np.asarray((positions % 2).astype(bool) ^ drawn[positions // 2], dtype=np.bool_)


def carried_from(
    whole: Reconstruction, orientation: int, positions_px: F64, usable: Mask, pixel_nm: tuple[float, float]
) -> Carried:
    """What the next energy starts with.

    Parameters
    ----------
    positions_px
        (USABLE, 2) where the file has the usable frames, not where the start had them: moves would else be added up
        along the chain of energies
    usable
        (POSITION,) which frames of the tile took part
    """
    moves_um = np.zeros((len(usable), 2))
    moves_um[usable] = (whole.positions_px - positions_px) * (np.array(pixel_nm) * 1e-3)
    return Carried(whole.probe, orientation, moves_um)


def in_shard(values: Array, shape: tuple[int, ...]) -> Array:
    """Values as the first part of a larger array of a shape, with (ENERGY, TILE) in front; NaN where there are none."""
    shard = np.full(shape, np.nan, values.dtype)
    shard[tuple(slice(n) for n in values.shape)] = values
    return shard[None, None]
