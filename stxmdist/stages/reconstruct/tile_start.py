"""A tile at one energy, and what its reconstruction begins with: frames, positions, beam, orientation of the frames."""

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from storage.output import Output
from stxmdist.arrays import Array, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.kernels.sweep_arrays import found_cupy
from stxmdist.ptychography.probe import probe_from_mean_pattern, propagate, zone_plate_probe
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import reconstruct
from stxmdist.ptychography.start import find_defocus, find_orientation, middle, turned
from stxmdist.ptychography.tiling import TileWindow, Tiling
from stxmdist.runner.perform import threads_lent
from stxmdist.runner.unit import Unit
from stxmdist.stages.reconstruct.options import LEAST_FRAMES, Options


@dataclass(frozen=True)
class Device:
    """Where engines run."""

    namespace: Any
    """the array library; None: the loops on the CPU"""
    words: str


def device_of(options: Options) -> Device:
    """What was asked for, or the CPU with the reason in its words."""
    if options.device == "cpu":
        return Device(None, "cpu")
    cupy, reason = found_cupy()
    return Device(cupy, "gpu" if cupy is not None else f"cpu ({reason})")


@dataclass(frozen=True)
class FrameTile:
    """A tile at one energy, and where it may begin."""

    unit: Unit
    ingest: Output
    window: TileWindow
    energy: int
    energy_ev: float
    device: Device
    carried: Carried | None

    @property
    def options(self) -> Options:
        """The stage's."""
        options: Options = self.unit.options
        return options

    @property
    def key(self) -> list[int]:
        """What random numbers follow from."""
        return [self.unit.part["seed"], zlib.crc32(self.unit.scan_id.encode()), self.energy]

    @property
    def where(self) -> str:
        """In words."""
        return f"reconstruct of {self.unit.scan_id}, {self.unit.name} at {self.energy_ev:g} eV"


def seed_of(tile: FrameTile, tiles: Tiling) -> Carried | None:
    """The beam that all tiles begin with, in the middle of the tile that shows most; found by each of them once more.

    Begun each for itself, neighbours could end with an object and its conjugate twin, and meet in a seam.
    """
    windows = tiles.windows[tile.energy]
    valid = tile.ingest.read("frame_class", (tile.energy, slice(None))) == MaskClass.valid
    usable = [int(valid[window.tile.positions].sum()) for window in windows]
    contrast = np.zeros(len(windows))
    for number, window in enumerate(windows):
        if 2 * usable[number] > max(usable):
            counts = few_counts(tile.ingest, tile.energy, window.tile.positions[valid[window.tile.positions]])
            contrast[number] = counts.std() / max(counts.mean(), 1.0)
    number = int(np.argmax(contrast))
    chosen = replace(tile, window=windows[number])
    try:
        here = valid[chosen.window.tile.positions]
        problem, origin, orientation = problem_of(chosen, here, tiles.placements[tile.energy].pixel_nm)
    except InputError:
        return None
    rng = np.random.default_rng([*tile.key, number, 4])
    sample = middle(problem, tile.options.seed_positions)
    result = reconstruct(
        sample, tile.options.recipe(None), rng, threads=threads_lent(), namespace=tile.device.namespace
    )
    if result.stopped != "finished":
        return None
    unmoved = np.zeros((len(tile.window.tile.positions), 2))
    return Carried(result.probe, orientation, unmoved, f"seed of tile {number}, {origin}")


def problem_of(tile: FrameTile, usable: Mask, pixel_nm: tuple[float, float]) -> tuple[Problem, str, int]:
    """What is to be reconstructed, in words where it begins, and by which orientation its frames are turned."""
    if usable.sum() < LEAST_FRAMES:
        raise InputError(
            where=tile.where,
            problem="too few frames of the tile can be used",
            got=f"{int(usable.sum())} of {len(usable)}",
            wanted=f"at least {LEAST_FRAMES} frames with counts below the detector's ceiling",
            mend="Look at the scan with `stxmdist inspect`; exclude it if the beam was lost",
        )
    window, options = tile.window, tile.options.probe
    frames = _frames(tile.ingest, tile.energy, window.tile.positions[usable])
    good = tile.ingest.read("detector_mask") == 0
    positions = window.positions_px[usable]
    if tile.carried is not None:
        moved = positions + tile.carried.moves_um[usable] / (np.array(pixel_nm) * 1e-3)
        room = np.array(window.shape) - np.array(frames.shape[1:]) - 1
        orientation = tile.carried.orientation
        frames, good = turned(frames, orientation), turned(good, orientation)
        problem = Problem(frames, good, np.clip(moved, 0.0, room), tile.carried.probe, window.shape)
        return problem, tile.carried.origin, orientation
    empty = np.zeros((1, *frames.shape[1:]), np.complex64)
    problem, orientation = Problem(frames, good, positions, empty, window.shape), 0
    if options.orientation == "find":
        orientation = find_orientation(problem, pixel_nm, tile.energy_ev, tile.options.trials).orientation
        problem = replace(problem, frames=turned(frames, orientation), good=turned(good, orientation))
    return *_started(tile, problem, pixel_nm), orientation


def _started(tile: FrameTile, problem: Problem, pixel_nm: tuple[float, float]) -> tuple[Problem, str]:
    options = tile.options.probe
    shape = (problem.frames.shape[1], problem.frames.shape[2])
    if options.use_file and "illumination" in tile.ingest.arrays():
        return replace(problem, probe=tile.ingest.read("illumination")), "file"
    if options.outer_zone_nm is not None:
        focused = zone_plate_probe(
            shape,
            pixel_nm,
            tile.energy_ev,
            outer_zone_nm=options.outer_zone_nm,
            central_stop_fraction=options.central_stop_fraction,
        )
        origin = "zone plate"
    else:
        focused = probe_from_mean_pattern(problem.frames.mean(axis=0, dtype=np.float64) * problem.good)
        origin = "mean frame"
    if options.defocus_um is None:
        scan = find_defocus(problem, focused, pixel_nm, tile.energy_ev, tile.options.trials)
        return replace(problem, probe=scan.probe), f"{origin}, defocus {scan.defocus_um:.4g} um by trials"
    probe = propagate(focused, pixel_nm, tile.energy_ev, options.defocus_um)[None]
    return replace(problem, probe=probe), f"{origin}, defocus {options.defocus_um:.4g} um"


def few_counts(ingest: Output, energy: int, positions: Array) -> Array:
    """Counts of some frames, a few that lie apart."""
    frames = ingest.array("frames")
    few = positions[:: max(1, len(positions) // 16)]
    return np.array([np.nansum(np.asarray(frames[energy, int(position)], np.float64)) for position in few])


def _frames(ingest: Output, energy: int, positions: Array) -> Array:
    """Frames of a tile, read in runs so that no more than a shard is held beside them."""
    array = ingest.array("frames")
    run = 256
    frames = np.empty((len(positions), *array.shape[2:]), array.dtype)
    filled = 0
    for start in range(0, array.shape[1], run):
        wanted = positions[(positions >= start) & (positions < start + run)]
        if len(wanted):
            first, last = int(wanted[0]), int(wanted[-1]) + 1
            frames[filled : filled + len(wanted)] = np.asarray(array[energy, first:last])[wanted - first]
            filled += len(wanted)
    return frames
