"""Fourier ring correlation: down to which detail two independent reconstructions of one object agree."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import distance_transform_edt

from stxmdist.arrays import C128, F64, Array, Real
from stxmdist.errors import InputError
from stxmdist.ptychography.gauge import register_pair, remove_ramp, shift_image

_TAPER = 0.15
"""Width of the soft edge of the mask, as share of the smaller side of the area."""
_COUNTED = 40
"""A ring with fewer independent Fourier pixels is too uncertain to say where the resolved band ends."""
_COVERED = 0.3
"""Pixels with less than this share of the median weight are outside the area."""


@dataclass(frozen=True)
class RingCorrelation:
    """Correlation of two independent halves over rings of spatial frequency.

    The limits are half-periods, as is the custom: the size of the smallest detail, half the period of the finest
    grating.
    """

    frequency_per_px: F64
    """(FREQUENCY,) cycles per pixel, up to 0.5"""
    correlation: F64
    """(FREQUENCY,) Re sum A B* / sqrt(sum |A|^2 sum |B|^2)"""
    n: F64
    """(FREQUENCY,) independent Fourier pixels in the ring"""
    half_bit: F64
    """(FREQUENCY,) threshold of half a bit of information per pixel"""
    one_bit: F64
    half_bit_half_period_px: float
    """1 where the curve stays above the threshold up to the Nyquist frequency, NaN where it is never above"""
    one_bit_half_period_px: float
    pixel_nm: float
    shift_px: tuple[float, float]
    """(y, x) by which the second half was displaced"""

    @property
    def half_bit_half_period_nm(self) -> float:
        """The half-bit limit in nm."""
        return self.half_bit_half_period_px * self.pixel_nm

    @property
    def one_bit_half_period_nm(self) -> float:
        """The one-bit limit in nm."""
        return self.one_bit_half_period_px * self.pixel_nm


def ring_frequencies(correlation: Real) -> F64:
    """Cycles per pixel of each ring of curves (..., FREQUENCY) that end in NaN, float64 of the same shape.

    A curve's last ring that holds a number lies at half a cycle per pixel; a curve without numbers is taken as whole.
    """
    n = correlation.shape[-1]
    known = np.isfinite(correlation)
    rings = np.where(known.any(axis=-1), n - np.argmax(known[..., ::-1], axis=-1), n)
    return np.asarray(np.arange(n) * 0.5 / np.maximum(rings, 1)[..., None], dtype=np.float64)


def fourier_ring_correlation(
    a: Array, b: Array, pixel_nm: float = float("nan"), weight: Array | None = None
) -> RingCorrelation:
    """Compare two reconstructions from independent halves of the frames.

    ``b`` is given the gauge of ``a`` (scale, phase offset, ramp) and registered to a hundredth of a pixel. Both are cut
    out by a soft mask, and their means subtracted. Rings are one frequency cell of the smaller side wide.

    Parameters
    ----------
    a, b
        (Y, X) complex or real
    weight
        (Y, X) illumination; the area is where it is above a third of its median. All of it if None.

    Raises
    ------
    InputError
        if shapes differ or the area is too small.

    Source: van Heel and Schatz, J. Struct. Biol. 151, 250 (2005), for the thresholds of independent halves.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(
            where="Fourier ring correlation", problem="the halves differ in shape", got=f"{a.shape} and {b.shape}",
            wanted="two images on one grid", mend="Reconstruct both halves on the grid of the whole",
        )  # fmt: skip
    one, other, mask = _cut_out(a, b, weight)
    shift = np.zeros(2)
    real = np.isrealobj(a) and np.isrealobj(b)

    def brought_over() -> C128:
        moved = shift_image(other, shift)
        return np.asarray(moved.real, np.complex128) if real else remove_ramp(moved, one, mask)

    for _ in range(2):
        moved = brought_over()
        step = register_pair(one, moved, mask)
        # Such a shift is noise: the images have nothing in common.
        if np.abs(shift + step).max() > 0.25 * min(one.shape):
            break
        shift = shift + step
    frequency, correlation, n = _rings(one, brought_over(), mask, real)
    root = np.sqrt(np.maximum(n, 1.0))
    half_bit = (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
    one_bit = (0.5 + 2.4142 / root) / (1.5 + 1.4142 / root)
    return RingCorrelation(
        frequency_per_px=frequency,
        correlation=correlation,
        n=n,
        half_bit=half_bit,
        one_bit=one_bit,
        half_bit_half_period_px=crossing_half_period_px(frequency, correlation - half_bit, n),
        one_bit_half_period_px=crossing_half_period_px(frequency, correlation - one_bit, n),
        pixel_nm=pixel_nm,
        shift_px=(float(shift[0]), float(shift[1])),
    )


def _cut_out(a: Array, b: Array, weight: Array | None) -> tuple[C128, C128, F64]:
    inside = np.isfinite(a) & np.isfinite(b)
    if weight is not None and (weight > 0).any():
        inside &= weight > _COVERED * float(np.median(weight[weight > 0]))
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size < 16 or columns.size < 16:
        raise InputError(
            where="Fourier ring correlation", problem="the area in common is too small",
            got=f"{rows.size} x {columns.size} pixels", wanted="at least 16 x 16", mend="Scan a larger field",
        )  # fmt: skip
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = np.pad(inside[box], 1)
    depth = distance_transform_edt(inside)[1:-1, 1:-1]
    mask = np.sin(0.5 * np.pi * np.minimum(depth / (_TAPER * min(rows.size, columns.size)), 1.0)) ** 2
    pair = [np.asarray(np.nan_to_num(values[box]), np.complex128) for values in (a, b)]
    return pair[0], pair[1], np.asarray(mask, np.float64)


def _rings(a: C128, b: C128, mask: F64, real: bool) -> tuple[F64, F64, F64]:
    spectra = [fft.fft2(mask * (values - (mask * values).sum() / mask.sum())) for values in (a, b)]
    count = min(a.shape) // 2
    fy, fx = np.meshgrid(fft.fftfreq(a.shape[0]), fft.fftfreq(a.shape[1]), indexing="ij")
    ring = np.round(np.hypot(fy, fx) * 2 * count).astype(int).ravel()

    def summed(values: F64) -> F64:
        return np.asarray(np.bincount(ring, weights=values.ravel(), minlength=count + 1)[1 : count + 1])

    cross = summed((spectra[0] * np.conj(spectra[1])).real)
    powers = summed(np.abs(spectra[0]) ** 2) * summed(np.abs(spectra[1]) ** 2)
    correlation = cross / np.sqrt(np.maximum(powers, 1e-300))
    # The mask correlates neighbouring Fourier pixels: only its share of the area counts. Fourier pixels of real images
    # come in equal pairs.
    share = float((mask**2).sum()) / mask.size
    n = summed(np.ones(a.shape)) * share * (0.5 if real else 1.0)
    return np.arange(1, count + 1) / (2.0 * count), np.asarray(correlation, np.float64), n


def crossing_half_period_px(frequency: F64, above: F64, n: F64) -> float:
    """Half-period 1 / (2 f) in pixels at which correlation less threshold (FREQUENCY,) first falls below zero.

    Returns 1 where it never does, NaN where it starts below. Rings of fewer than ``_COUNTED`` pixels do not count.
    """
    first = min(int(np.argmax(n >= _COUNTED)), n.size - 1)
    below = np.flatnonzero(above[first:] < 0.0)
    if below.size == 0:
        return 1.0
    at = first + int(below[0])
    if at == first:
        return float("nan")
    share = above[at - 1] / (above[at - 1] - above[at])
    crossing = frequency[at - 1] + share * (frequency[at] - frequency[at - 1])
    return float(0.5 / crossing)
