"""How a probe is moved by a fraction of a pixel: a basis function, its coefficients, and weights that sum them.

Interpolation of samples by six points loses light: at half a pixel's shift it keeps .95, .74 and .29 of the amplitude
at .25, .35 and .45 cycles a pixel. Six points of the *coefficients* of a basis function keep it to .3 % up to .4 cycles
a pixel, and .85 of it at .45. The coefficients follow from the samples by a filter that is inverted exactly, once for
all positions of a pass (generalised interpolation: Thevenaz, Blu et al., IEEE Trans. Med. Imaging 19, 739, 2000).

Samples outside the window are zero, so that what leaves it on one side does not come back on the other. Coefficients
are not: those that reach into the window, three before it and two after, are kept.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, F64, compiled
from stxmdist.ptychography.kernels.fourier import aligned_zeros

TAPS = 6
"""Points of the interpolation, along each axis"""
BACK_TAPS = 4
"""Of steps that are moved back"""
BASIS = (1.0, 0.53, 0.0575)
"""Of the basis function at 0, 1 and 2 pixels, before its sum is made 1. Wider ones are reproduced better between
pixels, but their coefficients are larger: here 40 times the samples at the Nyquist frequency of an axis, which costs
digits
"""
BAND = 0.42
"""Cycles a pixel up to which weights are fitted: an aperture seldom fills more of a detector"""
BEFORE = 3
"""Points of the interpolation before the pixel itself"""
_FREQUENCIES = 256
_REACH = 16
"""Pixels beyond the window over which coefficients are computed: from one to the next they fall to .65"""

_EDGE = 16
"""2 ``fourier.PAD``, written out: numba's cache does not notice when another file changes."""
_ROWS = 6
"""``fourier.PAD_ROWS``"""


def shift_weights(fraction: F64) -> F32:
    """Weights (..., TAPS) float32 of coefficients that move a function by a fraction in [0, 1) of a pixel.

    Tap t multiplies the coefficient at ``u + t - BEFORE``; a fraction of 0 gives the sample at u itself. Least squares
    of the error relative to a wave's amplitude, over frequencies up to BAND, of which low ones count most.
    """
    at, response = _frequencies()
    return _fitted(fraction, at, response, ((1.0 - (2.0 * at) ** 2) / response) ** 2, TAPS, BEFORE)


@cache
def still_weights() -> F32:
    """Weights (TAPS,) float32 that give the samples themselves."""
    return shift_weights(np.array(0.0))


def back_weights(fraction: F64) -> F32:
    """Weights (..., BACK_TAPS) float32 whose transpose moves samples back, into coefficients, by a fraction of a pixel.

    Tap t of the transpose gives to the coefficient at ``u + t - 2``. The exact inverse of that shift would need the
    filter of the coefficients after every frame. These, fitted to it by least squares, keep samples to 20 % up to a
    quarter of a cycle a pixel and weaken those beyond: enough for a step that the next frame corrects, not for a
    gradient.
    """
    at, response = _frequencies()
    return _fitted(fraction, at, 1.0 / response, ((1.0 - (2.0 * at) ** 2) * response) ** 2, BACK_TAPS, 2)


def _frequencies() -> tuple[F64, F64]:
    # In cycles a pixel, and what the basis function makes of a wave of such coefficients.
    at = (np.arange(_FREQUENCIES) + 0.5) * (BAND / _FREQUENCIES)
    values = np.cos(2.0 * np.pi * at * np.arange(len(BASIS))[:, None]) * _taps()[:, None]
    return np.asarray(at, np.float64), np.asarray(2.0 * values.sum(axis=0) - values[0], np.float64)


def _taps() -> F64:
    return np.asarray(BASIS) / (2.0 * sum(BASIS) - BASIS[0])


def _fitted(fraction: F64, at: F64, wanted: F64, weight: F64, taps: int, before: int) -> F32:
    # sum over taps of w exp(2 pi i at (tap - before)) = wanted exp(-2 pi i at fraction), by weighted least squares.
    nodes = np.arange(taps) - float(before)
    normal = (np.cos(2.0 * np.pi * at * (nodes[:, None] - nodes)[..., None]) * weight).sum(axis=-1)
    apart = nodes + np.asarray(fraction, np.float64)[..., None]
    right = (np.cos(2.0 * np.pi * at * apart[..., None]) * (wanted * weight)).sum(axis=-1)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0], np.float32)


