"""The noise of a scan's maps as its own particle-free pixels show it: how strong it is, and how far it is alike.

Noise of reconstructed images is alike over several pixels, and differs from what a fit claims of single ones; no model
of the reconstruction gives either. What varies slowly over the field is not noise: it does not differ inside particles.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft, ndimage

from stxmdist.arrays import F32, F64, I64, Mask, compiled

LEAST_FREE_PIXELS = 1000
"""Fewer particle-free pixels do not tell correlations of 3 % from none."""
FEW_LAGS_PX = 2
"""Lags that are looked at first."""
MOST_LAG_PX = 8
"""Noise that is alike further apart is cut off there."""
LEAST_CORRELATION = 0.05
"""Below this, two standard errors of the fewest pixels, noise is taken as not alike."""
TREND_PX = 49
"""Side of the window whose mean is taken off as trend."""
LEAST_EXCESS = 1.05
"""Noise that is no more than so many times as strong as claimed is as strong: trends add some percent."""
OUTLIER_SDS = 4.0
"""Dirt and film are no noise: what lies further off counts as so far."""
MEDIAN_SQUARE = 0.4549
"""Median of the square of a standard normal number"""


@dataclass(frozen=True, eq=False)
class FieldNoise:
    """How noise is drawn that looks like a field's."""

    stencil: F32
    """(K, K), K odd, sum of squares 1: white noise through it is alike over as many pixels as the field's"""
    variance_ratio: float
    """Variance over what the fit claims, at least 1: plates let less light through, and less noise than claimed between
    them does not say that there is less in them
    """
    free_pixels: int
    """From which both were measured; 0: neither was, and the scan's correlation area stands for the stencil"""

    def stronger(self, variance_ratio: float) -> "FieldNoise":
        """The same of pixels whose own residuals show another ratio; the larger holds, and NaN shows none."""
        return replace(self, variance_ratio=float(np.fmax(self.variance_ratio, variance_ratio)))


def field_noise(excess_nm: F64, claimed_nm2: F64, free: Mask, correlation_px2: float) -> FieldNoise:
    """Noise of an excess of charged over discharged thickness (Y, X) in the ``free`` (Y, X) pixels.

    ``claimed_nm2`` (Y, X) is its variance by the fit. With fewer than ``LEAST_FREE_PIXELS`` the fit's variance is
    believed, and noise is as alike as a kernel of three pixels of the correlation area ``correlation_px2`` makes it.

    Source: Wiener and Khinchin: the spectrum of a stationary noise is the transform of its autocovariance.
    """
    free = free & np.isfinite(excess_nm) & (claimed_nm2 > 0.0)
    pixels = int(free.sum())
    if pixels < LEAST_FREE_PIXELS:
        return FieldNoise(three_pixel_stencil(correlation_px2), 1.0, 0)
    usual = float(np.median(excess_nm[free]))
    limit = OUTLIER_SDS * np.sqrt(float(np.median((excess_nm[free] - usual) ** 2)) / MEDIAN_SQUARE)
    held = np.where(free, np.clip(excess_nm - usual, -limit, limit), 0.0)
    share = ndimage.uniform_filter(free.astype(np.float64), TREND_PX, mode="constant")
    trend = ndimage.uniform_filter(held, TREND_PX, mode="constant") / np.maximum(share, 1e-9)
    left = np.where(free, held - trend, 0.0)
    variance = float(np.median(left[free] ** 2)) / MEDIAN_SQUARE
    claimed = float(np.median(claimed_nm2[free]))
    if not variance > 0.0:
        return FieldNoise(three_pixel_stencil(correlation_px2), 1.0, 0)
    limit = OUTLIER_SDS * np.sqrt(variance)
    left = np.clip(left, -limit, limit)
    stencil = three_pixel_stencil(1.0)
    # Most fields are white or nearly so, and a few lags say it.
    for most in (FEW_LAGS_PX, MOST_LAG_PX):
        alike = _autocovariance(left, free, most)
        reach = _reach(alike / alike[most, most])
        if reach < most or most == MOST_LAG_PX:
            stencil = _stencil(alike / alike[most, most], reach)
            break
    ratio = variance / claimed
    return FieldNoise(stencil, ratio if ratio > LEAST_EXCESS else 1.0, pixels)


@compiled
def _autocovariance(noise: F64, free: Mask, most: int) -> F64:
    """(2 most + 1, 2 most + 1) means of products of noise (Y, X) at lags (y, x) from -most to most."""
    rows, columns = noise.shape
    out = np.zeros((2 * most + 1, 2 * most + 1))
    # A sum of floats takes several pixels at once; it counts whole numbers exactly.
    one = free.astype(np.float64)
    for down in range(most + 1):
        for across in range(-most if down > 0 else 0, most + 1):
            pairs, products = 0.0, 0.0
            for y in range(rows - down):
                for x in range(max(0, -across), min(columns, columns - across)):
                    pairs += one[y, x] * one[y + down, x + across]
                    products += noise[y, x] * noise[y + down, x + across]
            out[most + down, most + across] = out[most - down, most - across] = products / max(pairs, 1.0)
    return out


def _lags(alike: F64) -> I64:
    """(2 MOST + 1, 2 MOST + 1) length of each lag, in whole pixels."""
    y, x = np.indices(alike.shape) - len(alike) // 2
    return np.asarray(np.rint(np.hypot(y, x)), dtype=np.int64)


def _reach(alike: F64) -> int:
    """Pixels up to which an autocorrelation (2 MOST + 1, 2 MOST + 1) lasts: the last ring before the first of none."""
    most, lags = len(alike) // 2, _lags(alike).ravel()
    rings = (np.bincount(lags, alike.ravel()) / np.bincount(lags))[: most + 1]
    ends = np.flatnonzero(rings < LEAST_CORRELATION)
    return int(ends[0]) - 1 if ends.size else most


def _stencil(alike: F64, reach: int) -> F32:
    """Zero-phase stencil whose noise has an autocorrelation (2 MOST + 1, 2 MOST + 1) up to its reach."""
    wide = np.pad(np.where(_lags(alike) <= reach, alike, 0.0), len(alike))
    spectrum = np.maximum(fft.fft2(fft.ifftshift(wide)).real, 0.0)
    root = fft.fftshift(fft.ifft2(np.sqrt(spectrum)).real)
    middle = len(root) // 2
    side = slice(middle - reach, middle + reach + 1)
    stencil = root[side, side]
    return np.asarray(stencil / np.sqrt((stencil**2).sum()), dtype=np.float32)


def three_pixel_stencil(correlation_px2: float) -> F32:
    """The stencil (a, 1, a) on both axes whose noise has a correlation area, at most 9 px^2, and variance 1.

    The area is the square of (1 + 2 a)^2 / (1 + 2 a^2).
    """
    side = _tap(correlation_px2)
    if side <= 0.0:
        return np.ones((1, 1), dtype=np.float32)
    taps = np.array([side, 1.0, side]) / np.sqrt(1.0 + 2.0 * side**2)
    return np.outer(taps, taps).astype(np.float32)


def _tap(correlation_px2: float) -> float:
    per_axis = min(np.sqrt(max(correlation_px2, 1.0)), 3.0)
    if per_axis <= 1.0:
        return 0.0
    # (4 - 2 c) a^2 + 4 a + (1 - c) = 0
    square, constant = 4.0 - 2.0 * per_axis, 1.0 - per_axis
    if abs(square) < 1e-9:
        return float(-constant / 4.0)
    return float((-4.0 + np.sqrt(max(16.0 - 4.0 * square * constant, 0.0))) / (2.0 * square))
