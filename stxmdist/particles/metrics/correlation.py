"""Over what distance the state of charge inside a particle is alike."""

from collections.abc import Mapping

import numpy as np
from scipy import fft

from stxmdist.arrays import F64, Mask
from stxmdist.particles.metrics.views import ParticleViews

LEAST_PIXELS = 40
LEAST_Z = 3.0
"""Standard deviations of the twins by which the variance must exceed theirs"""


def correlation_length(views: ParticleViews) -> Mapping[str, F64]:
    """Distance xi in nm at which the autocovariance of the state of charge has fallen to 1/e, noise and blur taken off.

    The autocovariance of pixels away from edges by a masked Fourier transform: ``sum x x' / sum m m'`` at each lag.
    That of the twins is subtracted, and 2 w^2 from xi^2, for blur adds as much to a Gaussian's range. Not known where
    there is no more variance than noise, or it does not fall to 1/e inside the particle.

    Source: masked autocorrelation Padfield, IEEE Trans. Image Process. 21, 2706 (2012); heterogeneity.md 3.
    """
    n_views = views.soc.shape[0]
    unknown = {name: np.full(n_views, np.nan) for name in ("soc_correlation_nm", "soc_correlation_nm_se")}
    inside = views.interior & np.isfinite(views.soc).all(axis=0)
    if views.sharp is None or n_views < 3 or inside.sum() < LEAST_PIXELS:
        return unknown
    radial, lags = _radial(views.soc, inside)
    noise = radial[1:].mean(axis=0)
    if radial[0, 0] - noise[0] < LEAST_Z * radial[1:, 0].std(ddof=1):
        return unknown
    # What noise makes of the range: that of each twin in the place of their mean.
    drawn = np.array([_range(radial[0] - noise + (noise - one), lags) for one in radial[1:]])
    found = _range(radial[0] - noise, lags)
    squared = (found * views.pixel_nm) ** 2 - 2.0 * views.psf_sigma_nm**2
    scattered = drawn[np.isfinite(drawn)] * views.pixel_nm
    if not squared > 0.0 or scattered.size < 8:
        return unknown
    result = {name: np.full(n_views, np.nan) for name in unknown}
    length = float(np.sqrt(squared))
    result["soc_correlation_nm"][0] = length
    result["soc_correlation_nm_se"][0] = float(scattered.std(ddof=1)) * found * views.pixel_nm / length
    return result


def _radial(soc: F64, inside: Mask) -> tuple[F64, F64]:
    """Autocovariance (VIEW, LAG) over rings of a pixel, and the mean lag (LAG,) of each in px."""
    mean = np.where(inside, soc, 0.0).sum(axis=(1, 2), keepdims=True) / inside.sum()
    away = np.where(inside, soc - mean, 0.0)
    size = [fft.next_fast_len(2 * n, real=True) for n in inside.shape]
    products = fft.irfft2(np.abs(fft.rfft2(away, size)) ** 2, size)
    pairs = np.rint(fft.irfft2(np.abs(fft.rfft2(inside.astype(np.float64), size)) ** 2, size))
    y, x = (np.minimum(axis, n - axis) for axis, n in zip(np.indices(size), size, strict=True))
    lag = np.hypot(y, x)
    most = int(np.sqrt(inside.sum()) / 1.5) + 1
    ring = np.where((lag < most) & (pairs > 0.1 * inside.sum()), np.rint(lag).astype(np.int64), -1)
    kept = ring >= 0
    count = np.bincount(ring[kept], pairs[kept])
    radial = np.stack([np.bincount(ring[kept], one[kept]) for one in products])
    filled = count > 0
    distance = np.bincount(ring[kept], (lag * pairs)[kept])
    return radial[:, filled] / count[filled], distance[filled] / count[filled]


def _range(covariance: F64, lags: F64) -> float:
    """Lag at which the covariance (LAG,) first falls below 1/e of that at lag 0, interpolated; NaN if it does not."""
    if not covariance[0] > 0.0:
        return float("nan")
    share = covariance / covariance[0] - np.exp(-1.0)
    below = np.flatnonzero(share < 0.0)
    if below.size == 0:
        return float("nan")
    at = int(below[0])
    part = share[at - 1] / (share[at - 1] - share[at])
    return float(lags[at - 1] + part * (lags[at] - lags[at - 1]))
