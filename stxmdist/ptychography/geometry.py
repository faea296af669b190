"""Where things lie: pixel size of the object, positions in pixels, overlap of neighbours, and tiles of a scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import F64, Array, Index
from stxmdist.errors import InputError
from stxmdist.units import wavelength_nm

LEAST_OVERLAP = 0.3
"""With less linear overlap of neighbouring beams no reconstruction can be trusted; beamlines aim at 0.6 to 0.7."""

LEAST_STEP_PX = 0.5
"""Steps are several pixels: beams so close together that hardly a pixel of the object is between them show that an
energy, a distance or a unit is wrong
"""


class ScanGeometry(NamedTuple):
    """What of a scan's header says where its frames lie on the sample."""

    energy_ev: F64
    """(ENERGY,)"""
    positions_um: F64
    """(ENERGY, POSITION, 2) (y, x) of the beam on the sample"""
    distance_m: float
    """From the sample to the detector"""
    detector_pixel_um: tuple[float, float]
    """(y, x)"""
    frame_shape: tuple[int, int]
    """(QY, QX)"""


def object_pixel_nm(energy_ev: float, distance_m: float, detector_pixel_um: float, n: int) -> float:
    """Pixel size of the object along one axis in nm, lambda z / (n p); it scales as 1/E.

    Source: the sampling of the discrete Fourier transform between exit wave and far field.
    """
    return wavelength_nm(energy_ev) * distance_m * 1e6 / (n * detector_pixel_um)


@dataclass(frozen=True)
class Placement:
    """Scan positions on the grid of an object that holds all their windows."""

    positions_px: F64
    """(POSITION, 2) [row, column] of each window's first pixel"""
    object_shape: tuple[int, int]
    """(Y, X)"""
    origin_um: tuple[float, float]
    """(y, x) of the centre of the object's pixel [0, 0]"""
    pixel_nm: tuple[float, float]
    """(y, x)"""

    @property
    def y_um(self) -> F64:
        """(Y,) centres of the rows."""
        return np.asarray(self.origin_um[0] + np.arange(self.object_shape[0]) * self.pixel_nm[0] * 1e-3)

    @property
    def x_um(self) -> F64:
        """(X,) centres of the columns."""
        return np.asarray(self.origin_um[1] + np.arange(self.object_shape[1]) * self.pixel_nm[1] * 1e-3)


def positions_to_px(
    positions_um: F64,
    pixel_nm: float | tuple[float, float],
    frame_shape: tuple[int, int],
    origin_um: tuple[float, float] | None = None,
) -> Placement:
    """Beam positions (POSITION, 2) (y, x) in um as windows on an object's grid.

    The beam meets the object at the window's pixel n // 2. Without an origin the grid begins one pixel before the first
    window; its origin is a whole multiple of the pixel, so that scans of one place at one energy share their grid.

    Raises
    ------
    InputError
        if positions are not finite, or a given origin leaves windows outside the object.
    """
    pixels = pixel_nm if isinstance(pixel_nm, tuple) else (pixel_nm, pixel_nm)
    if not np.isfinite(positions_um).all():
        raise InputError(
            where="scan positions",
            problem="positions are not finite",
            got=f"{int((~np.isfinite(positions_um)).any(axis=1).sum())} of {len(positions_um)}",
            wanted="finite numbers",
            mend="Leave those frames out",
        )
    pixel_um = np.array(pixels) * 1e-3
    half = np.array(frame_shape) // 2
    if origin_um is None:
        first = np.floor(positions_um.min(axis=0) / pixel_um) - half - 1.0
        origin = first * pixel_um
        positions_px = positions_um / pixel_um - first - half
    else:
        origin = np.array(origin_um, np.float64)
        positions_px = (positions_um - origin) / pixel_um - half
        if positions_px.min() < 0.0:
            raise InputError(
                where="scan positions",
                problem="the object begins after the first window",
                got=f"origin {origin.tolist()} um",
                wanted=f"at most {(positions_um.min(axis=0) - half * pixel_um).tolist()} um",
                mend="Give an earlier origin, or none",
            )
    shape = np.ceil(positions_px.max(axis=0)).astype(int) + np.array(frame_shape) + 1
    return Placement(
        positions_px=positions_px,
        object_shape=(int(shape[0]), int(shape[1])),
        origin_um=(float(origin[0]), float(origin[1])),
        pixel_nm=pixels,
    )


