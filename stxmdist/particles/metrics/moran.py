"""Moran's I of the state of charge inside a particle: whether neighbouring pixels are alike."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64, Mask, compiled
from stxmdist.particles.metrics.views import ParticleViews

LEAST_PIXELS = 12


def moran(views: ParticleViews) -> Mapping[str, F64]:
    """Moran's I, ``soc_moran``, of pixels away from edges with the four neighbours of equal weight.

    Blur and interpolation make neighbouring noise alike: I of pure noise is .47 behind a point spread function of 0.7
    px. The null is therefore what twins show, not -1/(n - 1).

    Source: Moran, Biometrika 37, 17 (1950); the null own.
    """
    inside = views.interior & np.isfinite(views.soc).all(axis=0)
    return {"soc_moran": _moran(views.soc, inside, LEAST_PIXELS)}


@compiled
def _moran(soc: F64, inside: Mask, least_pixels: int) -> F64:
    """(VIEW,) of maps (VIEW, Y, X) on the pixels inside (Y, X); NaN of few pixels, or of no neighbours."""
    views, rows, columns = soc.shape
    out = np.full(views, np.nan)
    pixels = inside.sum()
    if pixels < least_pixels:
        return out
    for k in range(views):
        mean = 0.0
        for y in range(rows):
            for x in range(columns):
                mean += soc[k, y, x] / pixels if inside[y, x] else 0.0
        joins, products, squares = 0, 0.0, 0.0
        for y in range(rows):
            for x in range(columns):
                if not inside[y, x]:
                    continue
                away = soc[k, y, x] - mean
                squares += away * away
                if x + 1 < columns and inside[y, x + 1]:
                    joins += 1
                    products += away * (soc[k, y, x + 1] - mean)
                if y + 1 < rows and inside[y + 1, x]:
                    joins += 1
                    products += away * (soc[k, y + 1, x] - mean)
        if joins > 0 and squares > 0.0:
            out[k] = pixels / joins * products / squares
    return out
