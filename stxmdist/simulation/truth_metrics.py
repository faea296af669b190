"""Columns of truth/particles beside those of the campaign's own table: structure, interior and neighbourhood."""

from dataclasses import asdict, fields

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.design import Interior
from stxmdist.simulation.phantom import Particle, Region
from stxmdist.simulation.truth_interior import TrueInterior, true_interior
from stxmdist.simulation.truth_neighbours import TrueNeighbours, true_neighbours

PITCH_UM = 0.004
"""Pitch of the grid on which particles are integrated: a sixth of their bevel."""

METRIC_COLUMNS = tuple(field.name for record in (TrueNeighbours, TrueInterior) for field in fields(record))
"""Everything that is known of a whole particle, whether a field cuts it or not; all columns say so in their records."""


def metric_row(particle: Particle, region: Region, interior: Interior, pitch_um: float = PITCH_UM) -> dict[str, object]:
    """The columns ``METRIC_COLUMNS`` of one particle of a region.

    Parameters
    ----------
    pitch_um
        of the grid on which the formulae are sampled
    """
    outline = particle.outline
    steps = int(np.ceil(2.0 * outline.reach_um / pitch_um))
    offsets: F64 = np.asarray((np.arange(steps) + 0.5) * pitch_um - outline.reach_um, dtype=np.float64)
    axes = (outline.y_um + offsets, outline.x_um + offsets)
    y, x = axes[0][:, None], axes[1][None, :]
    thickness, soc = particle.sample(y, x)
    inside = particle.envelope(y, x) >= 0.5 * outline.thickness_nm
    mass = thickness * (1.0 - particle.third_share(y, x)) if particle.flaws is not None else thickness
    return {
        **asdict(true_neighbours(particle, region)),
        **asdict(true_interior(particle, axes, inside, mass, soc, interior)),
    }
