"""The frames of a tile at one energy, read from the store as a problem that is ready to be reconstructed."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TypeAlias

import numpy as np

from stxmdist.arrays import Mask
from stxmdist.errors import InputError
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.ptychography.chain import NEIGHBOUR, Carried
from stxmdist.ptychography.geometry import Placement
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.joint_tile import LitImage
from stxmdist.ptychography.kernels.device import found_cupy
from stxmdist.ptychography.options import LEAST_FRAMES, ReconstructOptions
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import reconstruct
from stxmdist.ptychography.start import Start, afresh, carried_on, tile_with_most_contrast
from stxmdist.ptychography.tiling import TileWindow, Tiling
from stxmdist.ptychography.trials import middle_with_corner
from stxmdist.runner.perform import threads_lent
from stxmdist.runner.unit import Unit
from stxmdist.stages.reconstruct.scan_frames import ScanFrames

STREAM = zlib.crc32(b"reconstruct")
"""What sets the random numbers of this stage apart from those of others with the same seed"""


@dataclass(frozen=True)
class ReconstructPart:
    """One tile of a scan, at all or one of its energies."""

    energies: tuple[int, ...]
    """Places along the scan's energies"""
    tile: int
    seed: int
    """Of the campaign"""
    end_members: EndMemberSource | None = None
    """Of what all energies are made together; None: of nothing that is known"""


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
    frames: ScanFrames
    window: TileWindow
    energy_ev: float
    device: Device
    carried: Carried | None

    @property
    def options(self) -> ReconstructOptions:
        """Those of the stage."""
        return self.unit.options

    @property
    def energy(self) -> int:
        """Its place along the scan's energies."""
        return self.frames.energy

    @property
    def key(self) -> list[int]:
        """Seed of random numbers: the same for all tiles of a scan at one energy, whatever the scan is called."""
        return [self.unit.part.seed, STREAM, self.energy]

    @property
    def halves_key(self) -> list[int]:
        """Seed by which frames are halved: a frame that two tiles share is in the same half of both."""
        return [*self.key, 3]

    @property
    def where(self) -> str:
        """The tile and its energy in words."""
        return f"reconstruct of {self.unit.scan_id}, {self.unit.name} at {self.energy_ev:g} eV"

    def usable(self) -> Mask:
        """(POSITION of the tile,) frames that hold a signal."""
        return self.frames.usable[self.window.tile.positions]


@dataclass(frozen=True, eq=False)
class Seed:
    """The middle of one tile at one energy, the same for all tiles of a scan."""

    tile: int
    origin: str
    """Where its own start comes from, in words"""
    orientation: int
    found: Reconstruction
    grid: Grid
    """Of its pixels"""

    def carried(self, positions: int, origin: str) -> Carried:
        """What a tile of so many positions starts with, which has moved none of them."""
        return Carried(self.found.probe, self.orientation, np.zeros((positions, 2)), origin)

    @property
    def for_tiles(self) -> str:
        """Origin of the start of tiles that begin with it."""
        return f"seed of tile {self.tile}, {self.origin}"

    @property
    def image(self) -> LitImage:
        """What it shows of the sample."""
        return LitImage(self.grid, self.found.object_, self.found.illumination)


def seed_of(tile: FrameTile, tiles: Tiling, before: Seed | None = None) -> Seed | None:
    """The probe with which all tiles start, from the middle of the tile with most contrast; each tile finds it anew.

    If every tile found a start of its own, neighbours could end with an object and its conjugate twin, and meet in a
    seam. None where the tile cannot be reconstructed. ``before`` is the seed at a neighbouring energy, if there is one.
    """
    windows = tiles.windows[tile.energy]
    if before is None:
        own = [window.tile.positions[tile.frames.usable[window.tile.positions]] for window in windows]
        counts = [tile.frames.photons_per_frame[positions] for positions in own]
        number, carried = tile_with_most_contrast(counts, [len(positions) for positions in own]), None
    else:
        number = before.tile
        carried = before.carried(len(windows[number].tile.positions), NEIGHBOUR)
    chosen = replace(tile, window=windows[number], carried=carried)
    placement = tiles.placements[tile.energy]
    try:
        start = start_of(chosen, chosen.usable(), placement.pixel_nm)
    except InputError:
        return None
    rng = np.random.default_rng([*tile.key, number, 4])
    sample, corner = middle_with_corner(start.problem, tile.options.seed_positions)
    recipe = tile.options.recipe(None if before is None else NEIGHBOUR)
    result = reconstruct(sample, recipe, rng, threads=threads_lent(), namespace=tile.device.namespace)
    if result.stopped != "finished":
        return None
    first = np.add(chosen.window.corner, corner)
    grid = grid_from(placement, (int(first[0]), int(first[1])), sample.object_shape)
    return Seed(number, start.origin, start.orientation, result, grid)


def seeds_along(order: Sequence[tuple[FrameTile, int | None]], tiles: Tiling) -> dict[int, Seed]:
    """The seed at every energy that has one, each from that of its neighbour.

    Parameters
    ----------
    order
        any tile at one energy after the other, with the place of the energy that each starts from
    """
    seeds: dict[int, Seed] = {}
    for tile, neighbour in order:
        found = seed_of(tile, tiles, None if neighbour is None else seeds.get(neighbour))
        if found is not None:
            seeds[tile.energy] = found
    return seeds


def grid_from(placement: Placement, first: tuple[int, int], shape: tuple[int, int]) -> Grid:
    """The grid of some pixels of a scan, the first of which has these numbers there."""
    y, x = (placement.origin_um[axis] + first[axis] * placement.pixel_nm[axis] * 1e-3 for axis in (0, 1))
    return Grid((y, x), placement.pixel_nm, shape)


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
    window, of_scan, options = tile.window, tile.frames, tile.options
    positions = window.tile.positions[usable]
    frames, at_least = of_scan.photons(positions)
    problem = Problem(
        frames=frames,
        good=of_scan.good,
        positions_px=window.positions_px[usable],
        probe=np.zeros((1, *frames.shape[1:]), np.complex64),
        object_shape=window.shape,
        at_least=at_least,
        light=of_scan.light[positions],
        readings=of_scan.readings,
    )
    if tile.carried is not None:
        return carried_on(problem, tile.carried, usable, pixel_nm)
    ingest = of_scan.ingest
    in_file = ingest.read("illumination") if "illumination" in ingest.arrays() else None
    return afresh(problem, in_file, pixel_nm, tile.energy_ev, options.probe, options.trials)
