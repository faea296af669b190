"""Whether a reconstruction can be believed: what shot noise alone would leave, and a verdict with its reason."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import F32, Array, Mask
from stxmdist.units import joule_from_ev

VERDICTS = ("good", "poor", "failed")

POOR_RESIDUAL = 0.2
"""Amplitude residual from which a reconstruction is poor, unless noise explains it: speckle solutions end near it."""
POOR_NOISE_FACTOR = 2.5
"""Residual over that of shot noise from which, together with the former, a reconstruction is poor."""
POOR_HALF_PERIOD_PX = 8.0
"""Half-bit half-period from which there is no image to speak of, in pixels."""


@dataclass(frozen=True)
class Verdict:
    """What is thought of a tile, and why."""

    word: Literal["good", "poor", "failed"]
    reason: str = ""


def shot_noise_residual(frames: Array, good: Mask) -> float:
    """Amplitude residual sqrt(sum (sqrt I - sqrt M)^2 / sum I) that Poisson noise alone leaves.

    The root of a count varies by 1/4 where counts are many, and by their mean where there is hardly one; the mean of
    each pixel is taken over all frames (POSITION, QY, QX).
    """
    mean = frames.mean(axis=0, dtype=np.float64)[good]
    total = float(mean.sum())
    return float(np.sqrt(np.minimum(mean, 0.25).sum() / total)) if total > 0.0 else float("nan")


def photons_per_um2(illumination: F32, pixel_nm: tuple[float, float]) -> float:
    """Counts that fell on a square micrometre of the lit field: the median over pixels (Y, X) that are not dim.

    Each count is taken for a photon. A detector that misses some, or counts in other units, has its own factor.
    """
    lit = illumination[illumination > 0.1 * illumination.max()]
    return float(np.median(lit)) / (pixel_nm[0] * pixel_nm[1] * 1e-6)


def absorbed_dose_mgy(photons_per_um2: float, energy_ev: float, mass_absorption_cm2_g: float) -> float:
    """Dose D = F E mu/rho in megagray, where the beam enters the sample: deeper in it is as much less as the light.

    Parameters
    ----------
    photons_per_um2
        fluence F of one energy, as :func:`photons_per_um2` says it: it takes counts for photons, and so does the dose
    mass_absorption_cm2_g
        mu/rho of the sample at that energy
    """
    joule_per_cm2 = photons_per_um2 * 1e8 * joule_from_ev(energy_ev)
    return joule_per_cm2 * mass_absorption_cm2_g * 1e-3  # a joule per gram is a kilogray


def verdict(*, residual: float, noise: float, half_period_px: float, stopped: str) -> Verdict:
    """Judge a finished reconstruction.

    Parameters
    ----------
    residual, noise
        amplitude residual, and what shot noise alone would leave
    half_period_px
        at which the halves stop agreeing (half-bit), in pixels
    stopped
        as ``problem.Reconstruction`` says it
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