@cache
def matrix(count: int) -> F64:
    """Matrix (count + TAPS - 1, count) that turns a line of samples into its coefficients, from three before it on."""
    whole = count + 2 * _REACH
    offsets = np.abs(np.subtract.outer(np.arange(whole), np.arange(whole)))
    inverse = np.linalg.inv(np.append(_taps(), 0.0)[np.minimum(offsets, len(BASIS))])
    return inverse[_REACH - BEFORE : _REACH - BEFORE + count + TAPS - 1, _REACH : _REACH + count]


class Factors(NamedTuple):
    """The matrix that turns a line of coefficients into samples, as L D L' with two diagonals below that of L."""

    first: F64
    """(count + 2,) of L, next to the diagonal; two more zeros at the end"""
    second: F64
    """(count + 2,) the one below"""
    inverse: F64
    """(count,) 1 / D"""


@cache
def factors(count: int) -> Factors:
    """How coefficients of a line of samples are found by substitution."""
    middle, near, far = _taps()
    first, second, pivots = np.zeros(count + 2), np.zeros(count + 2), np.zeros(count)
    pivots[0], first[1] = middle, near / middle
    pivots[1] = middle - first[1] * near
    for k in range(2, count):
        second[k] = far / pivots[k - 2]
        first[k] = (near - far * first[k - 1]) / pivots[k - 1]
        pivots[k] = middle - second[k] * far - first[k] ** 2 * pivots[k - 1]
    return Factors(first, second, 1.0 / pivots)


def coefficients(probe: C64) -> C64:
    """Coefficients of a probe, both (MODE, QY + 2 PAD_ROWS, QX + 2 PAD); the probe's margins are zero; numpy's."""
    return _filtered(probe, BEFORE, TAPS - 1 - BEFORE)


def coefficients_adjoint(asked: C64) -> C64:
    """Adjoint of :func:`coefficients`; the margins of what it returns are zero."""
    return _filtered(asked, 0, 0)


def _filtered(values: C64, before: int, after: int) -> C64:
    # In double precision, because coefficients are so much larger than what they sum to.
    modes, rows, columns = values.shape
    down, along = _REACH - _ROWS, _REACH - _EDGE // 2
    # Rows of an odd number of cache lines: neighbours above one another then do not compete for the same few of them.
    more = (4 - (columns + 2 * along)) % 8
    wide = np.zeros((modes, rows + 2 * down, columns + 2 * along + more), np.complex128)
    middle = wide[:, down : down + rows, along : along + columns]
    middle[...] = values
    _solve(wide.view(np.float64), factors(wide.shape[1]), factors(wide.shape[2]), down, along)
    found: C64 = aligned_zeros(values.shape, np.complex64)
    inner = np.s_[:, _ROWS - before : rows - _ROWS + after, _EDGE // 2 - before : columns - _EDGE // 2 + after]
    found[inner] = middle[inner]
    return found


@compiled
def _solve(values: F64, down: Factors, along: Factors, spare_rows: int, spare_columns: int) -> None:
    # Beside the spare columns all are zero, and nobody asks for the spare rows.
    modes, rows, width = values.shape
    left, right = 2 * spare_columns, width - 2 * spare_columns
    for mode in range(modes):
        image = values[mode]
        for k in range(1, rows):
            here, above, higher = image[k], image[k - 1], image[max(k - 2, 0)]
            one, two = down.first[k], down.second[k]
            for i in range(left, right):
                here[i] -= one * above[i] + two * higher[i]
        for k in range(rows - 1, -1, -1):
            here, below, lower = image[k], image[min(k + 1, rows - 1)], image[min(k + 2, rows - 1)]
            one, two, scale = down.first[k + 1], down.second[k + 2], down.inverse[k]
            for i in range(left, right):
                here[i] = scale * here[i] - one * below[i] - two * lower[i]
        # Along rows each number waits for the one before: all rows at once, so that others are computed meanwhile.
        for i in range(2, width):
            one, two, far = along.first[i // 2], along.second[i // 2], max(i - 4, 0)
            for row in range(spare_rows, rows - spare_rows):
                image[row, i] -= one * image[row, i - 2] + two * image[row, far]
        for i in range(width - 1, -1, -1):
            one, two, scale = along.first[i // 2 + 1], along.second[i // 2 + 2], along.inverse[i // 2]
            near, far = min(i + 2, width - 1), min(i + 4, width - 1)
            for row in range(spare_rows, rows - spare_rows):
                image[row, i] = scale * image[row, i] - one * image[row, near] - two * image[row, far]
