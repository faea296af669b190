"""The hot loops of the PIE family, fused so that each pattern passes through memory as seldom as possible.

Complex arrays enter as float32 views with real and imaginary parts interleaved along the last axis (twice as long): the
compiler vectorises those, not complex numbers. Windows of the object are addressed by their first pixel. Loops run over rows
so that what a row needs stays in the first-level cache; sums of a row are float32, sums of rows float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stxmdist.arrays import compiled

Floats = NDArray[np.float32]

TAPS = 6
"""Points of the sub-pixel interpolation: the probe is band-limited by the optics well below Nyquist, where six are enough."""


@compiled
def _shift_row(probe: Floats, row: int, wy: Floats, wx: Floats, line: Floats, out: Floats) -> None:
    # One row of the shifted probe: six rows blended, then six columns. `line` has room for the taps that reach outside.
    n, width = probe.shape
    if 2 < row < n - 3:
        a, b, c = probe[row - 3], probe[row - 2], probe[row - 1]
        d, e, f = probe[row], probe[row + 1], probe[row + 2]
        w0, w1, w2, w3, w4, w5 = wy[0], wy[1], wy[2], wy[3], wy[4], wy[5]
        for k in range(width):
            line[6 + k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]
    else:
        for k in range(width):
            line[6 + k] = 0.0
        for tap in range(6):
            source = row - 3 + tap
            if 0 <= source < n:
                weight = wy[tap]
                for k in range(width):
                    line[6 + k] += weight * probe[source, k]
    w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]
    for k in range(width):
        out[k] = (
            w0 * line[k] + w1 * line[k + 2] + w2 * line[k + 4] + w3 * line[k + 6] + w4 * line[k + 8] + w5 * line[k + 10]
        )


@compiled
def _unshift_columns(out: Floats, wx: Floats, line: Floats) -> None:
    # Adjoint of the blend of columns, in place. `line` keeps zeros in its margins.
    width = out.shape[0]
    for k in range(width):
        line[6 + k] = out[k]
    w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]
    for k in range(width):
        out[k] = (
            w5 * line[k + 2]
            + w4 * line[k + 4]
            + w3 * line[k + 6]
            + w2 * line[k + 8]
            + w1 * line[k + 10]
            + w0 * line[k + 12]
        )


@compiled
def _unshift_rows(gradient: Floats, wy: Floats, probe: Floats) -> None:
    # Adjoint of the blend of rows, added to the probe.
    n, width = probe.shape
    w0, w1, w2, w3, w4, w5 = wy[0], wy[1], wy[2], wy[3], wy[4], wy[5]
    for row in range(n):
        target = probe[row]
        if 1 < row < n - 3:
            f, e, d = gradient[row - 2], gradient[row - 1], gradient[row]
            c, b, a = gradient[row + 1], gradient[row + 2], gradient[row + 3]
            for k in range(width):
                target[k] += w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k] + w4 * e[k] + w5 * f[k]
        else:
            for tap in range(6):
                source = row + 3 - tap
                if 0 <= source < n:
                    weight = wy[tap]
                    for k in range(width):
                        target[k] += weight * gradient[source, k]


@compiled
def shift_probe(probe: Floats, wy: Floats, wx: Floats, line: Floats, out: Floats) -> None:
    """Probe (MODE, QY, 2 QX) moved by a fraction of a pixel, zero outside the window; ``line`` (2 QX + 18) starts as zeros."""
    for mode in range(probe.shape[0]):
        for row in range(probe.shape[1]):
            _shift_row(probe[mode], row, wy, wx, line, out[mode, row])


@compiled
def shift_probe_adjoint(gradient: Floats, wy: Floats, wx: Floats, line: Floats, probe: Floats) -> None:
    """Adjoint of :func:`shift_probe`, added to the probe; the gradient (MODE, QY, 2 QX) is used up."""
    for mode in range(probe.shape[0]):
        for row in range(probe.shape[1]):
            _unshift_columns(gradient[mode, row], wx, line)
        _unshift_rows(gradient[mode], wy, probe[mode])


@compiled
def _exit_row(object_: Floats, probe: Floats, psi: Floats) -> None:
    for k in range(psi.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        psi[2 * k] = a * p - b * q
        psi[2 * k + 1] = a * q + b * p


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
    line: Floats,
    psi: Floats,
) -> None:
    """Exit waves psi (MODE, QY, 2 QX) = shifted probe times the object's window; leaves the shifted probe behind."""
    modes, n, width = psi.shape
    for mode in range(modes):
        for row in range(n):
            window = object_[row0 + row, 2 * column0 : 2 * column0 + width]
            if fractional:
                _shift_row(probe[mode], row, wy, wx, line, shifted[mode, row])
                _exit_row(window, shifted[mode, row], psi[mode, row])
            else:
                _exit_row(window, probe[mode, row], psi[mode, row])


