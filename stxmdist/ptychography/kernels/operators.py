"""The linear maps that every engine is made of, each with its adjoint, in plain array code that any array library runs.

They define what the fused kernels compute (the tests hold the two together) and serve what is not hot, and passes in
other array libraries. All act on whole stacks of modes: windows are (MODE, QY, QX), the object is (Y, X).
"""

import importlib
from typing import Any

import numpy as np

from stxmdist.arrays import F32, F64, I32, namespace_of

TAPS = 6
"""Points of the sub-pixel interpolation (Lagrange, degree 5), the same as in the kernels."""


def shift_weights(fraction: F64) -> F32:
    """Weights (..., TAPS) float32 of Lagrange interpolation that move a function by a fraction in [0, 1) of a pixel.

    Tap t multiplies the value at ``u + t - 3``; a fraction of 0 gives the value at u itself.
    """
    at = -np.asarray(fraction, np.float64)[..., None]
    nodes = np.arange(TAPS) - 3.0
    weights = np.ones((*np.shape(fraction), TAPS))
    for tap in range(TAPS):
        for other in range(TAPS):
            if other != tap:
                weights[..., tap] *= (at[..., 0] - nodes[other]) / (nodes[tap] - nodes[other])
    return weights.astype(np.float32)


def split_positions(positions_px: F64) -> tuple[I32, F64]:
    """Positions (POSITION, 2) as whole corners (POSITION, 2) int32 and fractions (POSITION, 2) in [0, 1).

    Fractions below a thousandth of a pixel are none: they come from the rounding of conversions between units.
    """
    snapped = np.where(np.abs(positions_px - np.round(positions_px)) < 1e-3, np.round(positions_px), positions_px)
    corners = np.floor(snapped)
    return corners.astype(np.int32), snapped - corners


def shift_probe(probe: Any, wy: Any, wx: Any) -> Any:
    """The probe (..., MODE, QY, QX) moved by a fraction of a pixel, weights (..., TAPS) each way; zero outside the
    window.
    """
    return _blend(_blend(probe, wy, -2, range(-3, 3)), wx, -1, range(-3, 3))


def shift_probe_adjoint(probe: Any, wy: Any, wx: Any) -> Any:
    """Adjoint of :func:`shift_probe`."""
    return _blend(_blend(probe, wy, -2, range(3, -3, -1)), wx, -1, range(3, -3, -1))


def _blend(array: Any, weights: Any, axis: int, offsets: range) -> Any:
    out = namespace_of(array).zeros_like(array)
    n = array.shape[axis]
    for tap, offset in enumerate(offsets):
        weight = weights[..., tap, None, None, None]
        here = [slice(None)] * len(array.shape)
        there = here.copy()
        here[axis] = slice(max(0, -offset), n - max(0, offset))
        there[axis] = slice(max(0, offset), n - max(0, -offset))
        out[tuple(here)] += weight * array[tuple(there)]
    return out


def window(object_: Any, corner: tuple[int, int], shape: tuple[int, int]) -> Any:
    """The window of the object that starts at a corner."""
    return object_[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]


def window_adjoint(values: Any, corner: tuple[int, int], object_shape: tuple[int, int]) -> Any:
    """A window of values placed into an object of zeros."""
    out = namespace_of(values).zeros(object_shape, dtype=values.dtype)
    out[corner[0] : corner[0] + values.shape[0], corner[1] : corner[1] + values.shape[1]] = values
    return out


def windows(object_: Any, corners: I32, shape: tuple[int, int]) -> Any:
    """Windows (POSITION, QY, QX) of the object (Y, X) that start at the corners (POSITION, 2), numpy's."""
    places = _places(object_, corners, shape)
    return namespace_of(object_).take(object_.reshape(-1), places, axis=0).reshape(-1, *shape)


def add_windows(object_: Any, values: Any, corners: I32) -> None:
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


def _places(object_: Any, corners: I32, shape: tuple[int, int]) -> Any:
    # Of each pixel of each window in the object laid flat, (POSITION QY QX).
    xp, columns = namespace_of(object_), object_.shape[1]
    first = xp.asarray(corners.astype(np.int64) @ np.array([columns, 1]))
    inner = xp.arange(shape[0])[:, None] * columns + xp.arange(shape[1])
    return (first[:, None, None] + inner).reshape(-1)


def _floats(array: Any) -> Any:
    # (size, 2) of complex numbers, (size, 1) of real ones.
    flat = array.reshape(-1)
    return flat.view(array.real.dtype).reshape(flat.shape[0], -1)


def exit_waves(window_: Any, probe: Any) -> Any:
    """Exit waves (MODE, QY, QX) of a window (QY, QX) under the probe (MODE, QY, QX)."""
    return window_[None] * probe


def object_adjoint(waves: Any, probe: Any) -> Any:
    """Adjoint of :func:`exit_waves` in the object: sum over modes of conj(P) psi."""
    return (probe.conj() * waves).sum(axis=0)


def probe_adjoint(waves: Any, window_: Any) -> Any:
    """Adjoint of :func:`exit_waves` in the probe: conj(O) psi for each mode."""
    return window_.conj()[None] * waves


def propagate(waves: Any) -> Any:
    """Far field of exit waves, unitary, exp(-2 pi i) forward, zero frequency at [0, 0]."""
    return namespace_of(waves).fft.fft2(waves, axes=(-2, -1), norm="ortho").astype(waves.dtype, copy=False)


def propagate_adjoint(field: Any) -> Any:
    """Adjoint, and inverse, of :func:`propagate`."""
    return namespace_of(field).fft.ifft2(field, axes=(-2, -1), norm="ortho").astype(field.dtype, copy=False)


def modulus(field: Any, counts: Any, good: Any) -> Any:
    """The far field (MODE, QY, QX) with its summed intensity replaced by the counts (QY, QX) where pixels are good."""
    xp = namespace_of(field)
    intensity = (xp.abs(field) ** 2).sum(axis=0)
    factor = xp.sqrt(counts / (intensity + 1e-6))
    return field * xp.where(good, factor, 1.0).astype(field.real.dtype)


def clipped(object_: Any, limit: float) -> Any:
    """The object with amplitudes above the limit brought down to it, phases kept."""
    xp = namespace_of(object_)
    return object_ * (limit / xp.maximum(xp.abs(object_), limit))
