"""Axes of particles, and grains of one axis, from the same region at several linear polarisations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.heterogeneity.malus import malus
from stxmdist.table_columns import TableColumn

POLARISATION_COLUMNS = (
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("region_id", "", "the field of view", "string"),
    TableColumn("modality", "", "stxm or ptychography", "string"),
    TableColumn("scan_id", "", "the first of the acquisitions, whose labels these are", "string"),
    TableColumn("particle_id", "", "label of the particle there; null in a row that is about the region", "int64"),
    TableColumn("n_polarisations", "1", "polarisations at which it was seen", "int64"),
    TableColumn(
        "dichroic_contrast", "1", "(max - min) / (max + min) of its absorption over the angle, noise taken off"
    ),
    TableColumn("dichroic_contrast_se", "1", "its standard error"),
    TableColumn("axis_deg", "deg", "polarisation at which it absorbs most, from the horizontal, 0 to 180"),
    TableColumn("axis_se_deg", "deg", "its standard error; 52 where nothing is known of the axis"),
    TableColumn("dichroism_p", "1", "how often noise alone shows as much contrast"),
    TableColumn("note", "", "why a number is missing; empty if nothing is to be said", "string"),
)

NO_SERIES = "no region was seen at two polarisations: axes need polarisation_deg in the sample sheet, at three angles"
NEEDED = (
    *("electrode_id", "region_id", "modality", "scan_id", "particle_id"),
    *("y_um", "x_um", "d_eq_um", "thickness_nm", "thickness_reference"),
)
"""Columns of the particle table that are looked at."""
SEARCH_UM = 2.0
FAR = 0.5
"""A particle is found again within this share of its diameter of where it was."""


def polarisation(evidence: Evidence) -> pd.DataFrame:
    """One row per particle seen at several polarisations, columns ``POLARISATION_COLUMNS``.

    What changes with the angle is the apparent thickness. Every scan is divided by the median of its particles, which
    takes the incident beam out, and with it any axis that all particles have in common. Particles are found again by
    their places, the stage's median displacement taken off.
    """
    names = [column.name for column in POLARISATION_COLUMNS]
    particles = evidence.kept
    angle = numbers(particles, "polarisation_deg")
    rows: list[pd.DataFrame] = []
    known = np.isfinite(angle)
    if known.any():
        time = np.nan_to_num(numbers(particles, "time_h"))[known]
        # Few of the many columns of a large campaign are looked at, and only of scans that say their polarisation.
        seen = particles.loc[known, [name for name in NEEDED if name in particles.columns]]
        keyed = seen.assign(_angle=angle[known], _time=time)
        for _, here in keyed.groupby(["electrode_id", "region_id", "modality", "_time"], sort=True):
            if here["_angle"].nunique() > 1:
                rows.append(_series(here))
    if not rows:
        said = [{"n_polarisations": 0, "note": NO_SERIES}] if len(particles) else []
        return pd.DataFrame(said, columns=names)
    return pd.concat(rows, ignore_index=True).reindex(columns=names)


def _series(here: pd.DataFrame) -> pd.DataFrame:
    scans = [part for _, part in here.sort_values("_angle", kind="stable").groupby("_angle", sort=True)]
    # A repeat at the same angle adds nothing that its first scan has not.
    scans = [part[part["scan_id"] == part["scan_id"].iloc[0]] for part in scans]
    first = scans[0]
    places = [_matched(first, other) for other in scans]
    absorption = np.stack([_absorption(part, at) for part, at in zip(scans, places, strict=True)], axis=1)
    found = malus(np.array([part["_angle"].iloc[0] for part in scans]), absorption)
    seen = np.isfinite(absorption).sum(axis=1)
    notes = [found.note if count == len(scans) else "not found at every polarisation" for count in seen]
    return pd.DataFrame(
        {
            **{name: text(first, name) for name in ("electrode_id", "region_id", "modality", "scan_id")},
            "particle_id": first["particle_id"].to_numpy(),
            "n_polarisations": seen,
            "dichroic_contrast": found.contrast,
            "dichroic_contrast_se": found.contrast_se,
            "axis_deg": found.axis_deg,
            "axis_se_deg": found.axis_se_deg,
            "dichroism_p": found.p,
            "note": notes,
        }
    )


def _places(part: pd.DataFrame) -> F64:
    return np.stack([numbers(part, "y_um"), numbers(part, "x_um")], axis=1)


def _matched(first: pd.DataFrame, other: pd.DataFrame) -> I64:
    """(PARTICLE of first,) row of the same particle in the other scan; -1 where it is not found, or not alone."""
    here, there = _places(first), _places(other)
    offset = _displacement(here, there, FAR * float(np.nanmedian(numbers(first, "d_eq_um"))))
    away = np.hypot(*(here[:, None] + offset - there[None]).transpose(2, 0, 1))
    nearest, back = np.argmin(away, axis=1), np.argmin(away, axis=0)
    rows = np.arange(len(here))
    close = away[rows, nearest] < FAR * numbers(first, "d_eq_um")
    return np.where(close & (back[nearest] == rows), nearest, -1)


def _displacement(here: F64, there: F64, within_um: float) -> F64:
    """(y, x) that most particles have moved by, up to ``SEARCH_UM``: where differences of places crowd."""
    differences = (there[None] - here[:, None]).reshape(-1, 2)
    near = differences[np.hypot(*differences.T) <= SEARCH_UM]
    if not len(near):
        return np.zeros(2)
    tree = cKDTree(near)
    crowd = tree.query_ball_point(near, within_um, return_length=True)
    return np.asarray(np.median(near[tree.query_ball_point(near[int(np.argmax(crowd))], within_um)], axis=0))


def _absorption(part: pd.DataFrame, at: Sequence[int] | I64) -> F64:
    """(PARTICLE of first,) apparent thickness over the median of the scan's particles."""
    thickness = numbers(part, "thickness_nm")
    if not np.isfinite(thickness).any():
        thickness = numbers(part, "thickness_reference")
    at = np.asarray(at)
    found = np.where(at >= 0, thickness[np.maximum(at, 0)], np.nan)
    known = found[np.isfinite(found)]
    return found / np.median(known) if known.size else found
