"""The hot loops that form exit waves, and correct object and probe from them frame after frame (the PIE family).

Loops are fused so that each frame passes through memory as seldom as possible. The layout of arrays is described in
``layout``; windows of the object are addressed by their first pixel.

All loops that inline the sub-pixel shift stand in this file: numba's cache does not notice when a function that was
inlined from another file changes.
"""

import numpy as np

from stxmdist.arrays import F32, I32, compiled

_EDGE = 16
"""2 ``fourier.PAD``, written out: numba's cache does not notice when another file changes."""
_ROWS = 6
"""``fourier.PAD_ROWS``"""
_ROOM = 16
"""Floats before and after each row of ``Buffers.between``, a cache line: what is moved back is added to whole rows,
from their first vector on
"""
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_TWO = np.float32(2.0)


@compiled
def _blend_rows(image: F32, top: int, weights: F32, pair: F32) -> None:
    # pair[i, k] = sum over taps of weights[tap] image[top + i + tap, k]: two rows at once, which share five of seven.
    a, b, c, d, e, f, g = (
        image[top], image[top + 1], image[top + 2], image[top + 3], image[top + 4], image[top + 5], image[top + 6],
    )  # fmt: skip
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    columns = image.shape[1]
    first, second = pair[0, _ROOM : _ROOM + columns], pair[1, _ROOM : _ROOM + columns]
    for k in range(columns):
        first[k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]
        second[k] = w0 * b[k] + w1 * c[k] + w2 * d[k] + w3 * e[k] + w4 * f[k] + w5 * g[k]


@compiled
def _blend_columns(line: F32, start: int, weights: F32, out: F32, add: bool) -> None:
    # out[k] = sum over taps of weights[tap] line[start + k + 2 tap]. Slices, because an index that might be negative
    # keeps the compiler from vectorising.
    a, b, c = line[start:], line[start + 2 :], line[start + 4 :]
    d, e, f = line[start + 6 :], line[start + 8 :], line[start + 10 :]
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    if add:
        for k in range(out.shape[0]):
            out[k] += w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]
    else:
        for k in range(out.shape[0]):
            out[k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]


@compiled
def _shift_pair(image: F32, top: int, wy: F32, wx: F32, between: F32, shifted: F32) -> None:
    # Rows top and top + 1 of an image moved by a fraction of a pixel.
    _blend_rows(image, top - 3, wy, between)
    for i in range(2):
        _blend_columns(between[i], _ROOM + _EDGE - 6, wx, shifted[top + i, _EDGE : shifted.shape[1] - _EDGE], False)


@compiled
def _shift_back_pair(image: F32, top: int, first: int, wy: F32, wx: F32, between: F32, out: F32) -> None:
    # The adjoint, added to the same rows of ``out``, from row ``first`` on; weights from the last to the first.
    _blend_rows(image, top - 2, wy, between)
    for i in range(first - top, 2):
        _blend_columns(between[i], _ROOM - 4, wx, out[top + i], True)


@compiled
def _blend_fewer_rows(image: F32, top: int, weights: F32, pair: F32) -> None:
    # As :func:`_blend_rows` with the four points of ``interpolation.back_weights``, from the last to the first.
    a, b, c, d, e = image[top], image[top + 1], image[top + 2], image[top + 3], image[top + 4]
    w0, w1, w2, w3 = weights[3], weights[2], weights[1], weights[0]
    columns = image.shape[1]
    first, second = pair[0, _ROOM : _ROOM + columns], pair[1, _ROOM : _ROOM + columns]
    for k in range(columns):
        first[k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k]
        second[k] = w0 * b[k] + w1 * c[k] + w2 * d[k] + w3 * e[k]


@compiled
def _add_fewer_columns(line: F32, start: int, weights: F32, out: F32) -> None:
    a, b, c, d = line[start:], line[start + 2 :], line[start + 4 :], line[start + 6 :]
    w0, w1, w2, w3 = weights[3], weights[2], weights[1], weights[0]
    for k in range(out.shape[0]):
        out[k] += w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k]


@compiled
def step_back(change: F32, wy: F32, wx: F32, between: F32, probe: F32) -> None:
    """Transpose of an interpolation with weights (BACK_TAPS,), added to coefficients; the change's margins are zero."""
    modes, rows, _ = probe.shape
    first, last = _ROWS - 2, rows - _ROWS + 2
    for mode in range(modes):
        for row in range(first, last, 2):
            top = min(row, last - 2)
            _blend_fewer_rows(change[mode], top - 1, wy, between)
            for i in range(row - top, 2):
                _add_fewer_columns(between[i], _ROOM - 2, wx, probe[mode, top + i])


