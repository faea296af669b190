"""The linear maps that every engine is made of, each with its adjoint, in plain array code that any array library runs.

They define what the compiled loops compute (the tests compare the two), and are used where speed does not matter, and
for passes in other array libraries. All act on whole stacks of modes: windows are (MODE, QY, QX), the object is (Y, X).
"""

import importlib
from typing import Any

import numpy as np

from stxmdist.arrays import F64, I32, Array, namespace_of
from stxmdist.ptychography.kernels import interpolation
from stxmdist.ptychography.kernels.interpolation import BACK_TAPS, TAPS


def split_positions(positions_px: F64) -> tuple[I32, F64]:
    """Positions (POSITION, 2) as whole corners (POSITION, 2) int32 and fractions (POSITION, 2) in [0, 1).

    Fractions below a thousandth of a pixel count as zero: they come from the rounding of conversions between units.
    """
    snapped = np.where(np.abs(positions_px - np.round(positions_px)) < 1e-3, np.round(positions_px), positions_px)
    corners = np.floor(snapped)
    return corners.astype(np.int32), snapped - corners


def coefficients(probe: Array) -> Array:
    """Coefficients (..., MODE, QY + TAPS - 1, QX + TAPS - 1) of a probe (..., MODE, QY, QX), see ``interpolation``."""
    down, along = (interpolation.matrix(count) for count in probe.shape[-2:])
    return _between(down, probe, along.T)


def coefficients_adjoint(asked: Array) -> Array:
    """Adjoint of :func:`coefficients`."""
    down, along = (interpolation.matrix(count - TAPS + 1) for count in asked.shape[-2:])
    return _between(down.T, asked, along)


def _between(left: F64, values: Array, right: F64) -> Array:
    # In double precision, because coefficients are so much larger than what they sum to.
    xp = namespace_of(values)
    product: Array = xp.matmul(xp.matmul(xp.asarray(left), values), xp.asarray(right)).astype(values.dtype)
    return product


def samples(coefficients_: Array) -> Array:
    """The probe (..., MODE, QY, QX) of which these are the coefficients: inverse of :func:`coefficients`."""
    xp = namespace_of(coefficients_)
    taps = xp.asarray(interpolation.still_weights().astype(coefficients_.real.dtype))
    return interpolate(coefficients_, taps, taps)


def interpolate(coefficients_: Array, wy: Array, wx: Array) -> Array:
    """The probe (..., MODE, QY, QX) between pixels from its coefficients, with weights (..., TAPS) along each axis."""
    for axis, weights in ((-2, wy), (-1, wx)):
        count = coefficients_.shape[axis] - TAPS + 1
        parts = [_tap(weights, tap) * coefficients_[_from(axis, tap, count)] for tap in range(TAPS)]
        coefficients_ = sum(parts[1:], parts[0])
    return coefficients_


def interpolate_adjoint(probe: Array, wy: Array, wx: Array) -> Array:
    """Adjoint of :func:`interpolate`."""
    return _spread_out(probe, wy, wx, range(TAPS), 0)


def step_back(change: Array, wy: Array, wx: Array) -> Array:
    """Samples (..., MODE, QY, QX) moved back into coefficients by the transpose of ``interpolation.back_weights``."""
    return _spread_out(change, wy, wx, range(BACK_TAPS), 1)


def _spread_out(samples: Array, wy: Array, wx: Array, taps: range, first: int) -> Array:
    """Samples (..., QY, QX) added with weights along each axis to the coefficients around them, from the ``first``."""
    for axis, weights in ((-2, wy), (-1, wx)):
        shape, count = list(samples.shape), samples.shape[axis]
        shape[axis] += TAPS - 1
        out = namespace_of(samples).zeros(tuple(shape), dtype=samples.dtype)
        for tap in taps:
            out[_from(axis, first + tap, count)] += _tap(weights, tap) * samples
        samples = out
    return samples


def _tap(weights: Array, tap: int) -> Array:
    return weights[..., tap, None, None, None]


def _from(axis: int, first: int, count: int) -> Any:
    # The part of an array that begins at ``first`` on one of its last two axes.
    part = slice(first, first + count)
    return (..., part, slice(None)) if axis == -2 else (..., part)


def shift_probe(probe: Array, wy: Array, wx: Array) -> Array:
    """The probe (..., MODE, QY, QX) moved by a fraction of a pixel, see ``interpolation.shift_weights``."""
    return interpolate(coefficients(probe), wy, wx)


def shift_probe_adjoint(probe: Array, wy: Array, wx: Array) -> Array:
    """Adjoint of :func:`shift_probe`."""
    return coefficients_adjoint(interpolate_adjoint(probe, wy, wx))


