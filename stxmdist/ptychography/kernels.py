"""The hot loops of the PIE family, fused so that each pattern passes through memory as seldom as possible.

Complex arrays enter as float32 views with real and imaginary parts interleaved along the last axis: the compiler
vectorises
those, not complex numbers. Waves and probes lie in padded memory (``fourier.PAD`` pixels of zeros before and after
each row):
the sub-pixel shift reads beyond the window there, and rows a power of two long would fall on the same cache lines.
Windows of
the object are addressed by their first pixel. Sums over a row are float32, sums over rows float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stxmdist.arrays import compiled

Floats = NDArray[np.float32]

TAPS = 6
"""Points of the sub-pixel interpolation: optics limit the probe's band well below Nyquist, where six are enough."""

_EDGE = 16
"""2 ``fourier.PAD``, written out: numba's cache does not notice when another file changes."""
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@compiled
def _blend_columns(source: Floats, weights: Floats, first: int, out: Floats) -> None:
    # out(u) = sum over taps of weights[tap] source(u + first + tap); slices, because an index that might be negative
    # keeps the compiler from vectorising.
    start = _EDGE + 2 * first
    row = source[start : start + out.shape[0] + 2 * TAPS]
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    for k in range(out.shape[0]):
        out[k] = w0 * row[k] + w1 * row[k + 2] + w2 * row[k + 4] + w3 * row[k + 6] + w4 * row[k + 8] + w5 * row[k + 10]


@compiled
def _blend_rows(ring: Floats, weights: Floats, first: int, out: Floats) -> None:
    # out = sum over taps of weights[tap] ring[first + tap], the ring's eight rows counted round.
    a, b, c = ring[first & 7], ring[(first + 1) & 7], ring[(first + 2) & 7]
    d, e, f = ring[(first + 3) & 7], ring[(first + 4) & 7], ring[(first + 5) & 7]
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    for k in range(out.shape[0]):
        out[k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]


@compiled
def _fill_ring(source: Floats, row: int, weights: Floats, first: int, ring: Floats) -> None:
    # The next row of the source, blended over columns; zeros beyond its end.
    if row < source.shape[0]:
        _blend_columns(source[row], weights, first, ring[row & 7])
    else:
        ring[row & 7][:] = _ZERO


@compiled
def shift_probe_adjoint(gradient: Floats, wy: Floats, wx: Floats, ring: Floats, probe: Floats) -> None:
    """Adjoint of the sub-pixel shift of :func:`exit_waves`, added to the probe; both padded, ``ring`` (10, 2 QX) is
    scratch.
    """
    modes, n, padded = probe.shape
    width = padded - 2 * _EDGE
    back_y, back_x, sum_ = wy[::-1], wx[::-1], ring[8]
    for mode in range(modes):
        ring[5:8] = _ZERO
        for row in range(-3, n):
            _fill_ring(gradient[mode], row + 3, back_x, -2, ring)
            if row >= 0:
                _blend_rows(ring, back_y, row - 2, sum_)
                target = probe[mode, row, _EDGE : _EDGE + width]
                for k in range(width):
                    target[k] += sum_[k]