@compiled
def interpolate(probe: F32, wy: F32, wx: F32, between: F32, shifted: F32) -> None:
    """A probe between pixels from its coefficients; margins of ``shifted`` stay as they are.

    Parameters
    ----------
    probe, shifted : (MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) ; between : (2, 2 (QX + 2 PAD) + 32) scratch
    wy, wx : (TAPS,), see ``interpolation.shift_weights``
    """
    modes, rows, _ = probe.shape
    for mode in range(modes):
        for row in range(_ROWS, rows - _ROWS, 2):
            _shift_pair(probe[mode], min(row, rows - _ROWS - 2), wy, wx, between, shifted[mode])


@compiled
def interpolate_adjoint(gradient: F32, wy: F32, wx: F32, between: F32, probe: F32) -> None:
    """Adjoint of :func:`interpolate`, added to the coefficients; the gradient's margins must be zero."""
    modes, rows, _ = probe.shape
    back_y, back_x = wy[::-1].copy(), wx[::-1].copy()
    first, last = _ROWS - 3, rows - _ROWS + 3
    for mode in range(modes):
        for row in range(first, last, 2):
            _shift_back_pair(gradient[mode], min(row, last - 2), row, back_y, back_x, between, probe[mode])


@compiled
def _exit_row(object_: F32, probe: F32, psi: F32, brightest: F32) -> None:
    for k in range(brightest.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        psi[2 * k] = a * p - b * q
        psi[2 * k + 1] = a * q + b * p
        brightest[k] = max(brightest[k], a * a + b * b)


@compiled
def exit_waves(
    object_: F32, probe: F32, shifted: F32, row0: int, column0: int, wy: F32, wx: F32, moved: bool, between: F32,
    lines: F32, psi: F32,
) -> None:  # fmt: skip
    """Exit waves psi = object's window times the probe moved by a fraction of a pixel, for the PIE family.

    Parameters
    ----------
    object_ : (Y, 2 X)
    probe, shifted, psi : (MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)); shifted and psi are written; the probe's coefficients
        if it is ``moved``
    wy, wx : (TAPS,) interpolation weights, see ``interpolation.shift_weights``; not used unless ``moved``
    between : (2, 2 (QX + 2 PAD) + 32) scratch
    lines : (4, 2 QX) scratch; afterwards lines[3, 0] is the largest |O|^2 of the window
    """
    modes, rows, padded = psi.shape
    width = padded - 2 * _EDGE
    brightest = lines[3, : width // 2]
    brightest[:] = _ZERO
    source = shifted if moved else probe
    for mode in range(modes):
        for pair in range(_ROWS, rows - _ROWS, 2):
            top = min(pair, rows - _ROWS - 2)
            if moved:
                # Just before they are used: two rows stay in the first-level cache.
                _shift_pair(probe[mode], top, wy, wx, between, shifted[mode])
            for row in range(top, top + 2):
                window = object_[row0 + row - _ROWS, 2 * column0 : 2 * column0 + width]
                light, wave = source[mode, row, _EDGE : _EDGE + width], psi[mode, row, _EDGE : _EDGE + width]
                _exit_row(window, light, wave, brightest)
    top = _ZERO
    for k in range(width // 2):
        top = max(top, brightest[k])
    brightest[0] = top


@compiled
def _update_row(object_: F32, probe: F32, psi: F32, steps: F32, floor: float) -> None:
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
def _update_row_moved(object_: F32, probe: F32, psi: F32, steps: F32, floor: float, even: bool) -> None:
    # One mode, the probe moved by a fraction: what the moved probe should change by is left in psi. ``even``: the probe
    # steps alike everywhere (alpha 1); said in so many words, it spares a division in each pixel.
    step, slope, floor_p = steps[0], _ONE - steps[1], steps[1] * steps[2]
    probe_step, probe_slope = steps[3], _ONE - steps[4]
    alike = probe_step / np.float32(floor)
    for k in range(object_.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        weight = step / (slope * (p * p + q * q) + floor_p)
        probe_weight = alike if even else probe_step / (probe_slope * (a * a + b * b) + floor)
        object_[2 * k] = a + weight * (p * u + q * v)
        object_[2 * k + 1] = b + weight * (p * v - q * u)
        psi[2 * k] = probe_weight * (a * u + b * v)
        psi[2 * k + 1] = probe_weight * (a * v - b * u)


@compiled
def _gather_mode(object_: F32, probe: F32, psi: F32, numerator: F32, power: F32, weight: F32) -> None:
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
def _update_row_of_modes(object_: F32, probe: F32, psi: F32, row: int, steps: F32, floor: float, lines: F32) -> None:
    width = object_.shape[0]
    half = width // 2
    numerator, power, weight = lines[0], lines[1, :half], lines[2, :half]
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
    object_: F32, probe: F32, shifted: F32, psi: F32, row0: int, column0: int, wy: F32, wx: F32, moved: bool,
    between: F32, lines: F32, steps: F32,
) -> None:  # fmt: skip
    """Regularised PIE: object and probe step towards the revised exit waves psi, each from the other's old values.

    O += s conj(P) d / ((1 - a) |P|^2 + a max |P|^2), and likewise P with |O|^2, d = psi - P O (Maiden, Johnson, Li,
    Optica 4, 736, 2017; a = 1 is ePIE, Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009). Several modes: sums over
    modes in numerator and denominator of the object (Thibault and Menzel, Nature 494, 68, 2013).

    Parameters
    ----------
    wy, wx : (BACK_TAPS,) that move the probe's change back into its coefficients, see ``interpolation.back_weights``
    steps : (5,) object step, object a, max sum |P|^2, probe step, probe a
    lines : (4, 2 QX) as :func:`exit_waves` left it: lines[3, 0] is max |O|^2 of the window. psi is used up.
    """
    modes, rows, padded = psi.shape
    width = padded - 2 * _EDGE
    floor = max(steps[4] * lines[3, 0], np.float32(1e-12))
    if moved:
        for row in range(_ROWS, rows - _ROWS):
            window = object_[row0 + row - _ROWS, 2 * column0 : 2 * column0 + width]
            if modes > 1:
                _update_row_of_modes(window, shifted, psi, row, steps, floor, lines)
                continue
            light, wave = shifted[0, row, _EDGE : _EDGE + width], psi[0, row, _EDGE : _EDGE + width]
            if steps[4] == _ONE:
                _update_row_moved(window, light, wave, steps, floor, True)
            else:
                _update_row_moved(window, light, wave, steps, floor, False)
        if steps[3] != _ZERO:
            step_back(psi, wy, wx, between, probe)
        return
    for row in range(_ROWS, rows - _ROWS):
        window = object_[row0 + row - _ROWS, 2 * column0 : 2 * column0 + width]
        if modes == 1:
            _update_row(window, probe[0, row, _EDGE : _EDGE + width], psi[0, row, _EDGE : _EDGE + width], steps, floor)
            continue
        _update_row_of_modes(window, probe, psi, row, steps, floor, lines)
        if steps[3] != _ZERO:
            for mode in range(modes):
                here, change = probe[mode, row], psi[mode, row]
                for k in range(padded):
                    here[k] += change[k]


@compiled
def varied(probe: F32, vary: F32, shares: F32, combined: F32) -> None:
    """The probe of one position: its strongest mode plus what varies over the scan."""
    flat, target = probe.reshape(-1), combined.reshape(-1)
    for k in range(flat.shape[0]):
        target[k] = flat[k]
    first = combined[0].reshape(-1)
    for number in range(vary.shape[0]):
        mode, share = vary[number].reshape(-1), shares[number]
        for k in range(first.shape[0]):
            first[k] += share * mode[k]


@compiled
def _wave_row(object_: F32, light: F32, psi: F32) -> None:
    for k in range(psi.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = light[2 * k], light[2 * k + 1]
        psi[2 * k] = a * p - b * q
        psi[2 * k + 1] = a * q + b * p


@compiled
def _reflected_row(object_: F32, light: F32, kept: F32, psi: F32) -> None:
    for k in range(psi.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = light[2 * k], light[2 * k + 1]
        psi[2 * k] = _TWO * (a * p - b * q) - kept[2 * k]
        psi[2 * k + 1] = _TWO * (a * q + b * p) - kept[2 * k + 1]


@compiled
def begin(
    object_: F32, probe: F32, vary: F32, shares: F32, combined: F32, shifted: F32, psi: F32, corners: I32,
    weights: F32, moved: bool, between: F32, kept: F32, position: int,
) -> None:  # fmt: skip
    """Exit waves P O of one position, or 2 P O - psi where waves psi are kept from before, into ``psi``.

    Parameters
    ----------
    kept : (POSITION or 0, MODE, QY, 2 QX)
    """
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    row0, column0 = corners[position]
    source = probe
    if moved:
        here = probe
        if vary.shape[0] > 0:
            varied(probe, vary, shares[position], combined)
            here = combined
        interpolate(here, weights[position, 0], weights[position, 1], between, shifted)
        source = shifted
    for mode in range(modes):
        for row in range(_ROWS, rows - _ROWS):
            window = object_[row0 + row - _ROWS, 2 * column0 : 2 * column0 + width]
            beam = source[mode, row, _EDGE : _EDGE + width]
            wave = psi[mode, row, _EDGE : _EDGE + width]
            if kept.shape[0] > 0:
                _reflected_row(window, beam, kept[position, mode, row - _ROWS], wave)
            else:
                _wave_row(window, beam, wave)
