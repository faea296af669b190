"""Whether a reconstruction can be trusted: what shot noise alone would leave over, and a verdict with its reason."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from stxmdist.arrays import Array, Mask
from stxmdist.ptychography.noise import root_variance

Word: TypeAlias = Literal["good", "poor", "failed"]
VERDICTS: tuple[Word, ...] = get_args(Word)
"""In the order of the codes that the store keeps."""

POOR_RESIDUAL = 0.2
"""Amplitude residual above which a reconstruction is poor, unless noise explains it: false solutions end near it."""
POOR_NOISE_FACTOR = 2.5
"""A poor reconstruction also has a residual of more than this many times that of shot noise."""
POOR_HALF_PERIOD_PX = 8.0
"""Half-period of the half-bit limit, in pixels, from which there is no image worth the name."""


@dataclass(frozen=True)
class Verdict:
    """Whether a tile can be trusted, and why not."""

    word: Word
    reason: str = ""


def shot_noise_residual(frames: Array, good: Mask, readout: float = 0.0) -> float:
    """Amplitude residual sqrt(sum (sqrt I - sqrt M)^2 / sum I) that shot noise and read-out noise leave over.

    The mean of each pixel is taken over all frames (POSITION, QY, QX) in photons; its root varies by
    ``noise.root_variance``. ``readout`` is the standard deviation of a reading without light, in photons.
    """
    mean = frames.mean(axis=0, dtype=np.float64)[good]
    total = float(np.maximum(mean, 0.0).sum())
    return float(np.sqrt(root_variance(mean, readout).sum() / total)) if total > 0.0 else float("nan")


def verdict(*, residual: float, noise: float, half_period_px: float, stopped: str) -> Verdict:
    """Judge a finished reconstruction.

    Parameters
    ----------
    residual, noise
        amplitude residual, and what shot noise alone would leave over
    half_period_px
        at which the Fourier ring correlation of two halves falls below the half-bit threshold, in pixels
    stopped
        as in ``problem.Reconstruction``
    """
    if stopped == "not finite" or not np.isfinite(residual):
        return Verdict("failed", "the reconstruction broke off with numbers that are not finite")
    if stopped == "diverged":
        return Verdict("poor", "the error rose again; the best state was kept")
    if residual > max(POOR_RESIDUAL, POOR_NOISE_FACTOR * noise):
        return Verdict("poor", f"frames are explained to {residual:.3f} only; shot noise alone leaves {noise:.3f}")
    if not half_period_px < POOR_HALF_PERIOD_PX:
        return Verdict("poor", f"its halves agree to a half-period of {half_period_px:.1f} px only")
    return Verdict("good")
