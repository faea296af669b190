"""The hot loops over far fields: the measured modulus is put in, and the misfit differentiated along a change.

The layout of arrays is described in ``layout``. Sums over a row are float32, sums over rows float64.
"""

import numpy as np

from stxmdist.arrays import F32, F64, Array, compiled

_EDGE = 16
"""2 ``fourier.PAD``, written out: numba's cache does not notice when another file changes."""
_ROWS = 6
"""``fourier.PAD_ROWS``"""
_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_TWO = np.float32(2.0)


@compiled
def _reading(count: float, scale: np.float32, expected: np.float32) -> np.float32:
    """What was measured; a negative count says that it was so many at least, so that a brighter model is right."""
    return np.float32(count) * scale if count >= 0 else max(-np.float32(count) * scale, expected)


@compiled
def _change(measured: np.float32, expected: np.float32, poisson: bool) -> np.float32:
    # By how much, relative to itself, the field is to change.
    ratio = np.sqrt(measured / expected)
    if not poisson:
        return np.float32(ratio - _ONE)
    # Half the gradient of the Poisson likelihood, (I / M - 1) / 2; straight on above twice the amplitude, where the
    # model is too wrong for likelihoods and a dark pixel would outweigh all others.
    return np.float32(_HALF * (ratio * ratio - _ONE) if ratio < _TWO else np.float32(1.5) * (ratio - _ONE))


@compiled
def _inverse(pixels: int) -> np.float32:
    # Not in single precision: the compiler takes a loop's factor 1 / n for a quotient, and divides at each pixel.
    return np.float32(1.0 / pixels)


@compiled
def _modulus_row(wave: F32, counts: Array, use: F32, back: F32, gain: float, pixels: int) -> np.float32:
    inverse, scale = _inverse(pixels), gain * np.float32(pixels)
    tiny = np.float32(1e-6) * np.float32(pixels)
    sum_ = _ZERO
    for k in range(use.shape[0]):
        a, b = wave[2 * k], wave[2 * k + 1]
        expected = a * a + b * b + back[k] * scale + tiny
        change = use[k] * (np.sqrt(_reading(counts[k], scale, expected) / expected) - _ONE)
        sum_ += expected * change * change
        factor = (_ONE + change) * inverse
        wave[2 * k] = a * factor
        wave[2 * k + 1] = b * factor
    return sum_


@compiled
def _modulus_row_of_modes(
    psi: F32,
    row: int,
    counts: Array,
    use: F32,
    back: F32,
    gain: float,
    pixels: int,
    poisson: bool,
    factor: F32,
) -> np.float32:
    # Rows are cut from whole arrays one by one: only so the compiler knows that they are contiguous.
    inverse, scale = _inverse(pixels), gain * np.float32(pixels)
    tiny = np.float32(1e-6) * np.float32(pixels)
    width = 2 * use.shape[0]
    factor[:] = _ZERO
    for mode in range(psi.shape[0]):
        wave = psi[mode, row, _EDGE : _EDGE + width]
        for k in range(use.shape[0]):
            a, b = wave[2 * k], wave[2 * k + 1]
            factor[k] += a * a + b * b
    sum_ = _ZERO
    for k in range(use.shape[0]):
        expected = factor[k] + back[k] * scale + tiny
        measured = _reading(counts[k], scale, expected)
        misfit = use[k] * (np.sqrt(measured / expected) - _ONE)
        sum_ += expected * misfit * misfit
        factor[k] = (_ONE + use[k] * _change(measured, expected, poisson)) * inverse
    for mode in range(psi.shape[0]):
        wave = psi[mode, row, _EDGE : _EDGE + width]
        for k in range(use.shape[0]):
            wave[2 * k] *= factor[k]
            wave[2 * k + 1] *= factor[k]
    return sum_


@compiled
def modulus(
    psi: F32, frames: Array, good: F32, background: F32, gain: F32, position: int, poisson: bool, lines: F32
) -> float:
    """Give far fields the measured modulus, in place; returns sum (sqrt M - sqrt I)^2 over good pixels, M = |F|^2 + b.

    The Fourier transforms around it are not normalised: their factors, the pixel count on the way in and its inverse on
    the way out, are folded in here. Pixels that are not good keep what the model says.

    Parameters
    ----------
    psi : (MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) far fields of one position, zero frequency at [0, 0]
    poisson : follow the Poisson likelihood instead of amplitudes
    lines : (4, 2 QX) scratch
    """
    modes, rows, padded = psi.shape
    width = padded - 2 * _EDGE
    pixels = (rows - 2 * _ROWS) * (width // 2)
    level = gain[position]
    total = 0.0
    step_good, step_back = min(good.shape[0] - 1, 1), min(background.shape[0] - 1, 1)
    for row in range(rows - 2 * _ROWS):
        counts, use, back = frames[position, row], good[row * step_good], background[row * step_back]
        if modes == 1 and not poisson:
            wave = psi[0, row + _ROWS, _EDGE : _EDGE + width]
            total += float(_modulus_row(wave, counts, use, back, level, pixels))
        else:
            factor = lines[2, : width // 2]
            total += float(_modulus_row_of_modes(psi, row + _ROWS, counts, use, back, level, pixels, poisson, factor))
    return total / float(level) / float(pixels)


@compiled
def search(
    field: F32,
    change: F32,
    frames: Array,
    good: F32,
    background: F32,
    gain: F32,
    position: int,
    poisson: bool,
    sums: F64,
) -> None:
    """First and second derivative of the misfit along a change of the far field, added to ``sums`` (2,).

    The misfit is sum (sqrt M - sqrt I)^2, or sum M - I ln M, M = sum over modes of |F + a dF|^2 + b, at a = 0. Fields
    come from transforms that are not normalised.
    """
    modes, rows, padded = field.shape
    width = padded - 2 * _EDGE
    half = width // 2
    inverse = np.float32(1.0 / ((rows - 2 * _ROWS) * half))
    level = gain[position]
    step_good, step_back = min(good.shape[0] - 1, 1), min(background.shape[0] - 1, 1)
    for row in range(_ROWS, rows - _ROWS):
        at = row - _ROWS
        counts, use, back = frames[position, at], good[at * step_good], background[at * step_back]
        slope, curve = _ZERO, _ZERO
        for k in range(half):
            expected, first, second = _ZERO, _ZERO, _ZERO
            for mode in range(modes):
                a, b = field[mode, row, _EDGE + 2 * k], field[mode, row, _EDGE + 2 * k + 1]
                u, v = change[mode, row, _EDGE + 2 * k], change[mode, row, _EDGE + 2 * k + 1]
                expected += a * a + b * b
                first += a * u + b * v
                second += u * u + v * v
            expected = expected * inverse + back[k] * level + np.float32(1e-6)
            first, second = np.float32(2.0) * first * inverse, np.float32(2.0) * second * inverse
            measured = _reading(counts[k], level, expected)
            # As far as the gradient follows the likelihood: to twice the amplitude, four times the counts.
            expected = max(expected, np.float32(0.25) * measured) if poisson else expected
            ratio = measured / expected
            if poisson:
                slope += use[k] * (np.float32(1.0) - ratio) * first
                curve += use[k] * (ratio * first * first / expected + (np.float32(1.0) - ratio) * second)
            else:
                root = np.sqrt(ratio)
                slope += use[k] * (np.float32(1.0) - root) * first
                curve += use[k] * (_HALF * root * first * first / expected + (np.float32(1.0) - root) * second)
        sums[0] += float(slope)
        sums[1] += float(curve)
