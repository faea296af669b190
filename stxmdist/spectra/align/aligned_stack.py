"""A stack moved back to where its particles were: resampled frame by frame, and what that does to its noise."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from stxmdist.arrays import F32, F64, Mask
from stxmdist.spectra.align.resample import noise_correlation_px2, resample, variance_factor
from stxmdist.spectra.align.shifts import Shifts


class FrameSink(Protocol):
    """Something that takes the frames (Y, X) of a stack, one energy after the other."""

    def __setitem__(self, energy: int, frame: F32, /) -> None:
        """Keep the frame of one energy."""
        ...


def unmoved(n_energies: int) -> Shifts:
    """Shifts of a stack whose frames stay where they are; their quality is not known."""
    return Shifts(np.zeros((n_energies, 2)), np.full(n_energies, np.nan), np.zeros(n_energies, dtype=np.bool_), 0)


def resample_stack(
    frames: Sequence[F32], shift_px: F64, measured: Mask, into: FrameSink, shape: tuple[int, int]
) -> Mask:
    """Move each measured frame (Y, X) of a stack by its shift (ENERGY, 2) once; others become NaN.

    Returns the pixels (Y, X) that are known at all measured energies, that is those that never left the field.
    """
    known = np.ones(shape, dtype=np.bool_)
    for energy, used in enumerate(measured):
        plane = np.full(shape, np.nan, np.float32)
        if used:
            plane = resample(frames[energy], shift_px[energy])
            known &= np.isfinite(plane)
        into[energy] = plane
    return known


def resample_phase(phase: F32, shift_px: F64) -> F32:
    """A phase (Y, X) in rad, moved by ``shift_px`` as a number on the unit circle, because it may wrap."""
    return np.arctan2(resample(np.sin(phase), shift_px), resample(np.cos(phase), shift_px))


def effective_counts(i0_counts: F64, noise_factor: F64, shift_px: F64, measured: Mask) -> F64:
    """Incident photons per pixel (ENERGY,) that would give a resampled stack its noise; NaN where nothing was measured.

    ``noise_factor`` (ENERGY,) is the variance of counts over that of single photons. Resampling by a shift (ENERGY, 2)
    averages neighbours, which lowers the variance of a pixel as more photons would.
    """
    factors = np.array([variance_factor(shift) for shift in shift_px])
    return np.where(measured, i0_counts / noise_factor / factors, np.nan)


def correlation_after_px2(correlation_px2: float, shift_px: F64, measured: Mask) -> float:
    """Area over which noise is correlated in a resampled stack, the mean of its measured energies.

    ``correlation_px2`` is that area before, ``shift_px`` (ENERGY, 2).
    """
    return correlation_px2 * float(np.mean([noise_correlation_px2(shift) for shift in shift_px[measured]]))