def probe_diameter_px(probe: Array, share: float = 0.9) -> float:
    """Diameter, in pixels, of the circle around the beam's centroid that holds ``share`` of its power."""
    power = (np.abs(np.asarray(probe, np.complex128)) ** 2).reshape(-1, *probe.shape[-2:]).sum(axis=0)
    rows, columns = np.indices(power.shape)
    total = power.sum()
    centre = (rows * power).sum() / total, (columns * power).sum() / total
    radius = np.hypot(rows - centre[0], columns - centre[1]).ravel()
    order = np.argsort(radius)
    reached = np.cumsum(power.ravel()[order]) / total
    return float(2.0 * radius[order][min(int(np.searchsorted(reached, share)), radius.size - 1)])


def step_px(positions_px: F64) -> float:
    """Typical distance of neighbouring positions (POSITION, 2): the median of that to the second nearest.

    It is robust against jitter, spirals and gaps. Exposures of one place count once.
    """
    from scipy.spatial import cKDTree

    places = np.unique(np.round(positions_px, 3), axis=0)
    if len(places) < 2:
        return 0.0
    distances = cKDTree(places).query(places, k=min(3, len(places)))[0]
    return float(np.median(distances[:, -1]))


def refuse_close(positions_px: F64) -> None:
    """Refuse positions (POSITION, 2) that lie closer together than ``LEAST_STEP_PX``.

    Raises
    ------
    InputError
        naming what may be wrong by a large factor.
    """
    step = step_px(positions_px)
    if len(positions_px) > 1 and step < LEAST_STEP_PX:
        raise InputError(
            where="scan positions",
            problem="neighbouring beams lie closer together than the pixels of the object",
            got=f"steps of {step:.2g} px",
            wanted=f"steps of at least {LEAST_STEP_PX} px",
            mend="Look at the unit of the positions, at the energy, the distance and the detector's pixel: one of them "
            "is wrong by a large factor",
        )


def overlap(positions_px: F64, diameter_px: float) -> float:
    """Linear overlap 1 - step / diameter of neighbouring beams, the step being that of ``step_px``.

    Raises
    ------
    InputError
        if it is below ``LEAST_OVERLAP``: neighbouring frames then do not tie each other's phases.

    Source: Bunk et al., Ultramicroscopy 108, 481 (2008).
    """
    if len(positions_px) < 2:
        return 1.0
    step = step_px(positions_px)
    figure = 1.0 - step / diameter_px
    if figure < LEAST_OVERLAP:
        raise InputError(
            where="scan positions",
            problem="neighbouring beams overlap too little for ptychography",
            got=f"step {step:.1f} px, beam {diameter_px:.1f} px across, overlap {figure:.2f}",
            wanted=f"an overlap of at least {LEAST_OVERLAP}",
            mend="Look at the unit of the positions, at the energy and at the distance; or scan with smaller steps",
        )
    return figure


@dataclass(frozen=True)
class Tile:
    """Positions that are reconstructed together: those of its core, and a halo that it shares with its neighbours."""

    index: int
    positions: Index
    """(n,) indices into the scan's positions, ascending: those of the core and of the halo around it"""
    core_um: tuple[float, float, float, float]
    """y0, y1, x0, x1 of the beam positions that belong to this tile alone"""


