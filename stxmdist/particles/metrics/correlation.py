"""Over what distance the state of charge inside a particle is alike."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64, Mask, compiled
from stxmdist.particles.metrics.views import ParticleViews

LEAST_PIXELS = 40
LEAST_Z = 3.0
"""Standard deviations of the twins by which the variance must exceed theirs"""


def correlation_length(views: ParticleViews) -> Mapping[str, F64]:
    """Distance xi in nm at which the autocovariance of the state of charge has fallen to 1/e, noise and blur taken off.

    The autocovariance of pixels away from edges by a masked Fourier transform: ``sum x x' / sum m m'`` at each lag.
    That of the twins is subtracted, and 2 w^2 from xi^2, for blur adds as much to a Gaussian's range. Not known where
    there is no more variance than noise, or it does not fall to 1/e inside the particle.

    Source: masked autocorrelation Padfield, IEEE Trans. Image Process. 21, 2706 (2012).
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


@compiled
def _radial(soc: F64, inside: Mask) -> tuple[F64, F64]:
    """Autocovariance (VIEW, LAG) over rings of a pixel, and the mean lag (LAG,) of each in px."""
    views, rows, columns = soc.shape
    pixels = inside.sum()
    away = np.zeros((rows, columns, views))
    for k in range(views):
        mean = 0.0
        for y in range(rows):
            for x in range(columns):
                mean += soc[k, y, x] / pixels if inside[y, x] else 0.0
        for y in range(rows):
            for x in range(columns):
                away[y, x, k] = soc[k, y, x] - mean if inside[y, x] else 0.0
    most = int(np.sqrt(pixels) / 1.5) + 1
    sums, count, distance = np.zeros((most + 1, views)), np.zeros(most + 1), np.zeros(most + 1)
    products = np.empty(views)
    # Half of all lags: the other half is the same.
    for down in range(most):
        for across in range(-most if down > 0 else 0, most + 1):
            lag = np.hypot(down, across)
            if lag >= most:
                continue
            pairs = 0
            products[:] = 0.0
            for y in range(rows - down):
                for x in range(max(0, -across), min(columns, columns - across)):
                    if inside[y, x] and inside[y + down, x + across]:
                        pairs += 1
                        for k in range(views):
                            products[k] += away[y, x, k] * away[y + down, x + across, k]
            if pairs > 0.1 * pixels:
                ring = int(np.rint(lag))
                count[ring] += pairs
                distance[ring] += lag * pairs
                sums[ring] += products
    filled = np.nonzero(count > 0.0)[0]
    radial, lags = np.empty((views, filled.size)), np.empty(filled.size)
    for place in range(filled.size):
        ring = filled[place]
        lags[place] = distance[ring] / count[ring]
        radial[:, place] = sums[ring] / count[ring]
    return radial, lags


@compiled
def _range(covariance: F64, lags: F64) -> float:
    """Lag at which the covariance (LAG,) first falls below 1/e of that at lag 0, interpolated; NaN if it does not."""
    if not covariance[0] > 0.0:
        return np.nan
    before = 1.0 - np.exp(-1.0)
    for at in range(1, covariance.size):
        share = covariance[at] / covariance[0] - np.exp(-1.0)
        if share < 0.0:
            return float(lags[at - 1] + before / (before - share) * (lags[at] - lags[at - 1]))
        before = share
    return np.nan
