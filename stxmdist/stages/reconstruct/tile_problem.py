"""The frames of a tile at one energy, read from the store as a problem that is ready to be reconstructed."""

import zlib
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TypeAlias

import numpy as np

from storage.output import Output
from stxmdist.arrays import F64, Array, Index, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.kernels.device import found_cupy
from stxmdist.ptychography.noise import CountModel, count_model
from stxmdist.ptychography.options import LEAST_FRAMES, ReconstructOptions
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import reconstruct
from stxmdist.ptychography.start import Start, afresh, carried_on, tile_with_most_contrast
from stxmdist.ptychography.tiling import TileWindow, Tiling
from stxmdist.ptychography.trials import middle
from stxmdist.readers.frames.unread import known_readings
from stxmdist.runner.perform import threads_lent
from stxmdist.runner.unit import Unit

STREAM = zlib.crc32(b"reconstruct")
"""What sets the random numbers of this stage apart from those of others with the same seed"""
RUN = 256
"""Frames that are read at once, at most: they are held beside those of the tile."""
FEW = 16
"""Frames whose counts tell how bright a scan or a tile is."""
NOISE_FRAMES = 64
"""Frames whose noise tells what a count is."""


@dataclass(frozen=True)
class ReconstructPart:
    """One tile of a scan, at all or one of its energies."""

    energies: tuple[int, ...]
    """Places along the scan's energies"""
    tile: int
    seed: int
    """Of the campaign"""


TileUnit: TypeAlias = Unit[ReconstructOptions, ReconstructPart]


@dataclass(frozen=True)
class Device:
    """Where engines run."""

    namespace: ModuleType | None
    """The array library; None: the compiled loops on the CPU"""
    words: str


def device_of(options: ReconstructOptions) -> Device:
    """The device that the options ask for, or the CPU with the reason in its words."""
    if options.device == "cpu":
        return Device(None, "cpu")
    cupy, reason = found_cupy()
    return Device(cupy, "gpu" if cupy is not None else f"cpu ({reason})")


@dataclass(frozen=True)
class FrameTile:
    """A tile at one energy, and what it may take over from a neighbour."""

    unit: TileUnit
    ingest: Output
    window: TileWindow
    energy: int
    """Its place along the scan's energies"""
    energy_ev: float
    device: Device
    carried: Carried | None

    @property
    def options(self) -> ReconstructOptions:
        """Those of the stage."""
        return self.unit.options

    @property
    def key(self) -> list[int]:
        """Seed of random numbers: the same for all tiles of a scan at one energy, whatever the scan is called."""
        return [self.unit.part.seed, STREAM, self.energy]

    @property
    def where(self) -> str:
        """The tile and its energy in words."""
        return f"reconstruct of {self.unit.scan_id}, {self.unit.name} at {self.energy_ev:g} eV"

    def usable(self) -> Mask:
        """(POSITION of the tile,) frames that hold a signal."""
        return usable_frames(self.ingest, self.energy)[self.window.tile.positions]


def usable_frames(ingest: Output, energy: int) -> Mask:
    """(POSITION,) frames of a scan that hold a signal."""
    return np.asarray(ingest.read("frame_class", (energy, slice(None))) == MaskClass.valid, dtype=np.bool_)


def seed_of(tile: FrameTile, tiles: Tiling) -> Carried | None:
    """The probe with which all tiles start, from the middle of the tile with most contrast; each tile finds it anew.

    If every tile found a start of its own, neighbours could end with an object and its conjugate twin, and meet in a
    seam. None where the tile cannot be reconstructed.
    """
    windows = tiles.windows[tile.energy]
    valid = usable_frames(tile.ingest, tile.energy)
    own = [window.tile.positions[valid[window.tile.positions]] for window in windows]
    counts = [few_counts(tile.ingest, tile.energy, positions) for positions in own]
    number = tile_with_most_contrast(counts, [len(positions) for positions in own])
    chosen = replace(tile, window=windows[number])
    try:
        start = start_of(chosen, chosen.usable(), tiles.placements[tile.energy].pixel_nm)
    except InputError:
        return None
    rng = np.random.default_rng([*tile.key, number, 4])
    sample = middle(start.problem, tile.options.seed_positions)
    result = reconstruct(
        sample, tile.options.recipe(None), rng, threads=threads_lent(), namespace=tile.device.namespace
    )
    if result.stopped != "finished":
        return None
    unmoved = np.zeros((len(tile.window.tile.positions), 2))
    return Carried(result.probe, start.orientation, unmoved, f"seed of tile {number}, {start.origin}")


