"""Noise of images reconstructed from two disjoint halves of the frames, separated into grain and slow waves."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, Mask
from stxmdist.spectra.density.absorbance import effective_counts_from_halves, noise_correlation_area


@dataclass(frozen=True, eq=False)
class HalfNoise:
    """Noise of the mean of two half reconstructions, estimated from their difference."""

    effective_counts: F64
    """(ENERGY,) photons per pixel at T = 1 whose shot noise is as large as the fine grain"""
    correlation_px2: float
    """Correlation area of the fine grain"""
    slow_variance: F64
    """(ENERGY,) variance of ln T by waves longer than a particle, which averaging over a particle does not reduce"""


def split_noise(half_a: F32, half_b: F32, inside: Mask, smooth_px: float) -> HalfNoise:
    """Separate the difference of half transmissions (ENERGY, Y, X) at a length of ``smooth_px`` pixels.

    Iterative phase retrieval converges last at low spatial frequencies, so the halves differ by slow waves in addition
    to shot noise. Averaging over the pixels of a particle reduces the grain but not the waves, which act as an error of
    the incident beam that differs from energy to energy. Both figures are for the mean of the halves, whose variance is
    a quarter of that of their difference. ``inside`` (Y, X) are the pixels that are used.
    """
    slow = np.zeros_like(half_a)
    variance = np.full(len(half_a), np.nan)
    weight = ndimage.gaussian_filter(inside.astype(np.float32), smooth_px)
    for energy, (a, b) in enumerate(zip(half_a, half_b, strict=True)):
        known = inside & np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
        if not known.any():
            continue
        difference = np.zeros(inside.shape, np.float32)
        difference[known] = 0.5 * (np.log(a[known]) - np.log(b[known]))
        difference[known] -= np.median(difference[known])
        smooth = ndimage.gaussian_filter(difference, smooth_px) / np.maximum(weight, 0.05)
        slow[energy] = np.where(known, smooth, 0.0)
        variance[energy] = float(smooth[known].var())
    fine_a, fine_b = half_a * np.exp(-slow), half_b * np.exp(slow)
    counts = effective_counts_from_halves(fine_a, fine_b, inside)
    areas = [
        noise_correlation_area(np.where(inside & np.isfinite(a + b), a - b, np.nan))
        for a, b in zip(fine_a, fine_b, strict=True)
    ]
    finite = [area for area in areas if np.isfinite(area)]
    return HalfNoise(counts, float(np.median(finite)) if finite else 1.0, variance)
