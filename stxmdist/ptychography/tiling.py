"""How a ptychography scan is cut into tiles, and where each lies at each energy: the same for all who ask."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.ptychography.geometry import (
    Placement,
    Tile,
    object_pixel_nm,
    positions_to_px,
    split_tiles,
    tile_window,
)


@dataclass(frozen=True)
class TileWindow:
    """One tile at one energy on the grid of its scan."""

    tile: Tile
    positions_px: F64
    """(POSITION of the tile, 2) in the tile's own pixels"""
    corner: tuple[int, int]
    """The tile's first pixel on the grid of the scan"""
    shape: tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """All tiles of a scan, at every energy."""

    placements: tuple[Placement, ...]
    """For each energy"""
    windows: tuple[tuple[TileWindow, ...], ...]
    """For each energy, for each tile"""

    @property
    def n_tiles(self) -> int:
        """Number of tiles, the same at every energy."""
        return len(self.windows[0])

    @property
    def most_positions(self) -> int:
        """Number of positions of the fullest tile."""
        return max(len(window.tile.positions) for window in self.windows[0])

    @property
    def largest(self) -> tuple[int, int]:
        """Rows and columns that are enough for any tile at any energy."""
        shapes = np.array([window.shape for row in self.windows for window in row])
        return int(shapes[:, 0].max()), int(shapes[:, 1].max())


def tiling_of(
    energy_ev: F64,
    positions_um: F64,
    distance_m: float,
    detector_pixel_um: tuple[float, float],
    frame_shape: tuple[int, int],
    *,
    most_positions: int,
    halo_um: float,
) -> Tiling:
    """Cut the positions of the first energy (ENERGY, POSITION, 2) into tiles, and place them at every energy."""
    tiles = split_tiles(positions_um[0], most_positions=most_positions, halo_um=halo_um)
    placements, windows = [], []
    for energy, here_um in zip(energy_ev, positions_um, strict=True):
        pixels = (
            object_pixel_nm(float(energy), distance_m, detector_pixel_um[0], frame_shape[0]),
            object_pixel_nm(float(energy), distance_m, detector_pixel_um[1], frame_shape[1]),
        )
        placement = positions_to_px(here_um, pixels, frame_shape)
        placements.append(placement)
        windows.append(tuple(TileWindow(tile, *tile_window(placement, tile, frame_shape)) for tile in tiles))
    return Tiling(tuple(placements), tuple(windows))
