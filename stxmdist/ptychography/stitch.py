"""Tiles joined into one object: their gauges are made to agree over all overlaps at once, and they are blended."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform, distance_transform_edt, map_coordinates
from scipy.sparse.csgraph import connected_components

from stxmdist.arrays import C64, C128, F32, F64, Array, Mask
from stxmdist.ptychography.gauge import Gauge, fit_gauge, remove_ramp
from stxmdist.ptychography.geometry import Placement
from stxmdist.ptychography.grid import Grid
from stxmdist.ptychography.verdict import Word

_ENOUGH_PX = 100
"""Pixels that two tiles must share to be tied together."""
_ROUNDS = 4
POOR_WEIGHT = 0.1
"""Weight of the illumination of a poor tile beside that of a good one; where no good one reaches, it counts alone."""
_SPLINE = 5
"""Order of the spline that resamples: a cubic spline dampens details of the size of a pixel by more than a percent."""


@dataclass(frozen=True)
class TileImage:
    """A reconstructed tile on the scan's grid."""

    object_: C64
    """(TY, TX)"""
    weight: F32
    """(TY, TX) illumination, counts per pixel"""
    corner_px: tuple[int, int]
    """(row, column) of its first pixel in the scan's object"""
    trust: float = 1.0
    """Weight of all its pixels beside those of other tiles"""


@dataclass(frozen=True)
class TileGauge:
    """The gauge that a tile must be divided by, with r counted in the scan's pixels."""

    gauge: Gauge
    component: int
    """Tiles of one number are tied together by overlaps. Between numbers, offset, ramp and scale are unknown"""
    residual_rad: float
    """Weighted rms of the phase by which the tile still differs from its neighbours; NaN without neighbours"""


@dataclass(frozen=True)
class _Pair:
    i: int
    j: int
    units: C128
    """exp(i phase) of tile i less that of tile j"""
    log_amplitude: float
    weight: F64
    y: F64
    x: F64


def solve_gauge(tiles: Sequence[TileImage], least_illumination: float = 0.3) -> list[TileGauge]:
    """Amplitude scale, phase offset and phase ramp of each tile, by least squares over all pixels of all overlaps.

    A start is found along the strongest overlaps, the ramp of each pair from the peak of a Fourier transform, which
    phase wraps do not disturb. Then all unknowns are solved together from the remaining phases and log amplitudes.
    Offset, ramp and scale common to all tiles are not determined: their mean is made zero.

    Parameters
    ----------
    least_illumination
        pixels count where both tiles have more than this share of their median illumination
    """
    middle = np.mean([np.array(tile.corner_px) + np.array(tile.object_.shape) / 2.0 for tile in tiles], axis=0)
    pairs = _overlaps(tiles, middle, least_illumination)
    count = len(tiles)
    links = np.zeros((count, count))
    for pair in pairs:
        links[pair.i, pair.j] = links[pair.j, pair.i] = pair.weight.sum()
    component = connected_components(links, directed=False)[1]
    unknowns = _start(pairs, links, count)  # (TILE, 4): log amplitude, phase, ramp y, ramp x, about the middle
    for _ in range(_ROUNDS):
        unknowns += _refinement(pairs, unknowns, component)
    for number in np.unique(component):
        unknowns[component == number] -= unknowns[component == number].mean(axis=0)
    residual = _residuals(pairs, unknowns, count)
    return [
        TileGauge(
            gauge=Gauge(
                log_amplitude=float(row[0]),
                phase_rad=float(row[1] - row[2] * middle[0] - row[3] * middle[1]),
                ramp_rad_per_px=(float(row[2]), float(row[3])),
            ),
            component=int(component[index]),
            residual_rad=float(residual[index]),
        )
        for index, row in enumerate(unknowns)
    ]


def _overlaps(tiles: Sequence[TileImage], middle: F64, least: float) -> list[_Pair]:
    pairs = []
    floors = [least * float(np.median(tile.weight[tile.weight > 0])) for tile in tiles]
    for i, one in enumerate(tiles):
        for j in range(i + 1, len(tiles)):
            other = tiles[j]
            low = np.maximum(one.corner_px, other.corner_px)
            high = np.minimum(
                np.array(one.corner_px) + one.object_.shape, np.array(other.corner_px) + other.object_.shape
            )
            if (high <= low).any():
                continue
            cut_i, cut_j = (_box(low - tile.corner_px, high - tile.corner_px) for tile in (one, other))
            lit = (one.weight[cut_i] > floors[i]) & (other.weight[cut_j] > floors[j])
            first, second = one.object_[cut_i].astype(np.complex128), other.object_[cut_j].astype(np.complex128)
            lit &= np.isfinite(first) & np.isfinite(second)
            if int(lit.sum()) < _ENOUGH_PX:
                continue
            rows, columns = np.indices(lit.shape)
            power = np.abs(first * second)
            sound = lit & (power > 1e-6)
            # A phase is as good as the light behind it: illumination times transmission.
            weight = np.where(sound, np.sqrt(one.weight[cut_i] * other.weight[cut_j].astype(np.float64)) * power, 0.0)
            if not weight.any():
                continue
            units = np.where(sound, first * np.conj(second) / np.where(sound, power, 1.0), 0.0)
            # From powers, so that the order of both tiles does not matter; equal noise in both cancels.
            powers = [float((weight * np.abs(np.where(sound, values, 0.0)) ** 2).sum()) for values in (first, second)]
            logs = 0.5 * float(np.log(powers[0] / powers[1]))
            pairs.append(_Pair(i, j, units, logs, weight, rows + low[0] - middle[0], columns + low[1] - middle[1]))
    return pairs