@compiled
def _exit_row(object_: Floats, probe: Floats, psi: Floats, brightest: Floats) -> None:
    for k in range(brightest.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        psi[2 * k] = a * p - b * q
        psi[2 * k + 1] = a * q + b * p
        brightest[k] = max(brightest[k], a * a + b * b)


@compiled
def exit_waves(
    object_: Floats,
    probe: Floats,
    shifted: Floats,
    row0: int,
    column0: int,
    wy: Floats,
    wx: Floats,
    fractional: bool,
    ring: Floats,
    psi: Floats,
) -> None:
    """Exit waves psi = object's window times the probe moved by a fraction of a pixel.

    Parameters
    ----------
    object_ : (Y, 2 X)
    probe, shifted, psi : (MODE, QY, 2 (QX + 2 PAD)); shifted and psi are written
    wy, wx : (TAPS,) interpolation weights, see ``operators.shift_weights``; not used unless ``fractional``
    ring : (10, 2 QX) scratch; afterwards ring[9, 0] is the largest |O|^2 of the window
    """
    modes, n, padded = psi.shape
    width = padded - 2 * _EDGE
    brightest = ring[9, : width // 2]
    brightest[:] = _ZERO
    for mode in range(modes):
        if fractional:
            ring[5:8] = _ZERO
            _fill_ring(probe[mode], 0, wx, -3, ring)
            _fill_ring(probe[mode], 1, wx, -3, ring)
        for row in range(n):
            window = object_[row0 + row, 2 * column0 : 2 * column0 + width]
            wave = psi[mode, row, _EDGE : _EDGE + width]
            if fractional:
                _fill_ring(probe[mode], row + 2, wx, -3, ring)
                moved = shifted[mode, row, _EDGE : _EDGE + width]
                _blend_rows(ring, wy, row - 3, moved)
                _exit_row(window, moved, wave, brightest)
            else:
                _exit_row(window, probe[mode, row, _EDGE : _EDGE + width], wave, brightest)
    top = _ZERO
    for k in range(width // 2):
        top = max(top, brightest[k])
    brightest[0] = top


@compiled
def _modulus_row(wave: Floats, counts: NDArray[Any], use: Floats, pixels: np.float32) -> np.float32:
    inverse = _ONE / pixels
    tiny = np.float32(1e-6) * pixels
    sum_ = _ZERO
    for k in range(use.shape[0]):
        a, b = wave[2 * k], wave[2 * k + 1]
        intensity = a * a + b * b
        change = use[k] * (np.sqrt(np.float32(counts[k]) * pixels / (intensity + tiny)) - _ONE)
        sum_ += intensity * change * change
        factor = (_ONE + change) * inverse
        wave[2 * k] = a * factor
        wave[2 * k + 1] = b * factor
    return sum_


@compiled
def _modulus_row_of_modes(
    psi: Floats, row: int, counts: NDArray[Any], use: Floats, pixels: np.float32, factor: Floats
) -> np.float32:
    # Rows are cut from whole arrays one by one: only so the compiler knows that they are contiguous.
    inverse = _ONE / pixels
    tiny = np.float32(1e-6) * pixels
    modes, width = psi.shape[0], 2 * use.shape[0]
    factor[:] = _ZERO
    for mode in range(modes):
        wave = psi[mode, row, _EDGE : _EDGE + width]
        for k in range(use.shape[0]):
            a, b = wave[2 * k], wave[2 * k + 1]
            factor[k] += a * a + b * b
    sum_ = _ZERO
    for k in range(use.shape[0]):
        intensity = factor[k]
        change = use[k] * (np.sqrt(np.float32(counts[k]) * pixels / (intensity + tiny)) - _ONE)
        sum_ += intensity * change * change
        factor[k] = (_ONE + change) * inverse
    for mode in range(modes):
        wave = psi[mode, row, _EDGE : _EDGE + width]
        for k in range(use.shape[0]):
            wave[2 * k] *= factor[k]
            wave[2 * k + 1] *= factor[k]
    return sum_


@compiled
def modulus(psi: Floats, frames: NDArray[Any], index: int, good: Floats, ring: Floats) -> float:
    """Give the far field the measured modulus, in place; returns sum (|F| - sqrt I)^2 over good pixels.

    The Fourier transforms around it are not normalised: their factors, the pixel count on the way in and its inverse on
    the way out, are folded in here. Pixels that are not good keep what the model says.

    Parameters
    ----------
    psi : (MODE, QY, 2 (QX + 2 PAD)) far field, zero frequency at [0, 0]
    frames : (POSITION, QY, QX) counts in the same order; good : (QY, QX) 1 or 0
    """
    modes, n, padded = psi.shape
    width = padded - 2 * _EDGE
    pixels = np.float32(n * (width // 2))
    total = 0.0
    for row in range(n):
        counts, use = frames[index, row], good[row]
        if modes == 1:
            total += float(_modulus_row(psi[0, row, _EDGE : _EDGE + width], counts, use, pixels))
        else:
            total += float(_modulus_row_of_modes(psi, row, counts, use, pixels, ring[8, : width // 2]))
    return total / float(pixels)


@compiled
def _update_row(object_: Floats, probe: Floats, psi: Floats, steps: Floats, floor: float) -> None:
    # One mode on whole pixels: object and probe from each other's old values.
    step, slope, floor_p = steps[0], _ONE - steps[1], steps[1] * steps[2]
    probe_step, probe_slope = steps[3], _ONE - steps[4]
    for k in range(object_.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        weight = step / (slope * (p * p + q * q) + floor_p)
        probe_weight = probe_step / (probe_slope * (a * a + b * b) + floor)
        object_[2 * k] = a + weight * (p * u + q * v)
        object_[2 * k + 1] = b + weight * (p * v - q * u)
        probe[2 * k] = p + probe_weight * (a * u + b * v)
        probe[2 * k + 1] = q + probe_weight * (a * v - b * u)


@compiled
def _update_row_moved(object_: Floats, probe: Floats, psi: Floats, steps: Floats, floor: float) -> None:
    # One mode, the probe moved by a fraction: what the moved probe should change by is left in psi.
    step, slope, floor_p = steps[0], _ONE - steps[1], steps[1] * steps[2]
    probe_step, probe_slope = steps[3], _ONE - steps[4]
    for k in range(object_.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        weight = step / (slope * (p * p + q * q) + floor_p)
        probe_weight = probe_step / (probe_slope * (a * a + b * b) + floor)
        object_[2 * k] = a + weight * (p * u + q * v)
        object_[2 * k + 1] = b + weight * (p * v - q * u)
        psi[2 * k] = probe_weight * (a * u + b * v)
        psi[2 * k + 1] = probe_weight * (a * v - b * u)


@compiled
def _gather_mode(object_: Floats, probe: Floats, psi: Floats, numerator: Floats, power: Floats, weight: Floats) -> None:
    # One of several modes: its part of the object's numerator and of |P|^2; psi becomes the probe's change.
    for k in range(power.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        numerator[2 * k] += p * u + q * v
        numerator[2 * k + 1] += p * v - q * u
        power[k] += p * p + q * q
        psi[2 * k] = weight[k] * (a * u + b * v)
        psi[2 * k + 1] = weight[k] * (a * v - b * u)


@compiled
def _update_row_of_modes(
    object_: Floats, probe: Floats, psi: Floats, row: int, steps: Floats, floor: float, ring: Floats
) -> None:
    width = object_.shape[0]
    half = width // 2
    numerator, power, weight = ring[0], ring[1, :half], ring[2, :half]
    step, slope, floor_p = steps[0], _ONE - steps[1], steps[1] * steps[2]
    probe_step, probe_slope = steps[3], _ONE - steps[4]
    numerator[:] = _ZERO
    power[:] = _ZERO
    for k in range(half):
        square = object_[2 * k] * object_[2 * k] + object_[2 * k + 1] * object_[2 * k + 1]
        weight[k] = probe_step / (probe_slope * square + floor)
    for mode in range(probe.shape[0]):
        here, wave = probe[mode, row, _EDGE : _EDGE + width], psi[mode, row, _EDGE : _EDGE + width]
        _gather_mode(object_, here, wave, numerator, power, weight)
    for k in range(half):
        factor = step / (slope * power[k] + floor_p)
        object_[2 * k] += factor * numerator[2 * k]
        object_[2 * k + 1] += factor * numerator[2 * k + 1]


@compiled
def update(
    object_: Floats,
    probe: Floats,
    shifted: Floats,
    psi: Floats,
    row0: int,
    column0: int,
    wy: Floats,
    wx: Floats,
    fractional: bool,
    ring: Floats,
    steps: Floats,
) -> None:
    """Regularised PIE: object and probe step towards the revised exit waves psi, each from the other's old values.

    O += s conj(P) d / ((1 - a) |P|^2 + a max |P|^2), and likewise P with |O|^2, d = psi - P O (Maiden, Johnson, Li,
    Optica 4, 736, 2017; a = 1 is ePIE, Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009). Several modes: sums over
    modes in numerator and denominator of the object (Thibault and Menzel, Nature 494, 68, 2013).

    Parameters
    ----------
    steps : (5,) object step, object a, max sum |P|^2, probe step, probe a
    ring : (10, 2 QX) as :func:`exit_waves` left it: ring[9, 0] is max |O|^2 of the window. psi is used up.
    """
    modes, n, padded = psi.shape
    width = padded - 2 * _EDGE
    floor = max(steps[4] * ring[9, 0], np.float32(1e-12))
    source = shifted if fractional else probe
    whole = modes == 1 and not fractional
    for row in range(n):
        window = object_[row0 + row, 2 * column0 : 2 * column0 + width]
        if whole:
            _update_row(window, probe[0, row, _EDGE : _EDGE + width], psi[0, row, _EDGE : _EDGE + width], steps, floor)
        elif modes == 1:
            _update_row_moved(
                window, shifted[0, row, _EDGE : _EDGE + width], psi[0, row, _EDGE : _EDGE + width], steps, floor
            )
        else:
            _update_row_of_modes(window, source, psi, row, steps, floor, ring)
    if whole or steps[3] == _ZERO:
        return
    if fractional:
        shift_probe_adjoint(psi, wy, wx, ring, probe)
    else:
        for mode in range(modes):
            for row in range(n):
                here, change = probe[mode, row], psi[mode, row]
                for k in range(padded):
                    here[k] += change[k]


@compiled
def advance(
    object_: Floats,
    probe: Floats,
    shifted: Floats,
    psi: Floats,
    corners: NDArray[np.int32],
    weights: Floats,
    fractional: NDArray[np.bool_],
    ring: Floats,
    steps: Floats,
    done: int,
    following: int,
) -> None:
    """Finish pattern ``done`` and begin pattern ``following`` (-1: none): one call per pattern from Python.

    Parameters
    ----------
    corners : (POSITION, 2) window's first row and column; weights : (POSITION, 2, TAPS); fractional : (POSITION,)
    """
    if done >= 0:
        row, column = corners[done]
        wy, wx = weights[done]
        update(object_, probe, shifted, psi, row, column, wy, wx, fractional[done], ring, steps)
    if following >= 0:
        row, column = corners[following]
        wy, wx = weights[following]
        exit_waves(object_, probe, shifted, row, column, wy, wx, fractional[following], ring, psi)


@compiled
def clip_amplitude(object_: Floats, limit: float) -> int:
    """Bring amplitudes of (Y, 2 X) above the limit down to it, phases kept, in place; returns how many there were."""
    count = 0
    square = np.float32(limit * limit)
    for row in range(object_.shape[0]):
        for k in range(object_.shape[1] // 2):
            a, b = object_[row, 2 * k], object_[row, 2 * k + 1]
            intensity = a * a + b * b
            if intensity > square:
                factor = np.float32(limit) / np.sqrt(intensity)
                object_[row, 2 * k] = a * factor
                object_[row, 2 * k + 1] = b * factor
                count += 1
    return count


@compiled
def add_illumination(power: Floats, corners: NDArray[np.int32], illumination: Floats) -> None:
    """Add the probe's power (QY, QX), once per position and on whole pixels, to the object's grid (Y, X)."""
    rows, columns = power.shape
    for position in range(corners.shape[0]):
        row0, column0 = corners[position]
        for row in range(rows):
            target = illumination[row0 + row, column0 : column0 + columns]
            for k in range(columns):
                target[k] += power[row, k]
