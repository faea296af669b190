"""One row for each particle of a region that was seen at two times: its rate, and how the reaction runs inside it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import I32, I64, Mask, Real
from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.reaction import RateMap, ReactionInside, boxes_of, reaction_inside
from stxmdist.table_columns import TableColumn

CONDITION_COLUMNS = (
    TableColumn("scan_id_before", "", "the earlier acquisition", "string"),
    TableColumn("scan_id", "", "the later acquisition", "string"),
    TableColumn("modality", "", "stxm or ptychography", "string"),
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("region_id", "", "the field of view that was seen twice", "string"),
    TableColumn("cycle", "1", "number of cycles, of the later acquisition"),
    TableColumn("c_rate", "1/h", "rate of the half cycle, of the later acquisition"),
    TableColumn("direction", "", "charge or discharge, of the later acquisition", "string"),
    TableColumn("hours", "h", "time between both"),
)

PARTICLE_COLUMNS = (
    TableColumn("particle_id_before", "", "label of the particle in the earlier acquisition", "int64"),
    TableColumn("particle_id", "", "label of the same particle in the later one; null where it was not found", "int64"),
    TableColumn("d_eq_um", "um", "diameter of the circle of equal area, at the earlier time"),
    TableColumn("soc_before", "1", "state of charge of the particle at the earlier time"),
    TableColumn("soc_after", "1", "state of charge of the particle at the later time"),
    TableColumn("rate_per_h", "1/h", "change of its state of charge over the time between; above 0: it was charged"),
    TableColumn("rate_se_per_h", "1/h", "standard error of rate_per_h by what differs from particle to particle"),
    TableColumn("rate_se_sys_per_h", "1/h", "standard error of rate_per_h that all particles of both scans share"),
    TableColumn("soc_before_se", "1", "standard error of soc_before by counting"),
    TableColumn("rate_sd_per_h", "1/h", "spread of the rate over the particle's pixels, noise taken off"),
    TableColumn(
        "uniformity", "1", "1 - spread over mean of the rate inside the particle: 1 where all parts react alike"
    ),
    TableColumn("uniformity_low", "1", "lower end of its 95 % confidence interval"),
    TableColumn("uniformity_high", "1", "upper end of its 95 % confidence interval"),
    TableColumn("rate_over_soc_per_h", "1/h", "slope of the rate over the earlier state of charge, pixel by pixel"),
    TableColumn("rate_over_soc_se_per_h", "1/h", "standard error of that slope"),
    TableColumn(
        "soc_squares", "1", "squares of the earlier state of charge about its mean, pixel by pixel, without noise"
    ),
    TableColumn("rate_soc_products", "1/h", "products of rate and earlier state of charge about their means, likewise"),
    TableColumn("n_pixels", "1", "pixels away from edges that are known at both times", "int64"),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)

REACTION_COLUMNS = (*CONDITION_COLUMNS, *PARTICLE_COLUMNS)


@dataclass(frozen=True, eq=False)
class SeenTwice:
    """One field at two times, on the grid of the earlier scan."""

    labels: I32
    """(Y, X) particles of the earlier scan, 0 between them"""
    inside: Mask
    """(Y, X) pixels away from edges at both times"""
    soc_before: Real
    """(Y, X)"""
    variance_before: Real
    """(Y, X) by counting"""
    rate: RateMap
    hours: float
    block_px: float
    """Side of the patches that noise and point spread function make alike"""


def reaction_rows(
    seen: SeenTwice, before: pd.DataFrame, after: pd.DataFrame, partner: dict[int, int], refused: str = ""
) -> pd.DataFrame:
    """Rate of every particle of the earlier scan, columns ``PARTICLE_COLUMNS``.

    The rate is the change of the particle's state of charge by mass, edges and all; where the field cuts the particle
    at either time, that of the pixels that both times show. What the scans do to all particles alike is added in
    quadrature, as if it were independent in both: end-members that err alike make it smaller.

    Parameters
    ----------
    before, after
        the particle tables of both scans
    partner
        particle of the earlier scan to the same of the later one
    refused
        why no particle can be followed; empty where they can
    """
    boxes = boxes_of(seen.labels)
    later = after.set_index("particle_id") if len(after) else after
    rows = []
    for place in range(len(before)):
        here = before.iloc[[place]]
        number = int(here["particle_id"].iloc[0])
        there = later.loc[[partner[number]]] if number in partner else None
        inside = _inside(seen, number, boxes) if number in boxes and not refused else None
        rows.append(_row(seen, number, here, there, inside, refused))
    table = pd.DataFrame(rows, columns=[column.name for column in PARTICLE_COLUMNS])
    return table.astype({"particle_id_before": "Int64", "particle_id": "Int64", "n_pixels": "Int64"})


def _inside(seen: SeenTwice, number: int, boxes: dict[int, tuple[slice, slice]]) -> ReactionInside:
    box = boxes[number]
    cut = RateMap(seen.rate.rate_per_h[box], seen.rate.variance[box])
    pixels = seen.inside[box] & (seen.labels[box] == number)
    return reaction_inside(
        seen.soc_before[box], seen.variance_before[box], cut, pixels, seen.hours, block_px=seen.block_px
    )


def _row(
    seen: SeenTwice,
    number: int,
    here: pd.DataFrame,
    there: pd.DataFrame | None,
    inside: ReactionInside | None,
    refused: str,
) -> dict[str, object]:
    notes = [refused] if refused else []
    if there is None and not refused:
        notes.append("not found at the later time")
    if inside is None or there is None:
        inside = None
    socs = [UNKNOWN if frame is None else float(numbers(frame, "soc_mean")[0]) for frame in (here, there)]
    counting = [UNKNOWN if frame is None else float(numbers(frame, "soc_se_stat")[0]) for frame in (here, there)]
    shared = [UNKNOWN if frame is None else float(numbers(frame, "soc_se_sys")[0]) for frame in (here, there)]
    rate, se = (socs[1] - socs[0]) / seen.hours, float(np.linalg.norm(counting)) / seen.hours
    cut = any(frame is not None and numbers(frame, "touches_border")[0] == 1.0 for frame in (here, there))
    if cut and inside is not None:
        rate, se = inside.rate_per_h, inside.se
        notes.append("cut by the field: rate of the part that both times show")
    elif inside is not None and not np.isfinite(rate):
        notes.append("no state of charge at one of the times")
    if inside is not None:
        said = (inside.uniformity.value.note, inside.over_soc.slope.note)
        notes += [f"{what}: {why}" for what, why in zip(("uniformity", "rate over soc"), said, strict=True) if why]
    return {
        "particle_id_before": number,
        "particle_id": None if there is None else int(there.index[0]),
        "d_eq_um": float(numbers(here, "d_eq_um")[0]),
        "soc_before": socs[0],
        "soc_after": socs[1],
        "rate_per_h": rate,
        "rate_se_per_h": se,
        "rate_se_sys_per_h": float(np.linalg.norm(shared)) / seen.hours,
        "soc_before_se": counting[0],
        "rate_sd_per_h": UNKNOWN if inside is None else inside.uniformity.sd,
        "uniformity": UNKNOWN if inside is None else inside.uniformity.value.estimate,
        "uniformity_low": UNKNOWN if inside is None else inside.uniformity.value.low,
        "uniformity_high": UNKNOWN if inside is None else inside.uniformity.value.high,
        "rate_over_soc_per_h": UNKNOWN if inside is None else inside.over_soc.slope.estimate,
        "rate_over_soc_se_per_h": UNKNOWN if inside is None else inside.over_soc.se,
        "soc_squares": UNKNOWN if inside is None else inside.over_soc.squares,
        "rate_soc_products": UNKNOWN if inside is None else inside.over_soc.products,
        "n_pixels": 0 if inside is None else inside.n_pixels,
        "note": "; ".join(notes),
    }


def partners(particle_before: I64, particle_after: I64) -> dict[int, int]:
    """Particle of the earlier scan to that of the later one, from (PAIR,) columns of pairs.

    Particles that merge or part between the times have no single partner, and no rate.
    """
    before, after = np.asarray(particle_before), np.asarray(particle_after)
    once = np.ones(len(before), dtype=bool)
    for column in (before, after):
        values, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        once &= counts[inverse.reshape(-1)] == 1 if values.size else once
    return dict(zip(before[once].tolist(), after[once].tolist(), strict=True))
