"""Whether the particles of each electrode react one by one or together, and whether they fall into two groups."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.analyses.electrode_columns import MOSAIC
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.dip import dip, dip_p
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.metrics.soc_mean import soc_mean
from stxmdist.heterogeneity.mixture import NARROWEST, ashman_error, gain_p, two_groups
from stxmdist.heterogeneity.mosaic import mosaic_index
from stxmdist.heterogeneity.places import Cell, places_of
from stxmdist.heterogeneity.pooled_intervals import pooled_errors

LEAST = 10
"""Fewer particles do not show two groups."""
MOST = 4000
"""Of more particles, every so many-th in order of state of charge is looked at: groups are seen as well."""
LEVEL = 0.05


def mosaic(evidence: Evidence) -> pd.DataFrame:
    """Mosaic index with its interval, and three tests of two groups, of each electrode in each condition.

    The dip assumes nothing of the shape but one mode, and wants groups far apart (D of 4 for a hundred particles).
    The mixture takes the noise out and finds D = 3, but it is against one Gaussian: a flat or skewed single group
    looks like two to it. No test of a hundred particles can tell: against the nearest single hump of any shape the best
    one (Neyman and Pearson's) finds two equal groups at D = 3 in .27, at D = 4 in .92. So ``groups`` says what either
    shows.
    """
    seen = places_of(evidence.kept, evidence.modality)
    charge = soc_mean(seen.frame)
    known = np.isfinite(charge.value) & np.isfinite(charge.noise_variance)
    place, region = seen.place[known], seen.region[known]
    soc, noise = charge.value[known], charge.noise_variance[known]
    indices, influence = np.full(len(seen.table), np.nan), np.zeros(len(soc))
    for index in range(len(seen.table)):
        here = place == index
        indices[index], influence[here] = mosaic_index(soc[here], noise[here])
    errors = pooled_errors(np.nan_to_num(influence), place, region)
    half = errors.half_width()
    rows = []
    for index in range(len(seen.table)):
        here = place == index
        notes = [errors.note(index)] if here.sum() > 1 else ["no particle" if not here.any() else "one particle"]
        if here.sum() > 1 and np.isnan(indices[index]):
            notes.append("the mean is so near to 0 or 1 that particles cannot differ")
        row: dict[str, Cell] = {
            "n_regions": int(errors.n_regions[index]) if index < len(errors.n_regions) else 0,
            "n_particles": int(here.sum()),
            "mosaic_index": indices[index],
            "mosaic_low": indices[index] - half[index] if here.any() else UNKNOWN,
            "mosaic_high": indices[index] + half[index] if here.any() else UNKNOWN,
        }
        row |= _groups(soc[here], noise[here], notes)
        rows.append(seen.row(index) | row | {"note": "; ".join(note for note in notes if note)})
    return pd.DataFrame(rows, columns=[column.name for column in MOSAIC])


def _groups(soc: F64, noise: F64, notes: list[str]) -> dict[str, Cell]:
    """Dip, mixture and what they show together."""
    names = ("dip", "dip_p", "ashman_d", "ashman_d_se", "two_groups_p", "soc_low_group", "soc_high_group", "low_share")
    row: dict[str, Cell] = dict.fromkeys(names, UNKNOWN) | {"groups": ""}
    n = len(soc)
    if n < LEAST or np.ptp(soc) == 0.0:
        notes.append("too few particles to see groups" if n < LEAST else "all states of charge are equal")
        return row
    if n > MOST:
        chosen = np.argsort(soc, kind="stable")[:: -(-n // MOST)]
        soc, noise = soc[chosen], noise[chosen]
    found = dip(soc)
    row |= {"dip": found, "dip_p": dip_p(found, len(soc))}
    fit = two_groups(soc[None, :], noise[None, :])
    total = float(soc.var(ddof=1))
    reliability = float(np.clip(1.0 - noise.mean() / total, 0.0, 1.0))
    p = gain_p(float(fit.gain[0]), len(soc), reliability)
    narrow = float(fit.sd[0]) ** 2 <= 1.01 * NARROWEST * float(soc.var())
    if narrow:
        notes.append("the groups are narrower than the noise: D is a lower bound")
    row |= {
        "ashman_d": float(fit.ashman_d[0]),
        "ashman_d_se": UNKNOWN if narrow else ashman_error(soc, noise, fit),
        "two_groups_p": p,
        "soc_low_group": float(fit.low[0]),
        "soc_high_group": float(fit.high[0]),
        "low_share": float(fit.share_low[0]),
    }
    if float(row["dip_p"]) < LEVEL:
        row["groups"] = "two or more"
    elif p < LEVEL and float(fit.ashman_d[0]) > 2.0:
        row["groups"] = "two, or one that is not Gaussian"
    else:
        row["groups"] = "one is enough"
    if reliability < LEAST_RELIABILITY:
        row["groups"] = "not known"
        notes.append("most of the spread is noise: groups cannot be seen")
    return row


LEAST_RELIABILITY = 0.25
"""Variance without noise over variance with it, below which the noise hides groups"""
