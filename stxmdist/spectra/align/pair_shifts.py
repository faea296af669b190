"""Shifts between pairs of frames that are neighbours along energy, and the shift of every frame from all pairs."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stxmdist.arrays import C64, F64, Index, Mask
from stxmdist.spectra.align.frame_spectra import Band

NEIGHBOURS = (1, 2, 3, 5, 8)
"""Distances along energy at which frames are compared: near ones look alike, far ones keep errors from adding up"""
OUTLIER_PX = 1.5
"""A pair that differs by more than this from the solution of all pairs is an outlier"""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Shifts between pairs of frames."""

    frames: Index
    """(PAIR, 2) indices of the two frames"""
    shift_px: F64
    """(PAIR, 2) float64 (rows, columns) by how much farther the second frame must be moved than the first"""
    precision: F64
    """(PAIR,) float64 inverse variance in 1/px^2, up to a factor common to all pairs; 0 without a significant peak"""


def pairwise_shifts(spectra: C64, frames: Index, band: Band, max_shift_px: float, least_significance: float) -> Pairs:
    """Cross-correlate the spectra (ENERGY, QY, QX) of ``frames``, in the order of energy, with their neighbours'.

    The correlation has no phase normalisation, which would give all frequencies the same weight, noise included. The
    precision follows from the curvature of the peak and the noise, which is the standard deviation of the correlation
    away from the peak.
    """
    found = []
    for place, first in enumerate(frames):
        for step in NEIGHBOURS:
            if place + step < frames.size:
                second = frames[place + step]
                shift, precision = _peak(spectra[first], spectra[second], band, max_shift_px, least_significance)
                found.append((first, second, *shift, precision))
    table = np.array(found, dtype=np.float64).reshape(-1, 5)
    return Pairs(table[:, :2].astype(np.intp), table[:, 2:4], table[:, 4])


def _peak(first: C64, second: C64, band: Band, max_shift_px: float, least_significance: float) -> tuple[F64, float]:
    product = first * np.conj(second)
    rows, columns = band.grid
    correlation = fft.irfft2(product, s=band.grid)
    pitch = band.pitch_px
    dy = np.minimum(np.arange(rows), rows - np.arange(rows))[:, None] * pitch[0]
    dx = np.minimum(np.arange(columns), columns - np.arange(columns))[None, :] * pitch[1]
    allowed = (dy <= max_shift_px) & (dx <= max_shift_px)
    place = np.unravel_index(int(np.argmax(np.where(allowed, correlation, -np.inf))), band.grid)
    elsewhere = correlation[(dy > 3.0 * pitch[0]) | (dx > 3.0 * pitch[1])]
    noise = float(elsewhere.std()) if elsewhere.size else 0.0
    if not correlation[place] > least_significance * noise:
        return np.zeros(2), 0.0
    whole = np.array([place[0] - rows * (place[0] > rows // 2), place[1] - columns * (place[1] > columns // 2)])
    shift = whole * pitch
    curvature = np.zeros((2, 2))
    for _ in range(4):
        slope, curvature = _derivatives(product, shift, band)
        if not (curvature[0, 0] < 0.0 and np.linalg.det(curvature) > 0.0):
            return shift, 0.0
        step = np.clip(-np.linalg.solve(curvature, slope), -pitch, pitch)
        shift = shift + step
        if float(np.abs(step).max()) < 0.01:
            break
    scale = float(np.prod(band.grid))
    return shift, float(np.linalg.det(curvature) / (scale * max(noise, 1e-30)) ** 2)


def _derivatives(product: C64, shift: F64, band: Band) -> tuple[F64, F64]:
    """Gradient (2,) and curvature (2, 2) of the correlation at a shift (2,) in pixels, as sums over frequencies."""
    wave_x = np.exp(1j * band.x * shift[1]) * band.fold
    columns = np.stack([wave_x, 1j * band.x * wave_x, -(band.x**2) * wave_x], axis=1)
    wave_y = np.exp(1j * band.y * shift[0])
    rows = np.stack([wave_y, 1j * band.y * wave_y, -(band.y**2) * wave_y])
    table = (rows @ (product @ columns.astype(np.complex64))).real
    return np.array([table[1, 0], table[0, 1]]), np.array([[table[2, 0], table[1, 1]], [table[1, 1], table[0, 2]]])


def solved_together(pairs: Pairs, n: int) -> tuple[F64, Mask]:
    """Shifts (FRAME, 2) of ``n`` frames by weighted least squares over all pairs, and which frames are connected.

    Pairs are reweighted by their residuals (Cauchy's weights, in the end zero beyond ``OUTLIER_PX``), so that frames
    that match no other frame do not affect the rest. A frame is connected, (FRAME,) bool, if pairs that agree join it
    to the largest group of frames and more than half of its pairs agree.
    """
    shift = np.zeros((n, 2))
    usable = pairs.precision > 0.0
    first, second = pairs.frames[usable].T
    measured, precision = pairs.shift_px[usable], pairs.precision[usable]
    if not first.size:
        return shift, np.zeros(n, dtype=np.bool_)
    precision = precision / np.median(precision)
    # One very precise pair must not dominate: changes of contrast bias all pairs by similar amounts.
    weight = np.minimum(precision, 4.0)
    believed = weight
    off = np.zeros(first.size)
    for _ in range(30):
        shift = _least_squares(first, second, measured, believed, n)
        before, off = off, np.hypot(*(measured - (shift[second] - shift[first])).T)
        scale = max(0.1, float(np.median(off)))
        believed = weight / (1.0 + (off / scale) ** 2)
        if float(np.abs(off - before).max()) < 1e-3:
            break
    agree = off <= OUTLIER_PX
    shift = _least_squares(first, second, measured, believed * agree, n)
    links = coo_array((np.ones(int(agree.sum())), (first[agree], second[agree])), shape=(n, n))
    _, group = connected_components(links, directed=False)
    ends = np.concatenate([first, second])
    total = np.bincount(ends, minlength=n)
    content = np.bincount(ends, np.tile(agree, 2), minlength=n)
    sound = (total > 0) & (content > 0.5 * total)
    sizes = np.bincount(group[sound], minlength=n)
    return shift, sound & (group == int(np.argmax(sizes)))


def _least_squares(first: Index, second: Index, measured: F64, weight: F64, n: int) -> F64:
    laplacian = np.zeros((n, n))
    np.add.at(laplacian, (first, first), weight)
    np.add.at(laplacian, (second, second), weight)
    np.add.at(laplacian, (first, second), -weight)
    np.add.at(laplacian, (second, first), -weight)
    right = np.zeros((n, 2))
    np.add.at(right, second, weight[:, None] * measured)
    np.add.at(right, first, -weight[:, None] * measured)
    # The position of the whole stack, and of frames without pairs, is not determined: they stay where they are.
    laplacian[np.diag_indices(n)] += 1e-9 * float(np.median(weight))
    return np.asarray(np.linalg.solve(laplacian, right))
