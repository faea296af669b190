"""Cracks and grains of a particle, from where its plate lacks height along lines."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64
from stxmdist.particles.cracks import cracks_of
from stxmdist.particles.crevices import Crevices, crevices, line_length_px
from stxmdist.particles.grain_map import grain_map
from stxmdist.particles.metrics.views import ParticleViews

GRAIN_COLUMNS = ("n_grains", "grain_d50_um", "grain_boundary_per_um")


def valleys_of(views: ParticleViews) -> Crevices:
    """The valleys of the measured plate."""
    height = np.where(views.known, views.total_nm[0], np.nan)
    return crevices(height, views.inside, views.pixel_nm, views.psf_sigma_nm, views.phase_rad)


def flaws(views: ParticleViews) -> Mapping[str, F64]:
    """Volume that is missing in cracks and their length; number, median diameter and boundary density of grains.

    A plate of one grain has that grain's number and size, and a boundary density of 0. Grains without a valley along
    their boundary are not told apart: what is counted are those that their boundary shows.
    """
    found, n = valleys_of(views), len(views.soc)
    cracks = cracks_of(found, views.pixel_nm, views.psf_sigma_nm)
    columns = {
        "crack_share": cracks.share,
        "crack_share_se": cracks.share_se,
        "crack_length_per_um": cracks.length_per_um,
    } | _grains(found, views)
    return {name: np.full(n, value) for name, value in columns.items()}


def _grains(found: Crevices, views: ParticleViews) -> dict[str, float]:
    if np.isnan(found.noise):
        return dict.fromkeys(GRAIN_COLUMNS, float("nan"))
    seen, um = grain_map(found, views.sigma_px), 1e-3 * views.pixel_nm
    # The body lacks the rim, and with it the outer parts of the grains there: areas grow to those of the particle.
    grown = max(1.0, float(views.inside.sum()) / max(float(found.body.sum()), 1.0))
    areas = np.bincount(seen.grains.ravel())[1:] * grown
    median = float(np.median(2.0 * np.sqrt(areas / np.pi))) * um
    density = line_length_px(seen.border) / (um * float(found.body.sum()))
    return dict(zip(GRAIN_COLUMNS, (float(areas.size), median, density), strict=True))