def window(object_: Array, corner: tuple[int, int], shape: tuple[int, int]) -> Array:
    """The window of the object that starts at a corner."""
    return object_[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]


def window_adjoint(values: Array, corner: tuple[int, int], object_shape: tuple[int, int]) -> Array:
    """A window of values placed into an object of zeros."""
    out: Array = namespace_of(values).zeros(object_shape, dtype=values.dtype)
    out[corner[0] : corner[0] + values.shape[0], corner[1] : corner[1] + values.shape[1]] = values
    return out


def windows(object_: Array, corners: I32, shape: tuple[int, int]) -> Array:
    """Windows (POSITION, QY, QX) of the object (Y, X) that start at the corners (POSITION, 2), numpy's."""
    places = _places(object_, corners, shape)
    found: Array = namespace_of(object_).take(object_.reshape(-1), places, axis=0).reshape(-1, *shape)
    return found


def add_windows(object_: Array, values: Array, corners: I32) -> None:
    """Add windows (POSITION, QY, QX) to the object (Y, X), contiguous, in place: the adjoint of :func:`windows`."""
    xp, shape = namespace_of(object_), values.shape[1:]
    if xp is np:
        np.add.at(object_.reshape(-1), _places(object_, corners, shape), values.reshape(-1))
    elif getattr(xp, "__name__", None) == "cupy":
        # It adds floats only: a complex number goes as two. In which order, no one knows: the last bits may differ.
        scatter_add = importlib.import_module("cupyx").scatter_add
        scatter_add(_floats(object_), _places(object_, corners, shape), _floats(values))
    else:
        for number, (row, column) in enumerate(corners.tolist()):
            object_[row : row + shape[0], column : column + shape[1]] += values[number]


def _places(object_: Array, corners: I32, shape: tuple[int, int]) -> Array:
    # Of each pixel of each window in the object laid flat, (POSITION QY QX).
    xp, columns = namespace_of(object_), object_.shape[1]
    first = xp.asarray(corners.astype(np.int64) @ np.array([columns, 1]))
    inner = xp.arange(shape[0])[:, None] * columns + xp.arange(shape[1])
    places: Array = (first[:, None, None] + inner).reshape(-1)
    return places


def _floats(array: Array) -> Array:
    # (size, 2) of complex numbers, (size, 1) of real ones.
    flat = array.reshape(-1)
    return flat.view(array.real.dtype).reshape(flat.shape[0], -1)


def exit_waves(window_: Array, probe: Array) -> Array:
    """Exit waves (MODE, QY, QX) of a window (QY, QX) under the probe (MODE, QY, QX)."""
    waves: Array = window_[None] * probe
    return waves


def object_adjoint(waves: Array, probe: Array) -> Array:
    """Adjoint of :func:`exit_waves` in the object: sum over modes of conj(P) psi."""
    asked: Array = (probe.conj() * waves).sum(axis=0)
    return asked


def probe_adjoint(waves: Array, window_: Array) -> Array:
    """Adjoint of :func:`exit_waves` in the probe: conj(O) psi for each mode."""
    asked: Array = window_.conj()[None] * waves
    return asked


def propagate(waves: Array) -> Array:
    """Far field of exit waves, unitary, exp(-2 pi i) forward, zero frequency at [0, 0]."""
    field: Array = namespace_of(waves).fft.fft2(waves, axes=(-2, -1), norm="ortho").astype(waves.dtype, copy=False)
    return field


def propagate_adjoint(field: Array) -> Array:
    """Adjoint, and inverse, of :func:`propagate`."""
    waves: Array = namespace_of(field).fft.ifft2(field, axes=(-2, -1), norm="ortho").astype(field.dtype, copy=False)
    return waves


def reading(counts: Array, expected: Array) -> Array:
    """What was measured; a negative count says that it was so many at least, so that a brighter model is right."""
    xp = namespace_of(counts)
    measured: Array = xp.where(counts < 0, xp.maximum(xp.abs(counts), expected), counts)
    return measured


def modulus(field: Array, counts: Array, good: Array) -> Array:
    """The far field (MODE, QY, QX) with its summed intensity replaced by the counts (QY, QX) where pixels are good."""
    xp = namespace_of(field)
    intensity = (xp.abs(field) ** 2).sum(axis=0)
    factor = xp.sqrt(counts / (intensity + 1e-6))
    revised: Array = field * xp.where(good, factor, 1.0).astype(field.real.dtype)
    return revised


def clipped(object_: Array, limit: float) -> Array:
    """The object with amplitudes above the limit brought down to it, phases kept."""
    xp = namespace_of(object_)
    lower: Array = object_ * (limit / xp.maximum(xp.abs(object_), limit))
    return lower
