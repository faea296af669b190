"""The noise of images that were reconstructed twice, from disjoint halves of the frames: grain and slow waves apart."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, Mask
from stxmdist.spectra.density.absorbance import effective_counts_from_halves, noise_correlation_area


@dataclass(frozen=True, eq=False)
class HalfNoise:
    """What the difference of two halves says of their mean."""

    effective_counts: F64
    """(ENERGY,) photons per pixel at T = 1 whose counting noise is as large as the fine grain"""
    correlation_px2: float
    """Area over which the fine grain is one and the same"""
    slow_variance: F64
    """(ENERGY,) variance of ln T by waves longer than a particle: it does not average over one"""


def split_noise(half_a: F32, half_b: F32, inside: Mask, smooth_px: float) -> HalfNoise:
    """Separate the difference of half transmissions (ENERGY, Y, X) at a length of ``smooth_px`` pixels.

    Iterative phase retrieval converges last at low spatial frequencies, so that halves differ by slow waves beside
    counting noise. The grain averages over a particle's pixels, the waves do not: they act as an error of the incident
    beam that differs from energy to energy. Both are of the mean of the halves, a quarter of the difference's variance.
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
