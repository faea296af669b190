"""A stack moved back to where its particles were: resampled frame by frame, and what that does to its noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stxmdist.arrays import F32, F64, U8, Mask, MaskClass
from stxmdist.spectra.align.resample import noise_correlation_px2, reached, resample, variance_factor
from stxmdist.spectra.align.shifts import Shifts


class FrameSink(Protocol):
    """Something that takes the frames (Y, X) of a stack, one energy after the other."""

    def __setitem__(self, energy: int, frame: F32, /) -> None:
        """Keep the frame of one energy."""
        ...


def unmoved(n_energies: int) -> Shifts:
    """Shifts of a stack whose frames stay where they are; their quality is not known."""
    return Shifts(np.zeros((n_energies, 2)), np.full(n_energies, np.nan), np.zeros(n_energies, dtype=np.bool_), 0)


WHOLE = 0.95
"""An energy is whole if it has a number in this share of the pixels that the most complete energy has one in"""


@dataclass(frozen=True, eq=False)
class Coverage:
    """Where a resampled stack holds numbers."""

    inside: Mask
    """(Y, X) pixels that never left the field; those outside are not known, whatever was measured there"""
    measured: Mask
    """(Y, X) pixels that hold a number at one energy at least"""
    known_share: F64
    """(ENERGY,) share of the field that holds numbers; 0 where nothing was measured"""

    @property
    def classes(self) -> U8:
        """Mask class (Y, X) of each pixel: valid with a number at some energy."""
        found = np.where(self.measured, MaskClass.valid, MaskClass.missing)
        return np.where(self.inside, found, MaskClass.outside).astype(np.uint8)

    @property
    def all_known(self) -> bool:
        """Whether every measured energy has all of the field."""
        return bool(np.isin(self.known_share, (0.0, 1.0)).all())


def resample_stack(
    frames: Sequence[F32],
    shift_px: F64,
    measured: Mask,
    into: FrameSink,
    shape: tuple[int, int],
    *,
    unknown_is_outside: bool = False,
) -> Coverage:
    """Move each measured frame (Y, X) of a stack by its shift (ENERGY, 2) once; others become NaN.

    A pixel that a frame does not know (its line was not scanned, a spike) is NaN at that energy alone. With
    ``unknown_is_outside`` it counts as outside the field, as where the beam of a reconstruction did not go.
    """
    inside, somewhere = np.ones(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    share = np.zeros(len(measured))
    for energy, used in enumerate(measured):
        plane = np.full(shape, np.nan, np.float32)
        if used:
            plane = resample(frames[energy], shift_px[energy])
            known = np.isfinite(plane)
            here = known if unknown_is_outside else reached(shape, shift_px[energy])
            inside &= here
            somewhere |= known
            share[energy] = known.sum() / max(1, here.sum())
        into[energy] = plane
    return Coverage(inside, somewhere, share)


def whole_energies(used: Mask, known_share: F64 | None) -> Mask:
    """Which of the ``used`` energies (ENERGY,) have a number in nearly all pixels that any of them has one in.

    What needs spectra with the same energies in every pixel (a mean spectrum, components) rests on these. All used
    energies where ``known_share`` (ENERGY,) is None.
    """
    if known_share is None or not used.any():
        return used
    return np.asarray(used & (known_share >= WHOLE * known_share[used].max()))


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