def _box(low: Array, high: Array) -> tuple[slice, slice]:
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _start(pairs: list[_Pair], links: F64, count: int) -> F64:
    unknowns = np.full((count, 4), np.nan)
    found = {}
    for pair in pairs:
        gauge = fit_gauge(pair.units, pair.weight)
        ramp = np.array(gauge.ramp_rad_per_px)
        at_middle = gauge.phase_rad - ramp @ np.array([pair.y[0, 0], pair.x[0, 0]])
        difference = np.array([pair.log_amplitude, at_middle, *ramp])
        found[pair.i, pair.j] = difference
        found[pair.j, pair.i] = -difference
    for root in range(count):
        if not np.isnan(unknowns[root, 0]):
            continue
        unknowns[root] = 0.0
        while True:  # follow the strongest link from a tile that is known to one that is not
            known = ~np.isnan(unknowns[:, 0])
            reach = np.where(known[:, None] & ~known[None, :], links, 0.0)
            if reach.max() <= 0.0:
                break
            i, j = np.unravel_index(int(reach.argmax()), reach.shape)
            unknowns[j] = unknowns[i] - found[int(i), int(j)]
    return unknowns


def _left(pair: _Pair, unknowns: F64) -> C128:
    d = unknowns[pair.i] - unknowns[pair.j]
    return np.asarray(pair.units * np.exp(-1j * (d[1] + d[2] * pair.y + d[3] * pair.x)), np.complex128)


def _refinement(pairs: list[_Pair], unknowns: F64, component: Array) -> F64:
    count = len(unknowns)
    phase_matrix, phase_side = np.zeros((3 * count, 3 * count)), np.zeros(3 * count)
    scale_matrix, scale_side = np.zeros((count, count)), np.zeros(count)
    for pair in pairs:
        left = _left(pair, unknowns)
        terms = np.stack([np.ones(pair.y.shape), pair.y, pair.x]).reshape(3, -1)
        weighted = terms * pair.weight.ravel()
        normal, side = weighted @ terms.T, weighted @ np.angle(left).ravel()
        total = float(pair.weight.sum())
        scale = total * (pair.log_amplitude - (unknowns[pair.i, 0] - unknowns[pair.j, 0]))
        for tile, sign in ((pair.i, 1.0), (pair.j, -1.0)):
            own = slice(3 * tile, 3 * tile + 3)
            phase_side[own] += sign * side
            scale_side[tile] += sign * scale
            for second, other_sign in ((pair.i, 1.0), (pair.j, -1.0)):
                phase_matrix[own, 3 * second : 3 * second + 3] += sign * other_sign * normal
                scale_matrix[tile, second] += sign * other_sign * total
    step = np.zeros((count, 4))
    # The common gauge is in the null space, where the pseudo-inverse leaves it at zero. Columns are scaled to one size.
    size = np.sqrt(np.maximum(np.diag(phase_matrix), 1e-300))
    solved = np.linalg.pinv(phase_matrix / np.outer(size, size), rcond=1e-10, hermitian=True) @ (phase_side / size)
    step[:, 1:] = (solved / size).reshape(count, 3)
    step[:, 0] = np.linalg.pinv(scale_matrix, rcond=1e-10, hermitian=True) @ scale_side
    return step


def _residuals(pairs: list[_Pair], unknowns: F64, count: int) -> F64:
    squares, weights = np.zeros(count), np.zeros(count)
    for pair in pairs:
        square = float((pair.weight * np.angle(_left(pair, unknowns)) ** 2).sum())
        for tile in (pair.i, pair.j):
            squares[tile] += square
            weights[tile] += float(pair.weight.sum())
    return np.sqrt(squares / np.where(weights > 0, weights, np.nan))