@compiled
def modulus(psi: Floats, frame: NDArray[Any], good: Floats, power: Floats) -> float:
    """Replace the modulus of the far field by the measured one, in place; the sum of (|F| - sqrt I)^2 over good pixels.

    The Fourier transforms around it are not normalised: their factors, the pixel count on the way in and its inverse on
    the way out, are folded in here. Pixels that are not good keep what the model says.
    """
    modes, n, width = psi.shape
    pixels = np.float32(n * (width // 2))
    inverse = np.float32(1.0) / pixels
    tiny = np.float32(1e-6) * pixels
    one = np.float32(1.0)
    total = 0.0
    for row in range(n):
        counts = frame[row]
        use = good[row]
        sum_ = np.float32(0.0)
        if modes == 1:
            wave = psi[0, row]
            for k in range(width // 2):
                a, b = wave[2 * k], wave[2 * k + 1]
                intensity = a * a + b * b
                change = use[k] * (np.sqrt(np.float32(counts[k]) * pixels / (intensity + tiny)) - one)
                sum_ += intensity * change * change
                factor = (one + change) * inverse
                wave[2 * k] = a * factor
                wave[2 * k + 1] = b * factor
        else:
            for k in range(width // 2):
                power[k] = np.float32(0.0)
            for mode in range(modes):
                wave = psi[mode, row]
                for k in range(width // 2):
                    a, b = wave[2 * k], wave[2 * k + 1]
                    power[k] += a * a + b * b
            for k in range(width // 2):
                intensity = power[k]
                change = use[k] * (np.sqrt(np.float32(counts[k]) * pixels / (intensity + tiny)) - one)
                sum_ += intensity * change * change
                power[k] = (one + change) * inverse
            for mode in range(modes):
                wave = psi[mode, row]
                for k in range(width // 2):
                    wave[2 * k] *= power[k]
                    wave[2 * k + 1] *= power[k]
        total += sum_
    return total * inverse


@compiled
def _update_row(
    object_: Floats, probe: Floats, psi: Floats, change: Floats, numerator: Floats, power: Floats, weight: Floats
) -> None:
    # Object numerator and |P|^2 accumulate over modes; `change` (the probe's) is overwritten.
    for k in range(psi.shape[0] // 2):
        a, b = object_[2 * k], object_[2 * k + 1]
        p, q = probe[2 * k], probe[2 * k + 1]
        u = psi[2 * k] - (a * p - b * q)
        v = psi[2 * k + 1] - (a * q + b * p)
        numerator[2 * k] += p * u + q * v
        numerator[2 * k + 1] += p * v - q * u
        power[k] += p * p + q * q
        change[2 * k] = weight[k] * (a * u + b * v)
        change[2 * k + 1] = weight[k] * (a * v - b * u)


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
    line: Floats,
    steps: Floats,
    scratch: Floats,
) -> None:
    """Regularised PIE: object and probe take a step towards the revised exit waves, both from the old values.

    ``steps`` (6): object step, object alpha, max |P|^2, probe step, probe alpha, (unused). A probe step of 0 leaves the
    probe. ``scratch`` (4, 2 QX): numerator, power, weight, change. psi is used up.
    """
    modes, n, width = psi.shape
    half = width // 2
    numerator, power, weight = scratch[0], scratch[1], scratch[2]
    step, alpha, top = steps[0], steps[1], steps[2]
    probe_step, probe_alpha = steps[3], steps[4]
    one = np.float32(1.0)
    zero = np.float32(0.0)

    brightest = zero
    if probe_step > zero:
        for k in range(half):
            power[k] = zero
        for row in range(n):
            window = object_[row0 + row, 2 * column0 : 2 * column0 + width]
            for k in range(half):
                square = window[2 * k] * window[2 * k] + window[2 * k + 1] * window[2 * k + 1]
                power[k] = max(power[k], square)
        for k in range(half):
            brightest = max(brightest, power[k])

    floor = alpha * top
    probe_floor = probe_alpha * brightest
    for row in range(n):
        window = object_[row0 + row, 2 * column0 : 2 * column0 + width]
        for k in range(width):
            numerator[k] = zero
        for k in range(half):
            power[k] = zero
            weight[k] = zero
        if probe_step > zero:
            for k in range(half):
                square = window[2 * k] * window[2 * k] + window[2 * k + 1] * window[2 * k + 1]
                weight[k] = probe_step / ((one - probe_alpha) * square + probe_floor)
        for mode in range(modes):
            wave = psi[mode, row]
            if fractional:
                # The change of the shifted probe stays in psi until the adjoint shift below.
                _update_row(window, shifted[mode, row], wave, wave, numerator, power, weight)
            else:
                here = probe[mode, row]
                _update_row(window, here, wave, wave, numerator, power, weight)
                if probe_step > zero:
                    for k in range(width):
                        here[k] += wave[k]
        for k in range(half):
            factor = step / ((one - alpha) * power[k] + floor)
            window[2 * k] += factor * numerator[2 * k]
            window[2 * k + 1] += factor * numerator[2 * k + 1]
    if fractional and probe_step > zero:
        shift_probe_adjoint(psi, wy, wx, line, probe)


@compiled
def step(
    object_: Floats,
    probe: Floats,
    shifted: Floats,
    psi: Floats,
    corners: NDArray[np.int32],
    weights: Floats,
    fractional: NDArray[np.bool_],
    line: Floats,
    steps: Floats,
    scratch: Floats,
    done: int,
    next_: int,
) -> None:
    """Finish pattern ``done`` and begin pattern ``next_`` (either may be -1): one call per pattern from Python."""
    if done >= 0:
        update(
            object_, probe, shifted, psi, corners[done, 0], corners[done, 1], weights[done, 0], weights[done, 1],
            fractional[done], line, steps, scratch,
        )  # fmt: skip
    if next_ >= 0:
        exit_waves(
            object_, probe, shifted, corners[next_, 0], corners[next_, 1], weights[next_, 0], weights[next_, 1],
            fractional[next_], line, psi,
        )  # fmt: skip


@compiled
def modulus_of(psi: Floats, frames: NDArray[Any], index: int, good: Floats, power: Floats) -> float:
    """:func:`modulus` with frame ``index`` of a series."""
    return modulus(psi, frames[index], good, power)


@compiled
def clip_amplitude(object_: Floats, limit: float) -> int:
    """Bring amplitudes above the limit down to it, phases kept, in place; how many there were."""
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
