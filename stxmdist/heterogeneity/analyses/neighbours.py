"""Whether neighbours react alike: mark correlation of state of charge and join counts of active particles."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.electrode_columns import NEIGHBOURS
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import codes_of, numbers
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.metrics.soc_mean import soc_mean
from stxmdist.heterogeneity.neighbours import MarkSums, mark_sums, mark_test, near_pairs, nearest_distance
from stxmdist.heterogeneity.places import Cell, places_of

SPACINGS = (0.0, 1.5, 2.5, 4.0, 6.0)
"""Edges of the distances, in median distances of nearest neighbours: the first bin is that of neighbours"""
PERMUTATIONS, FEWEST = 499, 99
MOST_PRODUCTS = 3e8
"""Of marks over all permutations: campaigns of 10^6 particles are permuted less often."""
SOC, RAW, ACTIVE, LIKE = range(4)
LEAST_PAIRS = 10
ALL = "all electrodes"


def neighbours(evidence: Evidence) -> pd.DataFrame:
    """Mark correlation and join counts of each electrode in each condition over distance, and of all together.

    Marks are shuffled among the particles of a scan, so that neither regions nor electrodes that differ make neighbours
    alike. The state of charge enters less its scan's mean, over the standard deviation in the electrode. Touching
    particles share light through the point spread function: alike neighbours may be that, which the note does not know.
    """
    seen = places_of(evidence.kept, evidence.modality)
    charge = soc_mean(seen.frame).value
    y_um, x_um = numbers(seen.frame, "y_um"), numbers(seen.frame, "x_um")
    known = np.isfinite(charge) & np.isfinite(y_um) & np.isfinite(x_um)
    scan = codes_of(seen.frame, ("scan_id",))
    spacing = nearest_distance(y_um[known], x_um[known], scan[known])
    if not np.isfinite(spacing) or spacing <= 0:
        return pd.DataFrame(columns=[column.name for column in NEIGHBOURS])
    edges_um = spacing * np.array(SPACINGS)
    takes_part = numbers(seen.frame, "active")
    rng = evidence.generator("neighbours")
    # About as many pairs as particles in a ring of 36 spacings squared.
    products = 3.0 * np.pi / 2.0 * SPACINGS[-1] ** 2 * known.sum()
    permutations = int(np.clip(MOST_PRODUCTS / products, FEWEST, PERMUTATIONS))
    rows: list[dict[str, Cell]] = []
    total: MarkSums | None = None
    for index in range(len(seen.table)):
        here = np.flatnonzero((seen.place == index) & known)
        pairs = near_pairs(y_um[here], x_um[here], scan[here], edges_um)
        marks = _marks(charge[here], takes_part[here], scan[here])
        sums = mark_sums(marks, scan[here], pairs, permutations, rng)
        mean = float(charge[here].mean()) if len(here) else UNKNOWN
        rows += [seen.row(index) | row for row in _rows(sums, edges_um, mean)]
        if np.isfinite(sums.seen).all():
            total = sums if total is None else total + sums
    if total is not None and len(seen.table) > 1:
        everything: dict[str, Cell] = {"electrode_id": ALL, "cycle": UNKNOWN, "c_rate": UNKNOWN, "direction": ""}
        rows += [everything | row for row in _rows(total, edges_um, UNKNOWN)]
    return pd.DataFrame(rows, columns=[column.name for column in NEIGHBOURS])


def _marks(charge: F64, takes_part: F64, scan: I64) -> F64:
    """(4, PARTICLE) state of charge in SDs from its scan's mean, as it is, active or not, and that less its mean.

    The last is what joins are judged by: pairs of two active particles alone are too few where one is in the minority.
    """
    if not len(charge):
        return np.zeros((4, 0))
    counts = np.maximum(np.bincount(scan), 1)
    deviation = charge - (np.bincount(scan, charge) / counts)[scan]
    sd = float(np.sqrt((deviation**2).mean()))
    scaled = deviation / sd if sd > 1e-12 else 0.0 * deviation
    takes_part = np.nan_to_num(takes_part)
    return np.stack([scaled, charge, takes_part, takes_part - (np.bincount(scan, takes_part) / counts)[scan]])


def _rows(sums: MarkSums, edges_um: F64, mean: float) -> list[dict[str, Cell]]:
    alike, raw, joins, like = (mark_test(sums, mark) for mark in (SOC, RAW, ACTIVE, LIKE))
    out: list[dict[str, Cell]] = []
    for at in range(len(sums.counts)):
        few = sums.counts[at] < LEAST_PAIRS
        notes = [f"{int(sums.counts[at])} pairs only"] if few else []
        expected = float(joins.null_mean[at])
        if not few and np.isnan(alike.p[at]):
            notes.append("state of charge does not vary within scans")
        if not few and np.isnan(like.p[at]):
            notes.append("all particles of each scan are active, or none")
        scale = 1.0 / expected if expected > 0 else UNKNOWN
        out.append(
            {
                "low_um": float(edges_um[at]),
                "high_um": float(edges_um[at + 1]),
                "n_pairs": int(sums.counts[at]),
                "soc_correlation": float(alike.mean[at]),
                "soc_null_low": float(alike.null_low[at]),
                "soc_null_high": float(alike.null_high[at]),
                "soc_p": UNKNOWN if few else float(alike.p[at]),
                "mark_correlation": float(raw.mean[at]) / mean**2 if abs(mean) > 0 else UNKNOWN,
                "active_joins": float(joins.mean[at]) * scale,
                "joins_null_low": float(joins.null_low[at]) * scale,
                "joins_null_high": float(joins.null_high[at]) * scale,
                "joins_p": UNKNOWN if few else float(like.p[at]),
                "note": "; ".join(notes),
            }
        )
    return out
