"""Moran's I of the state of charge inside a particle: whether neighbouring pixels are alike."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews

LEAST_PIXELS = 12


def moran(views: ParticleViews) -> Mapping[str, F64]:
    """Moran's I, ``soc_moran``, of pixels away from edges with the four neighbours of equal weight.

    Blur and interpolation make neighbouring noise alike: I of pure noise is .47 behind a point spread function of 0.7
    px. The null is therefore what twins show, not -1/(n - 1).

    Source: Moran, Biometrika 37, 17 (1950); the null science.md 0.7.
    """
    inside = views.interior & np.isfinite(views.soc).all(axis=0)
    n = int(inside.sum())
    horizontal, vertical = inside[:, 1:] & inside[:, :-1], inside[1:] & inside[:-1]
    joins = int(horizontal.sum() + vertical.sum())
    if n < LEAST_PIXELS or joins == 0:
        return {"soc_moran": np.full(views.soc.shape[0], np.nan)}
    soc = np.where(inside, views.soc, 0.0)
    away = np.where(inside, soc - soc.sum(axis=(1, 2), keepdims=True) / n, 0.0)
    products = (away[:, :, 1:] * away[:, :, :-1])[:, horizontal].sum(axis=1)
    products += (away[:, 1:] * away[:, :-1])[:, vertical].sum(axis=1)
    squares = (away**2).sum(axis=(1, 2))
    return {"soc_moran": n / joins * products / np.where(squares > 0.0, squares, np.nan)}
