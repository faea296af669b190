"""The hot loops of engines that step after many frames: what every position asks of object and probe, added up.

The layout of arrays is described in ``layout``. The waves of a part's positions lie one after another in ``psi``. Sums
go to arrays of the caller's lane: lanes run side by side, and their sums are added in a fixed order.
"""

import numpy as np

from stxmdist.arrays import F32, F64, I32, compiled
from stxmdist.ptychography.kernels.layout import Buffers, Detector, LaneSums, Part, Windows

_EDGE = 16
"""2 ``fourier.PAD``, written out: numba's cache does not notice when another file changes."""
_ROWS = 6
"""``fourier.PAD_ROWS``"""
_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)


@compiled
def _square_row(values: F32, sum_: F32) -> None:
    for k in range(sum_.shape[0]):
        a, b = values[2 * k], values[2 * k + 1]
        sum_[k] += a * a + b * b


@compiled
def _gradient_row(object_: F32, light: F32, psi: F32, numerator: F32, weight: F32) -> None:
    # psi is the revised wave; it becomes what the probe should change by.
    for k in range(weight.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = light[2 * k], light[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        numerator[2 * k] += p * u + q * v
        numerator[2 * k + 1] += p * v - q * u
        weight[k] += p * p + q * q
        psi[2 * k] = a * u + b * v
        psi[2 * k + 1] = a * v - b * u


@compiled
def gradients(
    object_: F32,
    probe: F32,
    windows: Windows,
    buffers: Buffers,
    part: Part,
    sums: LaneSums,
) -> None:
    """Sums over positions of conj(P) d, |P|^2 and |O|^2, where d = psi - P O, added to; psi becomes conj(O) d."""
    corners, moved, shifted, psi = windows.corners, windows.moved, buffers.shifted, buffers.psi
    index, start, count = part.positions, part.start, part.number
    numerator, weight, brightness = sums.numerator, sums.weight, sums.brightness
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    half = width // 2
    for item in range(count):
        position = index[start + item]
        row0, column0 = corners[position]
        first = item * modes
        source, at = probe, 0
        if moved:
            source, at = shifted, first
        for row in range(_ROWS, rows - _ROWS):
            y = row0 + row - _ROWS
            window = object_[y, 2 * column0 : 2 * column0 + width]
            for mode in range(modes):
                _gradient_row(
                    window,
                    source[at + mode, row, _EDGE : _EDGE + width],
                    psi[first + mode, row, _EDGE : _EDGE + width],
                    numerator[y, 2 * column0 : 2 * column0 + width],
                    weight[y, column0 : column0 + half],
                )
            _square_row(window, brightness[row - _ROWS])


@compiled
def _projection_row(
    object_: F32,
    light: F32,
    kept: F32,
    psi: F32,
    beta: np.float32,
    rest: np.float32,
    numerator: F32,
    weight: F32,
) -> None:
    for k in range(weight.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = light[2 * k], light[2 * k + 1]
        x, y = a * p - b * q, a * q + b * p
        u = beta * (kept[2 * k] + psi[2 * k]) + rest * x
        v = beta * (kept[2 * k + 1] + psi[2 * k + 1]) + rest * y
        kept[2 * k] = u
        kept[2 * k + 1] = v
        u -= x
        v -= y
        numerator[2 * k] += p * u + q * v
        numerator[2 * k + 1] += p * v - q * u
        weight[k] += p * p + q * q
        psi[2 * k] = a * u + b * v
        psi[2 * k + 1] = a * v - b * u


@compiled
def projections(
    object_: F32,
    probe: F32,
    windows: Windows,
    buffers: Buffers,
    part: Part,
    sums: LaneSums,
    kept: F32,
    beta: float,
) -> None:
    """Kept waves w <- beta (w + psi) + (1 - 2 beta) P O, then the sums of :func:`gradients` with d = w - P O.

    With psi the modulus projection of 2 P O - w this is RAAR (Luke, Inverse Problems 21, 37, 2005), and the difference
    map for beta = 1 (Thibault et al., Ultramicroscopy 109, 338, 2009).
    """
    corners, moved, shifted, psi = windows.corners, windows.moved, buffers.shifted, buffers.psi
    index, start, count = part.positions, part.start, part.number
    numerator, weight, brightness = sums.numerator, sums.weight, sums.brightness
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    half = width // 2
    share, rest = np.float32(beta), np.float32(1.0 - 2.0 * beta)
    for item in range(count):
        position = index[start + item]
        row0, column0 = corners[position]
        first = item * modes
        source, at = probe, 0
        if moved:
            source, at = shifted, first
        for row in range(_ROWS, rows - _ROWS):
            y = row0 + row - _ROWS
            window = object_[y, 2 * column0 : 2 * column0 + width]
            for mode in range(modes):
                _projection_row(
                    window,
                    source[at + mode, row, _EDGE : _EDGE + width],
                    kept[position, mode, row - _ROWS],
                    psi[first + mode, row, _EDGE : _EDGE + width],
                    share,
                    rest,
                    numerator[y, 2 * column0 : 2 * column0 + width],
                    weight[y, column0 : column0 + half],
                )
            _square_row(window, brightness[row - _ROWS])


@compiled
def examine(
    psi: F32,
    modes: int,
    detector: Detector,
    part: Part,
    expected_counts: F64,
    measured_counts: F64,
    surplus: F32,
    certainty: F32,
    expected: F32,
) -> None:
    """What far fields say of intensity and background, before they are given the measured modulus.

    Parameters
    ----------
    expected_counts, measured_counts : (POSITION,) sums over good pixels of |F|^2 and of I - b, written
    surplus, certainty : (QY, QX) sums over positions of w (I - M) and of w = 1 / (M + 1), added to; M = s |F|^2 + b,
        s = 1 / gain: the weights do not know of I, so that the mean is not biased by noise
    expected : (QX,) scratch
    """
    rows, padded = psi.shape[1:]
    width = padded - 2 * _EDGE
    half = width // 2
    inverse = np.float32(1.0 / ((rows - 2 * _ROWS) * half))
    one = np.float32(1.0)
    frames, good, background, gain = detector.frames, detector.good, detector.background, detector.gain
    index, start, count = part.positions, part.start, part.number
    for item in range(count):
        position = index[start + item]
        level = one / gain[position]
        bright, counted = 0.0, 0.0
        for row in range(_ROWS, rows - _ROWS):
            expected[:] = _ZERO
            for mode in range(item * modes, item * modes + modes):
                _square_row(psi[mode, row, _EDGE : _EDGE + width], expected)
            counts, use, back = frames[position, row - _ROWS], good[row - _ROWS], background[row - _ROWS]
            more, sure = surplus[row - _ROWS], certainty[row - _ROWS]
            sum_, seen = _ZERO, _ZERO
            for k in range(half):
                value = expected[k] * inverse
                model = level * value + back[k]
                # A negative count says that it was so many at least, as in ``modulus``.
                measured = np.float32(counts[k]) if counts[k] >= 0 else max(-np.float32(counts[k]), model)
                sum_ += use[k] * value
                seen += use[k] * (measured - back[k])
                weight = one / (model + one)
                more[k] += weight * (measured - model)
                sure[k] += weight
            bright += float(sum_)
            counted += float(seen)
        expected_counts[position] = bright
        measured_counts[position] = counted


@compiled
def _slope_row(above: F32, below: F32, here: F32, light: F32, psi: F32, normal: F64) -> None:
    yy, yx, xx, ty, tx, tt = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    # here begins one pixel before the light, and ends one after
    for k in range(light.shape[0] // 2):
        p, q = light[2 * k], light[2 * k + 1]
        a, b = _HALF * (below[2 * k] - above[2 * k]), _HALF * (below[2 * k + 1] - above[2 * k + 1])
        c, d = _HALF * (here[2 * k + 4] - here[2 * k]), _HALF * (here[2 * k + 5] - here[2 * k + 1])
        e, f = here[2 * k + 2], here[2 * k + 3]
        u = psi[2 * k] - (e * p - f * q)
        v = psi[2 * k + 1] - (e * q + f * p)
        gy, hy = a * p - b * q, a * q + b * p
        gx, hx = c * p - d * q, c * q + d * p
        yy += gy * gy + hy * hy
        yx += gy * gx + hy * hx
        xx += gx * gx + hx * hx
        ty += gy * u + hy * v
        tx += gx * u + hx * v
        tt += u * u + v * v
    normal[0] += yy
    normal[1] += yx
    normal[2] += xx
    normal[3] += ty
    normal[4] += tx
    normal[5] += tt


@compiled
def slopes(
    object_: F32,
    probe: F32,
    windows: Windows,
    buffers: Buffers,
    part: Part,
    normal: F64,
) -> None:
    """How far each window should move: the normal equations of d = P (dy dO/dy + dx dO/dx), d = psi - P O.

    Parameters
    ----------
    normal : (POSITION, 6) written: yy, yx, xx, the right sides y, x, and <d, d>. The window's rim is left out.
    """
    corners, moved, shifted, psi = windows.corners, windows.moved, buffers.shifted, buffers.psi
    index, start, count = part.positions, part.start, part.number
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    for item in range(count):
        position = index[start + item]
        row0, column0 = corners[position]
        first = item * modes
        source, at = probe, 0
        if moved:
            source, at = shifted, first
        sums = normal[position]
        sums[:] = 0.0
        left, right = 2 * column0 + 2, 2 * column0 + width - 2
        for mode in range(modes):
            for row in range(_ROWS + 1, rows - _ROWS - 1):
                y = row0 + row - _ROWS
                _slope_row(
                    object_[y - 1, left:right],
                    object_[y + 1, left:right],
                    object_[y, left - 2 : right + 2],
                    source[at + mode, row, _EDGE + 2 : _EDGE + width - 2],
                    psi[first + mode, row, _EDGE + 2 : _EDGE + width - 2],
                    sums,
                )


@compiled
def vary_probe(
    object_: F32,
    corner: I32,
    change: F32,
    vary: F32,
    asked: F32,
    position: int,
    sketch: F32,
    found: F64,
    gathered: F32,
) -> None:
    """What one position asks of the variations of the probe's strongest mode.

    Parameters
    ----------
    change : (QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) what it asks of the mode itself, or of its coefficients
    vary : (VARIATION, ...) V; asked : the same, or their coefficients; sketch : (POSITION, VARIATION)
    found : (POSITION, 2 VARIATION) written: Re <V, change> and <O V, O V> of each in turn
    gathered : (VARIATION, ...) sum over positions of sketch times change, added to
    """
    rows, padded = change.shape
    width = padded - 2 * _EDGE
    for number in range(vary.shape[0]):
        along, norm = 0.0, 0.0
        factor = sketch[position, number]
        for row in range(rows):  # with the margins, into which coefficients reach
            here, turn, into = change[row], asked[number, row], gathered[number, row]
            a = _ZERO
            for k in range(padded):
                a += turn[k] * here[k]
                into[k] += factor * here[k]
            along += float(a)
        for row in range(_ROWS, rows - _ROWS):
            mode = vary[number, row, _EDGE : _EDGE + width]
            window = object_[corner[0] + row - _ROWS, 2 * corner[1] : 2 * corner[1] + width]
            b = _ZERO
            for k in range(width // 2):
                p, q, x, y = mode[2 * k], mode[2 * k + 1], window[2 * k], window[2 * k + 1]
                b += (x * x + y * y) * (p * p + q * q)
            norm += float(b)
        found[position, 2 * number] = along
        found[position, 2 * number + 1] = norm


@compiled
def coupling(
    object_: F32,
    object_change: F32,
    first_row: int,
    probe: F32,
    probe_change: F32,
    corners: I32,
    part: Part,
) -> float:
    """Sum over positions of Re <P dO, O dP>: how much of a change of object and probe is the same change twice.

    ``object_change`` begins at ``first_row`` of the object. Fractions of a pixel are left out: they move both alike.
    """
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    total = 0.0
    for item in range(part.number):
        row0, column0 = corners[part.positions[part.start + item]]
        for row in range(_ROWS, rows - _ROWS):
            y = row0 + row - _ROWS
            here = object_[y, 2 * column0 : 2 * column0 + width]
            new = object_change[y - first_row, 2 * column0 : 2 * column0 + width]
            for mode in range(modes):
                light = probe[mode, row, _EDGE : _EDGE + width]
                change = probe_change[mode, row, _EDGE : _EDGE + width]
                sum_ = _ZERO
                for k in range(width // 2):
                    a, b, c, d = here[2 * k], here[2 * k + 1], new[2 * k], new[2 * k + 1]
                    p, q, r, s = light[2 * k], light[2 * k + 1], change[2 * k], change[2 * k + 1]
                    sum_ += (c * p - d * q) * (a * r - b * s) + (c * q + d * p) * (a * s + b * r)
                total += float(sum_)
    return total