def start_of(tile: FrameTile, usable: Mask, pixel_nm: tuple[float, float]) -> Start:
    """The problem of a tile with its start.

    Raises
    ------
    InputError
        for too few usable frames.
    """
    if usable.sum() < LEAST_FRAMES:
        raise InputError(
            where=tile.where,
            problem="too few frames of the tile can be used",
            got=f"{int(usable.sum())} of {len(usable)}",
            wanted=f"at least {LEAST_FRAMES} frames with counts below the detector's ceiling",
            mend="Look at the scan with `stxmdist inspect`; exclude it if the beam was lost",
        )
    window, ingest, options = tile.window, tile.ingest, tile.options
    good = ingest.read("detector_mask") == 0
    readings = count_model(_sample(ingest, tile.energy), good, options.counts_per_photon)
    frames, at_least = _photons(ingest, tile.energy, window.tile.positions[usable], good, readings)
    problem = Problem(
        frames=frames,
        good=good,
        positions_px=window.positions_px[usable],
        probe=np.zeros((1, *frames.shape[1:]), np.complex64),
        object_shape=window.shape,
        at_least=at_least,
        readings=readings,
    )
    if tile.carried is not None:
        return carried_on(problem, tile.carried, usable, pixel_nm)
    in_file = ingest.read("illumination") if "illumination" in ingest.arrays() else None
    return afresh(problem, in_file, pixel_nm, tile.energy_ev, options.probe, options.trials)


def few_counts(ingest: Output, energy: int, positions: Index) -> F64:
    """Counts on good pixels of some frames: a few of those at the positions, spread over them."""
    good, ceiling = ingest.read("detector_mask") == 0, float(ingest.read("ceiling_counts")[energy])
    frames = ingest.array("frames")
    few = positions[:: max(1, len(positions) // FEW)]
    some = (known_readings(np.asarray(frames[energy, int(position)]), ceiling)[0] for position in few)
    return np.array([frame[good].sum(dtype=np.float64) for frame in some])


def _sample(ingest: Output, energy: int) -> Array:
    """Usable frames across the whole scan at one energy: all its tiles take their readings for the same."""
    positions = np.flatnonzero(usable_frames(ingest, energy))
    chosen = np.unique(np.linspace(0, len(positions) - 1, NOISE_FRAMES).astype(int))
    array, ceiling = ingest.array("frames"), float(ingest.read("ceiling_counts")[energy])
    frames = np.stack([np.asarray(array[energy, int(at)]) for at in positions[chosen]])
    values, at_least = known_readings(frames, ceiling)
    return np.where(at_least, np.float32(np.nan), values) if at_least.any() else frames


def _photons(
    ingest: Output, energy: int, positions: Index, good: Mask, readings: CountModel
) -> tuple[Array, Mask | None]:
    """Frames of a tile in photons, and where they are but the least that there was, if anywhere on good pixels.

    They are read in runs, so that no more than a shard is held beside them.
    """
    array, ceiling = ingest.array("frames"), float(ingest.read("ceiling_counts")[energy])
    frames = np.empty((len(positions), *array.shape[2:]), array.dtype if readings.of_photons else np.float32)
    at_least = np.zeros(frames.shape, bool)
    filled = 0
    for start in range(0, array.shape[1], RUN):
        wanted = positions[(positions >= start) & (positions < start + RUN)]
        if len(wanted):
            first, last = int(wanted[0]), int(wanted[-1]) + 1
            part = slice(filled, filled + len(wanted))
            values, at_least[part] = known_readings(np.asarray(array[energy, first:last])[wanted - first], ceiling)
            at_least[part] &= good
            photons = readings.photons(values)
            # What tells nothing is no less than none, whatever the offset.
            frames[part] = np.where(at_least[part] & (values == 0), 0, photons)
            filled += len(wanted)
    return frames, at_least if at_least.any() else None