def split_tiles(positions_um: F64, *, most_positions: int, halo_um: float, least_positions: int = 16) -> list[Tile]:
    """A scan's positions (POSITION, 2) cut into a grid of tiles that overlap by a halo on every side.

    Every position is in the core of exactly one tile. The grid is the coarsest, with cells nearest to squares, whose
    tiles (halo included) have at most ``most_positions``. Cells with fewer positions in their core than
    ``least_positions`` are joined to a neighbour.

    Raises
    ------
    InputError
        if no grid can do that, because the halo alone holds more.
    """
    count = len(positions_um)
    everything = np.arange(count, dtype=np.intp)
    low, high = positions_um.min(axis=0), positions_um.max(axis=0)
    if count <= most_positions:
        return [Tile(0, everything, (float(low[0]), float(high[0]), float(low[1]), float(high[1])))]
    extent = np.maximum(high - low, 1e-9)
    for cells in range(2, max(3, count // max(least_positions, 1)) + 1):
        for rows, columns in _grids(cells, extent):
            tiles = _cut(positions_um, low, extent, (rows, columns), halo_um, least_positions)
            if max(len(tile.positions) for tile in tiles) <= most_positions:
                return tiles
    raise InputError(
        where="tiles",
        problem="the halo alone holds more positions than a tile may have",
        got=f"halo {halo_um} um, {count} positions over {extent[0]:.3g} x {extent[1]:.3g} um",
        wanted=f"tiles of at most {most_positions} positions",
        mend="Allow more positions per tile or a smaller halo",
    )


def _grids(cells: int, extent: F64) -> list[tuple[int, int]]:
    # Long cells are left out: slivers are nearly all halo.
    pairs = [(rows, cells // rows) for rows in range(1, cells + 1) if cells % rows == 0]
    sides = {pair: abs(float(np.log((extent[0] / pair[0]) / (extent[1] / pair[1])))) for pair in pairs}
    return sorted((pair for pair in pairs if sides[pair] <= np.log(2.5)), key=lambda pair: sides[pair])


def _cut(
    positions_um: F64,
    low: F64,
    extent: F64,
    grid: tuple[int, int],
    halo_um: float,
    least: int,
) -> list[Tile]:
    size = extent / np.array(grid)
    cell = np.minimum(((positions_um - low) / size).astype(int), np.array(grid) - 1)
    owner = cell[:, 0] * grid[1] + cell[:, 1]
    # A sparse corner of the scan does not make a tile.
    for number in range(grid[0] * grid[1]):
        own = owner == number
        if 0 < own.sum() < least:
            centre = positions_um[own].mean(axis=0)
            others = ~own
            nearest = int(np.argmin(((positions_um[others] - centre) ** 2).sum(axis=1)))
            owner[own] = owner[others][nearest]
    tiles: list[Tile] = []
    for number in np.unique(owner):
        own = positions_um[owner == number]
        y0, x0 = own.min(axis=0)
        y1, x1 = own.max(axis=0)
        inside = (
            (positions_um[:, 0] >= y0 - halo_um)
            & (positions_um[:, 0] <= y1 + halo_um)
            & (positions_um[:, 1] >= x0 - halo_um)
            & (positions_um[:, 1] <= x1 + halo_um)
        )
        box = (float(y0), float(y1), float(x0), float(x1))
        tiles.append(Tile(len(tiles), np.flatnonzero(inside), box))
    return tiles


def merged(tiles: Sequence[Tile], positions_um: F64, values: Sequence[F64]) -> F64:
    """Values (n, AXIS) of every tile's positions as one array (POSITION, AXIS), NaN where no tile has one.

    Where several tiles have a value, the tile counts in whose core the position lies. If that is several or none, it is
    the tile with the nearest centre of its core.
    """
    found = np.full((len(positions_um), values[0].shape[1]), np.nan)
    least = np.full(len(positions_um), np.inf)
    # More than any distance: a tile with the position in its core comes before all others.
    outside_um = float(np.ptp(positions_um, axis=0).sum()) + 1.0
    for tile, own in zip(tiles, values, strict=True):
        known = np.isfinite(own).all(axis=1)
        which = tile.positions[known]
        here, (low, high) = positions_um[which], np.array(tile.core_um).reshape(2, 2).T
        rank = np.hypot(*(here - 0.5 * (low + high)).T) + outside_um * ((here < low) | (here > high)).any(axis=1)
        better = rank < least[which]
        least[which[better]] = rank[better]
        found[which[better]] = own[known][better]
    return found


def tile_window(
    placement: Placement, tile: Tile, frame_shape: tuple[int, int]
) -> tuple[F64, tuple[int, int], tuple[int, int]]:
    """A tile on the scan's grid: its positions (n, 2) in its own pixels, its first pixel there, and its shape.

    Tiles keep the scan's pixels, so that a tile is a slice of the scan's object and stitching resamples nothing.
    """
    positions = placement.positions_px[tile.positions]
    corner = np.floor(positions.min(axis=0)).astype(int)
    last = np.ceil(positions.max(axis=0)).astype(int) + np.array(frame_shape)
    last = np.minimum(last + 1, np.array(placement.object_shape))
    shape = last - corner
    return positions - corner, (int(corner[0]), int(corner[1])), (int(shape[0]), int(shape[1]))
