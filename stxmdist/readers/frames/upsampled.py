"""Frames laid in larger ones whose outer pixels were not measured: the object is then sampled more finely.

A frame of N pixels p wide sees the object on pixels of lambda z / (N p). Light that the object scatters beyond the
detector's edge is lost, but a frame is the object's spectrum smeared by the aperture: what lies beyond the edge by up
to the aperture's own angle reaches the detector, from each position otherwise, and is found where all positions agree.
The window stays as it is, and the object's pixel becomes lambda z / (f N p).

Source: Maiden, Humphry, Zhang and Rodenburg, J. Opt. Soc. Am. A 28, 604 (2011).
"""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy import fft

from stxmdist.arrays import C64, Array
from stxmdist.readers.recording import PtychographyRecording


def laid_in(frames: Array, shape: tuple[int, int]) -> Array:
    """Frames (..., QY, QX) in the middle of zeros of another shape (QY, QX), index n // 2 at index n // 2."""
    larger = np.zeros((*frames.shape[:-2], *shape), frames.dtype)
    starts = [n // 2 - kept // 2 for n, kept in zip(shape, frames.shape[-2:], strict=True)]
    rows, columns = (slice(start, start + n) for start, n in zip(starts, frames.shape[-2:], strict=True))
    larger[..., rows, columns] = frames
    return larger


def finer(illumination: C64, shape: tuple[int, int]) -> C64:
    """The illumination (MODE, QY, QX) on finer pixels of the same window: no light beyond its own frequencies.

    The sum of squares, the light of a frame, is kept.
    """
    axes = (-2, -1)
    wave = fft.ifftshift(np.asarray(illumination, np.complex128), axes)
    spectrum = laid_in(fft.fftshift(fft.fft2(wave, norm="ortho"), axes), shape)
    return np.asarray(fft.fftshift(fft.ifft2(fft.ifftshift(spectrum, axes), norm="ortho"), axes), np.complex64)


def upsampled(recording: PtychographyRecording, times: int) -> PtychographyRecording:
    """The recording with frames laid in ones ``times`` as large, whose other pixels are not good; as it is for 1."""
    if times == 1:
        return recording
    ny, nx = recording.frame_shape
    shape, light = (times * ny, times * nx), recording.illumination
    note = f"frames are laid in {shape[0]} x {shape[1]} pixels, those around them not measured: upsample {times}"
    return replace(
        recording,
        frame_shape=shape,
        good=laid_in(recording.good, shape),
        illumination=None if light is None else finer(light, shape),
        read=partial(_read, recording, shape),
        notes=(*recording.notes, note),
    )


def _read(recording: PtychographyRecording, shape: tuple[int, int], energy: int, positions: slice) -> Array:
    return laid_in(recording.read(energy, positions), shape)


__all__ = ["finer", "laid_in", "upsampled"]
