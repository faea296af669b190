"""The hot loops of engines that step after many frames: what every position asks of object and probe, added up.

The layout of arrays is described in ``layout``. Every loop takes one position, whose waves so stay in the second-level
cache from one loop to the next. Sums go to arrays of the caller's lane: lanes run side by side, and their sums are
added in a fixed order.
"""

import numpy as np

from stxmdist.arrays import F32, F64, I32, I64, Array, compiled

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
def _gradient_row(
    object_: F32,
    light: F32,
    psi: F32,
    numerator: F32,
    weight: F32,
    brightness: F32,
    asked: F32,
    moved: bool,
    first: bool,
) -> None:
    # psi is the revised wave. What the probe should change by is added to ``asked``, or left in psi to be moved back.
    for k in range(weight.shape[0]):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = light[2 * k], light[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        numerator[2 * k] += p * u + q * v
        numerator[2 * k + 1] += p * v - q * u
        weight[k] += p * p + q * q
        if first:
            brightness[k] += a * a + b * b
        if moved:
            psi[2 * k] = a * u + b * v
            psi[2 * k + 1] = a * v - b * u
        else:
            asked[2 * k] += a * u + b * v
            asked[2 * k + 1] += a * v - b * u


@compiled
def gradients(
    object_: F32, light: F32, corners: I32, moved: bool, psi: F32, numerators: F32, weights: F32, lane: int,
    border: int, brightness: F32, asked: F32, position: int,
) -> None:  # fmt: skip
    """Add conj(P) d, |P|^2 and |O|^2 of one position, and conj(O) d if its light is not ``moved``, d = psi - P O.

    Where it is moved psi becomes conj(O) d.

    Parameters
    ----------
    light : (MODE, ...) the probe at this position
    numerators, weights, lane, border, brightness, asked : as in ``layout.LaneSums``
    """
    modes, rows, padded = light.shape
    width = padded - 2 * _EDGE
    half = width // 2
    row0, column0 = corners[position]
    for row in range(_ROWS, rows - _ROWS):
        y = row0 + row - _ROWS
        own = lane if y < border else 0
        window = object_[y, 2 * column0 : 2 * column0 + width]
        numerator, weight = (
            numerators[own, y, 2 * column0 : 2 * column0 + width],
            weights[own, y, column0 : column0 + half],
        )
        bright = brightness[row - _ROWS]
        for mode in range(modes):
            beam, wave = light[mode, row, _EDGE : _EDGE + width], psi[mode, row, _EDGE : _EDGE + width]
            change = asked[mode, row, _EDGE : _EDGE + width]
            if moved:
                _gradient_row(window, beam, wave, numerator, weight, bright, change, True, mode == 0)
            else:
                _gradient_row(window, beam, wave, numerator, weight, bright, change, False, mode == 0)


@compiled
def keep_projection(object_: F32, light: F32, corners: I32, psi: F32, kept: F32, beta: float, position: int) -> None:
    """Kept waves w <- beta (w + psi) + (1 - 2 beta) P O of one position, also into psi.

    With psi the modulus projection of 2 P O - w this is RAAR (Luke, Inverse Problems 21, 37, 2005), and the difference
    map for beta = 1 (Thibault et al., Ultramicroscopy 109, 338, 2009).
    """
    modes, rows, padded = light.shape
    width = padded - 2 * _EDGE
    row0, column0 = corners[position]
    share, rest = np.float32(beta), np.float32(1.0 - 2.0 * beta)
    for mode in range(modes):
        for row in range(_ROWS, rows - _ROWS):
            window = object_[row0 + row - _ROWS, 2 * column0 : 2 * column0 + width]
            beam, wave = light[mode, row, _EDGE : _EDGE + width], psi[mode, row, _EDGE : _EDGE + width]
            held = kept[position, mode, row - _ROWS]
            for k in range(width // 2):
                a, b = window[2 * k], window[2 * k + 1]
                p, q = beam[2 * k], beam[2 * k + 1]
                u = share * (held[2 * k] + wave[2 * k]) + rest * (a * p - b * q)
                v = share * (held[2 * k + 1] + wave[2 * k + 1]) + rest * (a * q + b * p)
                held[2 * k] = u
                held[2 * k + 1] = v
                wave[2 * k] = u
                wave[2 * k + 1] = v


@compiled
def examine(
    psi: F32,
    frames: Array,
    good: F32,
    background: F32,
    gain: F32,
    position: int,
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
    modes, rows, padded = psi.shape
    width = padded - 2 * _EDGE
    half = width // 2
    inverse = np.float32(1.0 / ((rows - 2 * _ROWS) * half))
    one = np.float32(1.0)
    level = one / gain[position]
    bright, counted = 0.0, 0.0
    step_good, step_back = min(good.shape[0] - 1, 1), min(background.shape[0] - 1, 1)
    for row in range(_ROWS, rows - _ROWS):
        expected[:] = _ZERO
        for mode in range(modes):
            _square_row(psi[mode, row, _EDGE : _EDGE + width], expected)
        at = row - _ROWS
        counts, use, back = frames[position, at], good[at * step_good], background[at * step_back]
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
def slopes(object_: F32, light: F32, corners: I32, psi: F32, normal: F64, position: int) -> None:
    """How far one window should move: the normal equations of d = P (dy dO/dy + dx dO/dx), d = psi - P O.

    Parameters
    ----------
    normal : (POSITION, 6) written: yy, yx, xx, the right sides y, x, and <d, d>. The window's rim is left out.
    """
    modes, rows, padded = light.shape
    width = padded - 2 * _EDGE
    row0, column0 = corners[position]
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
                light[mode, row, _EDGE + 2 : _EDGE + width - 2],
                psi[mode, row, _EDGE + 2 : _EDGE + width - 2],
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
    positions: I64,
) -> float:
    """Sum over positions of Re <P dO, O dP>: how much of a change of object and probe is the same change twice.

    ``object_change`` begins at ``first_row`` of the object. Fractions of a pixel are left out: they move both alike.
    """
    modes, rows, padded = probe.shape
    width = padded - 2 * _EDGE
    total = 0.0
    for position in positions:
        row0, column0 = corners[position]
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
