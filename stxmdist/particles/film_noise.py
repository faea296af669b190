"""Thickness freed of a film, and of the noise that fitting one beside it brings, so that outlines can be found."""

from math import pi, sqrt

import numpy as np

from stxmdist.arrays import F64, Mask, Real
from stxmdist.particles.segment import noise_of_pixels, smoothed

FILM_REACH_PX = 3.0
"""A film is taken to be smooth over so many pixels: its mean around a pixel has a tenth of the pixel's noise"""
FILM_ROUGHNESS_OD = 0.03
"""Standard deviation of a film's optical density from its mean around the pixel"""


def without_film_noise(thickness: Real, film_od: Real, known: Mask, covariance: float, film_variance: float) -> F64:
    """Thickness (Y, X), less what follows from how far the fitted film of each pixel is off that of its neighbours.

    A film that is fitted in each pixel takes up noise that thickness lacks, and the other way round. Films are smooth:
    what deviates from pixel to pixel is noise of that kind, and what thickness owes to it is taken off by regression.
    Means over areas wider than ``FILM_REACH_PX`` stay as they are, and so do plateaus and half heights of plates.

    Parameters
    ----------
    thickness, film_od
        (Y, X) floating; thickness in any unit
    known
        (Y, X) bool
    covariance, film_variance
        of the noise of one pixel: of thickness with the film's optical density, and of the latter with itself

    Returns
    -------
    thickness
        (Y, X) float64, NaN where not known

    Source: own; a control variate, as in Rice, Mathematical Statistics and Data Analysis (2007), 7.4.
    """
    usable = known & np.isfinite(thickness) & np.isfinite(film_od)
    film = np.where(usable, film_od, 0.0).astype(np.float64)
    slope = covariance / (film_variance + FILM_ROUGHNESS_OD**2)
    steadied = np.asarray(thickness, dtype=np.float64) - slope * (film - smoothed(film, usable, FILM_REACH_PX))
    return np.where(usable, steadied, np.nan)


def without_film(thickness: Real, film_od: Real, known: Mask, covariance: float, film_variance: float) -> F64:
    """Thickness (Y, X) that was fitted without a film, less what the film adds to it.

    The film's optical density is averaged around each pixel, and counts as far as it varies over the field by more than
    its noise: where there is none, thickness stays as it is.

    Parameters
    ----------
    thickness, film_od
        (Y, X) floating; thickness in any unit
    known
        (Y, X) bool
    covariance, film_variance
        of the noise of one pixel of a fit with a film: of thickness with the film's optical density, and of the latter
        with itself. Their ratio is what a film takes off thickness (the bias of an omitted variable).

    Returns
    -------
    thickness
        (Y, X) float64, NaN where not known

    Source: shrinkage as in James, Stein, Proc. 4th Berkeley Symp. 1, 361 (1961).
    """
    usable = known & np.isfinite(thickness) & np.isfinite(film_od)
    result = np.where(known, thickness, np.nan).astype(np.float64)
    if not usable.any() or not film_variance > 0.0:
        return result
    film = smoothed(film_od, usable, FILM_REACH_PX)
    noise = noise_of_pixels(film_od, usable) / (2.0 * sqrt(pi) * FILM_REACH_PX)
    seen = max(0.0, 1.0 - noise**2 / max(float(film[usable].var()), 1e-12))
    return result + np.where(usable, covariance / film_variance * seen * film, 0.0)