def blend(
    tiles: Sequence[TileImage],
    gauges: Sequence[TileGauge],
    object_shape: tuple[int, int],
    least_illumination: float = 0.1,
) -> tuple[C64, F32]:
    """One object (Y, X) from tiles brought to one gauge, and its illumination; NaN where too little light fell.

    A tile has the weight of its illumination, which fades out smoothly where it falls below half of the usual, times
    the square of the distance from its rim: near the rim few frames determine the object, and a tile that began at once
    would show as a seam. The illumination returned is the mean over tiles with the same weights.

    Parameters
    ----------
    least_illumination
        share of the usual illumination under which a pixel of a tile is not used
    """
    total = np.zeros(object_shape, np.complex128)
    light, weights = np.zeros(object_shape), np.zeros(object_shape)
    usual = float(np.median(np.concatenate([tile.weight[tile.weight > 0] for tile in tiles])))
    for tile, solved in zip(tiles, gauges, strict=True):
        rows, columns = tile.object_.shape
        box = np.s_[tile.corner_px[0] : tile.corner_px[0] + rows, tile.corner_px[1] : tile.corner_px[1] + columns]
        illumination = tile.weight.astype(np.float64)
        ramp = np.clip((illumination / usual - least_illumination) / (0.5 - least_illumination), 0.0, 1.0)
        weight = tile.trust * illumination * ramp**2 * (3.0 - 2.0 * ramp)
        weight[~np.isfinite(tile.object_)] = 0.0
        weight *= distance_transform_edt(np.pad(weight > 0, 1))[1:-1, 1:-1] ** 2
        fixed = tile.object_ / solved.gauge.factor((rows, columns), tile.corner_px)
        total[box] += np.where(weight > 0, weight * np.nan_to_num(fixed), 0.0)
        light[box] += weight * illumination
        weights[box] += weight
    known = weights > 0
    safe = np.where(known, weights, 1.0)
    object_ = np.where(known, total / safe, complex(np.nan, np.nan)).astype(np.complex64)
    return object_, np.where(known, light / safe, 0.0).astype(np.float32)


def trust_of(verdict: Word) -> float:
    """Weight of a tile in the blend."""
    return POOR_WEIGHT if verdict == "poor" else 1.0


def half_in_gauge(half: TileImage, whole: TileImage) -> TileImage:
    """A tile from half of the frames with the scale, phase offset and phase ramp of the whole, and its weight."""
    object_ = remove_ramp(half.object_, whole.object_, whole.weight.astype(np.float64)).astype(np.complex64)
    return TileImage(object_, whole.weight, whole.corner_px, whole.trust)


def on_grid(
    tiles: Sequence[TileImage],
    gauges: Sequence[TileGauge],
    placement: Placement,
    grid: Grid,
    least_illumination: float = 0.1,
) -> tuple[Array, Array]:
    """Object and illumination of all tiles, blended (see :func:`blend`) and laid on a grid (Y, X)."""
    image, light = blend(tiles, gauges, placement.object_shape, least_illumination)
    moved = [to_grid(values, placement.pixel_nm, placement.origin_um, grid) for values in (image, light)]
    return moved[0], moved[1]


def to_grid(object_: Array, pixel_nm: tuple[float, float], origin_um: tuple[float, float], grid: Grid) -> Array:
    """An image (Y, X), complex or real, on another grid by a quintic spline; NaN outside and where it touches NaN.

    The pixel size of the object scales as 1/E, so that all energies of a stack must be brought to one grid. Of complex
    objects the field is interpolated, not the phase, which wraps.
    """
    scale = np.array([grid.pixel_nm[axis] / pixel_nm[axis] for axis in (0, 1)])
    offset = np.array([(grid.origin_um[axis] - origin_um[axis]) / (pixel_nm[axis] * 1e-3) for axis in (0, 1)])
    unknown = ~np.isfinite(object_)
    if unknown.all():
        return np.full(grid.shape, np.nan, object_.dtype)
    # Holes are filled with the nearest known value, so that the spline does not ring at their borders.
    filled = _filled(object_, unknown) if unknown.any() else object_
    parts = [filled.real, filled.imag] if np.iscomplexobj(filled) else [filled]
    moved = [
        affine_transform(
            np.asarray(part, np.float64), scale, offset, grid.shape, order=_SPLINE, mode="mirror", prefilter=True
        )
        for part in parts
    ]
    result = moved[0] + 1j * moved[1] if len(moved) == 2 else moved[0]
    rows, columns = (offset[axis] + scale[axis] * np.arange(grid.shape[axis]) for axis in (0, 1))
    slack = 1e-6
    inside_y = (rows >= -slack) & (rows <= object_.shape[0] - 1 + slack)
    inside_x = (columns >= -slack) & (columns <= object_.shape[1] - 1 + slack)
    touched = np.zeros(grid.shape, bool)
    if unknown.any():
        at = np.meshgrid(rows, columns, indexing="ij")
        touched = map_coordinates(unknown.astype(np.float64), at, order=1, mode="nearest") > slack
    hidden = ~(inside_y[:, None] & inside_x) | touched
    result[hidden] = complex(np.nan, np.nan) if np.iscomplexobj(result) else np.nan
    return np.asarray(result, object_.dtype)


def _filled(values: Array, unknown: Mask) -> Array:
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])
