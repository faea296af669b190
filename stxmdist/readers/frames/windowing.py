"""A ptychography scan on fewer detector pixels: frames cut around the zero frequency, pixels summed to larger ones.

A frame of N pixels p wide sees the object on pixels of lambda z / (N p), in a window of lambda z / p. Cut to n pixels
it sees the same window on pixels larger by N / n. Summed b at a time it sees the same pixels in a window smaller by b:
the light must keep to that.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import fft

from stxmdist.arrays import C64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.readers.recording import PtychographyRecording

LEAST_PX = 8
"""Fewer pixels on a side hardly hold the pattern of the beam alone, and nothing of the sample."""
PIECE_BYTES = 32_000_000
"""Frames are read in pieces of about this size before they are cut or summed, when they may be much larger."""


@dataclass(frozen=True)
class Blocks:
    """How the pixels of one axis are summed ``size`` at a time, with the zero frequency in block ``count // 2``.

    The zero frequency, pixel n // 2, is the middle one of its block where the size is odd. Where it is even there is no
    middle one: it is the last before the middle, so that the block's centre lies half a pixel beyond it. Pixels at the
    edges that fill no block are left out.
    """

    n: int
    """Pixels of the axis"""
    size: int

    @property
    def count(self) -> int:
        """Whole blocks."""
        before = (self.n // 2 - (self.size - 1) // 2) // self.size
        after = (self.n - 1 - self.n // 2 - self.size // 2) // self.size
        return before + 1 + after

    @property
    def covered(self) -> slice:
        """The pixels that lie in a block."""
        first = self.n // 2 - (self.size - 1) // 2 - self.count // 2 * self.size
        return slice(first, first + self.count * self.size)

    @property
    def beyond_px(self) -> float:
        """How far the centre of a block lies beyond the frequency that it stands for, in pixels of the axis."""
        return 0.5 * (1 - self.size % 2)


def middle_of(frames: Array, shape: tuple[int, int]) -> Array:
    """The pixels (..., rows, columns) of ``shape`` around index n // 2, which is at index n // 2 of them too."""
    starts = [n // 2 - kept // 2 for n, kept in zip(frames.shape[-2:], shape, strict=True)]
    rows, columns = (slice(start, start + kept) for start, kept in zip(starts, shape, strict=True))
    return frames[..., rows, columns]


def summed(frames: Array, size: int) -> Array:
    """Sums (..., QY / size, QX / size) over the `Blocks` of frames (..., QY, QX), in a type that holds them."""
    rows, columns = (Blocks(n, size) for n in frames.shape[-2:])
    part = frames[..., rows.covered, columns.covered]
    cells = part.reshape(*frames.shape[:-2], rows.count, size, columns.count, size)
    sums: Array = cells.sum(axis=(-3, -1), dtype=summed_type(frames.dtype, size))
    return sums


def summed_type(dtype: np.dtype[Any], size: int) -> np.dtype[np.generic]:
    """The smallest type that holds the sum of ``size`` x ``size`` numbers of a type, integers as integers."""
    if size == 1:
        return dtype
    if dtype.kind not in "iu":
        return np.result_type(dtype, np.float32)
    if dtype.itemsize == 8:
        return np.dtype(np.float64)
    most = size**2 * (np.iinfo(dtype).max + 1)
    return np.dtype(np.min_scalar_type(most if dtype.kind == "u" else -most))


def illumination_on(illumination: C64, covered: tuple[slice, slice], size: int = 1) -> C64:
    """The illumination (MODE, QY, QX) as a detector sees it that keeps some frequencies and sums them.

    Of a wave P(r) with the spectrum F(q), zero frequency at c = n // 2, the M frequencies ``covered`` are kept:

        P'(r) = M^-1/2 sum over q of F(q) exp(2 pi i (q - c - d) r / M),  r = -(m // 2) ... in m = M / size pixels.

    With d, how far the centres of `Blocks` lie beyond their frequencies, the spectrum of P' at k is that of P at
    size k + d. Leaving out frequencies makes pixels larger, leaving out pixels is the smaller window. Powers are kept:
    the sum of squares stays the light that falls on the detector.

    Parameters
    ----------
    covered
        rows and columns of the frequencies, whole multiples of ``size``
    size
        how many of them are summed to one
    """
    shape = illumination.shape[-2:]
    axes = (-2, -1)
    wave = np.asarray(illumination, np.complex128)
    spectrum = fft.fftshift(fft.fft2(fft.ifftshift(wave, axes), norm="ortho"), axes)[..., covered[0], covered[1]]
    kept = (int(spectrum.shape[-2]), int(spectrum.shape[-1]))
    wave = fft.fftshift(fft.ifft2(fft.ifftshift(spectrum, axes), norm="ortho"), axes)
    ramps = []
    for n, kept_n, part in zip(shape, kept, covered, strict=True):
        zero = n // 2 - part.start + Blocks(n, size).beyond_px
        ramps.append(np.exp(2j * np.pi * (kept_n // 2 - zero) * (np.arange(kept_n) - kept_n // 2) / kept_n))
    wave = wave * ramps[0][:, None] * ramps[1]
    return middle_of(wave, (kept[0] // size, kept[1] // size)).astype(np.complex64)


def cropped(recording: PtychographyRecording, px: int) -> PtychographyRecording:
    """The recording with frames of ``px`` x ``px`` pixels around the zero frequency; as it is where px is 0.

    Raises
    ------
    InputError
        if the frames are smaller than that.
    """
    ny, nx = recording.frame_shape
    if px == 0 or px == ny == nx:
        return recording
    if px > min(ny, nx):
        raise InputError(
            where=recording.source,
            problem="the frames are smaller than the crop that was asked for",
            got=f"{ny} x {nx} pixels, crop_px {px}",
            wanted=f"crop_px of at most {min(ny, nx)}, or 0 for all pixels",
            mend="Choose a smaller crop_px of ingest",
        )
    shape = (px, px)
    light = recording.illumination
    starts = (ny // 2 - px // 2, nx // 2 - px // 2)
    covered = (slice(starts[0], starts[0] + px), slice(starts[1], starts[1] + px))
    return replace(
        recording,
        frame_shape=shape,
        good=_with_pixels(middle_of(recording.good, shape), recording, "the crop leaves"),
        illumination=None if light is None else illumination_on(light, covered),
        read=partial(_read, recording, partial(middle_of, shape=shape), shape, recording.frame_dtype),
        notes=(*recording.notes, f"frames are cut to {px} x {px} of {ny} x {nx} pixels around the zero frequency"),
    )


def binned(recording: PtychographyRecording, px: int) -> PtychographyRecording:
    """The recording with ``px`` x ``px`` detector pixels summed to one, good if all of them are; see `Blocks`.

    Raises
    ------
    InputError
        if too few pixels are left, or none that is good.
    """
    if px == 1:
        return recording
    rows, columns = (Blocks(n, px) for n in recording.frame_shape)
    shape = (rows.count, columns.count)
    ny, nx = recording.frame_shape
    if min(shape) < LEAST_PX:
        raise InputError(
            where=recording.source,
            problem="the frames are too small for so many pixels to be summed to one",
            got=f"{ny} x {nx} pixels, bin_px {px}",
            wanted=f"at least {LEAST_PX} whole sums on a side around the zero frequency",
            mend="Choose a smaller bin_px, or a larger crop_px, of ingest",
        )
    dtype, light = summed_type(recording.frame_dtype, px), recording.illumination
    note = f"{px} x {px} detector pixels are summed to one: {shape[0]} x {shape[1]} of {ny} x {nx}"
    left_out = (ny - px * shape[0], nx - px * shape[1])
    if any(left_out):
        note += f", without {left_out[0]} rows and {left_out[1]} columns at the edges"
    if rows.beyond_px:
        note += f"; the zero frequency lies {rows.beyond_px / px:g} pixels before the middle of its own"
    return replace(
        recording,
        frame_shape=shape,
        frame_dtype=dtype,
        good=_with_pixels(summed((~recording.good).astype(np.uint8), px) == 0, recording, "the sums leave"),
        detector_pixel_um=(px * recording.detector_pixel_um[0], px * recording.detector_pixel_um[1]),
        illumination=None if light is None else illumination_on(light, (rows.covered, columns.covered), px),
        read=partial(_read, recording, partial(summed, size=px), shape, dtype),
        notes=(*recording.notes, note),
    )


def zero_frequency_px(shape: tuple[int, int], size: int) -> tuple[float, float]:
    """Where the zero frequency lies in frames of ``shape`` that were summed ``size`` at a time, in their pixels."""
    beyond = Blocks(size, size).beyond_px / size
    return shape[0] // 2 - beyond, shape[1] // 2 - beyond


def pieces(positions: range, bytes_each: int) -> Iterator[range]:
    """Positions in runs whose frames take about `PIECE_BYTES`, one frame at least."""
    at_once = max(1, PIECE_BYTES // bytes_each)
    for first in range(0, len(positions), at_once):
        yield positions[first : first + at_once]


def run_of(positions: range) -> slice:
    """The slice that a recording's ``read`` takes."""
    return slice(positions.start, positions.stop, positions.step)


def frame_bytes(recording: PtychographyRecording) -> int:
    """Bytes of one frame as it is read."""
    return math.prod(recording.frame_shape) * recording.frame_dtype.itemsize


def _read(
    recording: PtychographyRecording,
    change: Callable[[Array], Array],
    shape: tuple[int, int],
    dtype: np.dtype[np.generic],
    energy: int,
    positions: slice,
) -> Array:
    """Frames (POSITION, *shape) after a change, read from a recording piece by piece as they are before it."""
    chosen = range(recording.positions_um.shape[1])[positions]
    if chosen.step < 1:
        raise ValueError(f"positions are read in ascending order, got {positions}")
    frames = np.empty((len(chosen), *shape), dtype)
    filled = 0
    for some in pieces(chosen, frame_bytes(recording)):
        frames[filled : filled + len(some)] = change(recording.read(energy, run_of(some)))
        filled += len(some)
    return frames


def _with_pixels(good: Mask, recording: PtychographyRecording, what: str) -> Mask:
    if not good.any():
        raise InputError(
            where=recording.source,
            problem=f"{what} no good detector pixel",
            got=f"{np.count_nonzero(~recording.good)} of {recording.good.size} pixels bad before",
            wanted="at least one good pixel",
            mend="Choose another crop_px or a smaller bin_px of ingest, or correct the mask",
        )
    return good


def stored_type(of_file: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Whole counts stay whole; signed numbers and fractions, such as counts less a dark frame, become float32."""
    if of_file.kind == "u" and of_file.itemsize <= 4:
        return np.dtype(np.uint16 if of_file.itemsize <= 2 else np.uint32)
    return np.dtype(np.float32)


__all__ = [
    "LEAST_PX",
    "PIECE_BYTES",
    "Blocks",
    "binned",
    "cropped",
    "frame_bytes",
    "illumination_on",
    "middle_of",
    "pieces",
    "run_of",
    "stored_type",
    "summed",
    "summed_type",
    "zero_frequency_px",
]
