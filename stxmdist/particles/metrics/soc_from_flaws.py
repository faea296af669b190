"""How the state of charge of a particle changes away from its cracks and grain boundaries."""

from collections.abc import Mapping

from stxmdist.arrays import F64
from stxmdist.particles.cracks import cracks_of
from stxmdist.particles.distance_slope import slope_from_lines
from stxmdist.particles.grain_map import grain_map
from stxmdist.particles.metrics.flaws import valleys_of
from stxmdist.particles.metrics.views import ParticleViews


def soc_from_flaws(views: ParticleViews) -> Mapping[str, F64]:
    """Slopes over the distance to the nearest crack, and to the nearest grain boundary; NaN where there is none.

    A slope inside one particle is that of one particle: whether cracks matter is asked over electrodes.
    """
    found = valleys_of(views)
    lines = {
        "soc_per_um_from_crack": cracks_of(found, views.pixel_nm, views.psf_sigma_nm).line,
        "soc_per_um_from_grain_boundary": grain_map(found, views.sigma_px).border,
    }
    return {
        name: slope_from_lines(views.soc, line, views.interior, views.pixel_nm, views.psf_sigma_nm)
        for name, line in lines.items()
    }
