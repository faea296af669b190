"""Whether boundaries inside the particles of an electrode keep to the long axes of these."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.electrode_columns import BOUNDARY_AXES
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import codes_of, numbers
from stxmdist.heterogeneity.directions import axis_test
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.places import Cell, places_of

LEAST_COHERENCE = 0.5
"""Particles whose gradients share an axis less than this have none"""
LEAST_ASPECT = 1.15
"""Rounder particles have no long axis"""
LEAST = 10
"""Fewer particles have no test."""
PERMUTATIONS = 999


def boundary_axes(evidence: Evidence) -> pd.DataFrame:
    """Resultant of the angles between the axis of charge and the long axis, and its test, of each electrode."""
    seen = places_of(evidence.kept, evidence.modality)
    columns = ("boundary_normal_deg", "orientation_deg", "boundary_coherence", "aspect")
    if any(name not in seen.frame for name in columns):
        return pd.DataFrame(columns=[column.name for column in BOUNDARY_AXES])
    axis, long_axis, coherence, aspect = (numbers(seen.frame, name) for name in columns)
    known = np.isfinite(axis) & np.isfinite(long_axis) & (coherence >= LEAST_COHERENCE) & (aspect >= LEAST_ASPECT)
    scan = codes_of(seen.frame, ("scan_id",))
    rng = evidence.generator("boundary_axes")
    rows = []
    for index in range(len(seen.table)):
        here = np.flatnonzero((seen.place == index) & known)
        row: dict[str, Cell] = {"n_particles": len(here), "note": ""}
        if len(here) < LEAST:
            row |= dict.fromkeys(("resultant", "angle_deg", "null_high", "p"), UNKNOWN)
            row["note"] = f"{len(here)} particles have both axes; {LEAST} are needed"
        else:
            found = axis_test(axis[here], long_axis[here], scan[here], rng, PERMUTATIONS)
            row |= {"resultant": found.resultant, "angle_deg": found.angle_deg}
            row |= {"null_high": found.null_high, "p": found.p}
        rows.append(seen.row(index) | row)
    return pd.DataFrame(rows, columns=[column.name for column in BOUNDARY_AXES])
