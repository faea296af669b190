"""Size distribution of the particles of each electrode in each condition, freed of what the field of view cuts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.analyses.electrode_columns import SIZES
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import text
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.particle_sizes import sizes_and_weights
from stxmdist.heterogeneity.places import Cell, places_of
from stxmdist.heterogeneity.pooled_intervals import PlaceErrors, pooled_errors
from stxmdist.heterogeneity.size_distribution import (
    below,
    inside_middles,
    lognormal_sizes,
    sauter,
    sauter_influence,
    share_limits,
    weighted_quantile,
)

FRACTIONS = {"d10": 0.1, "d50": 0.5, "d90": 0.9}
LEAST = 10
"""Fewer sizes have no tenth percentile."""
LEAST_PIXELS = 3.0
"""Smaller particles cannot be seen whole: the log-normal is fitted as truncated there."""


def sizes(evidence: Evidence) -> pd.DataFrame:
    """Quantiles by number and volume, D32 and a truncated log-normal of each electrode in each condition.

    Particles that their field cut are left out; the others are weighted by the inverse of the chance of not being cut,
    without which large particles are too few. Intervals rest on regions, whose likeness is pooled over the campaign;
    those of quantiles are Woodruff's: the interval of the share below, read off at the distribution.

    Source: Miles 1974 and Lantuejoul 1978 (weights); Woodruff, J. Am. Stat. Assoc. 47, 635 (1952).
    """
    seen = places_of(evidence.kept, evidence.modality)
    size, weight = sizes_and_weights(seen.frame, evidence.fields)
    usable = np.isfinite(size) & np.isfinite(weight)
    place, region = seen.place[usable], seen.region[usable]
    chosen, weights = size[usable], weight[usable]
    of_places = [_Sizes(chosen[place == index], weights[place == index]) for index in range(len(seen.table))]
    errors = {name: pooled_errors(_influences(of_places, name, place), place, region) for name in _STATISTICS}
    pixel_um = 1e-3 * float(evidence.fields["pixel_nm"].max()) if len(evidence.fields) else 0.0
    limit = max(LEAST_PIXELS * pixel_um, float(chosen.min())) if len(chosen) else np.nan
    fields = set(text(evidence.fields, "scan_id"))
    rows = []
    for index, here in enumerate(of_places):
        every = seen.place == index
        counts: dict[str, Cell] = {
            "n_regions": len(np.unique(region[place == index])),
            "n_particles": len(here.size),
            "n_left_out": int((every & ~usable).sum()),
        }
        row = _row(here, index, errors, limit)
        if len(here.size) and not set(text(seen.frame[every], "scan_id")) <= fields:
            row["note"] = "; ".join(filter(None, ("fields of view are not known: no weights", str(row["note"]))))
        rows.append(seen.row(index) | counts | row)
    return pd.DataFrame(rows, columns=[column.name for column in SIZES])


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Sizes of one place, and how many particles each stands for."""

    size: F64
    weight: F64

    @property
    def volume(self) -> F64:
        """(PARTICLE,) weights by volume."""
        return self.weight * self.size**3

    def quantile(self, fraction: float, by_volume: bool = False) -> float:
        """Of the number, or of the volume."""
        weights = self.volume if by_volume else self.weight
        return float(weighted_quantile(self.size, weights, np.array([fraction]))[0])


def _share_below(fraction: float, *, by_volume: bool) -> Callable[[_Sizes], F64]:
    def influence(of: _Sizes) -> F64:
        return below(of.size, of.volume if by_volume else of.weight, of.quantile(fraction, by_volume))

    return influence


_STATISTICS: Mapping[str, Callable[[_Sizes], F64]] = {
    **{name: _share_below(fraction, by_volume=False) for name, fraction in FRACTIONS.items()},
    "d50_volume": _share_below(0.5, by_volume=True),
    "d32": lambda of: sauter_influence(of.size, of.weight),
}
"""Influences on the statistics that get an interval"""


def _influences(of_places: Sequence[_Sizes], name: str, place: I64) -> F64:
    out = np.zeros(len(place))
    for index, here in enumerate(of_places):
        if len(here.size):
            out[place == index] = _STATISTICS[name](here)
    return out


def _row(here: _Sizes, index: int, errors: Mapping[str, PlaceErrors], limit: float) -> dict[str, Cell]:
    """The numbers of one place."""
    n = len(here.size)
    fit = lognormal_sizes(here.size, limit * (1.0 - 1e-9), here.weight)
    notes = [] if n >= LEAST else [f"sizes of {n} particles only" if n else "no particle with a size"]
    notes += [fit.note] if fit.note and n else []
    row: dict[str, Cell] = {"border_factor": float(here.weight.mean()) if n else UNKNOWN}
    number = {name: here.quantile(fraction) for name, fraction in FRACTIONS.items()}
    volume = {name: here.quantile(fraction, by_volume=True) for name, fraction in FRACTIONS.items()}
    for name, fraction in FRACTIONS.items():
        low, high = _limits(here, fraction, errors[name], index, by_volume=False)
        row |= {f"{name}_um": number[name], f"{name}_low_um": low, f"{name}_high_um": high}
        row[f"{name}_volume_um"] = volume[name]
    low, high = _limits(here, 0.5, errors["d50_volume"], index, by_volume=True)
    row |= {"d50_volume_low_um": low, "d50_volume_high_um": high}
    for suffix, of in (("", number), ("_volume", volume)):
        row[f"span{suffix}"] = (of["d90"] - of["d10"]) / of["d50"]
    d32 = sauter(here.size, here.weight)
    half = float(errors["d32"].half_width()[index]) if n else UNKNOWN
    row |= {"d32_um": d32, "d32_low_um": d32 - half, "d32_high_um": d32 + half}
    row |= {
        "seen_above_um": limit,
        "lognormal_median_um": fit.quantile(0.5),
        "lognormal_sigma": fit.sigma,
        "lognormal_sigma_se": fit.sigma_se,
        "hatch_choate": volume["d50"] / fit.volume_median,
    }
    if n > 1:
        notes.append(errors["d50"].note(index))
        outside = [name for name in FRACTIONS if not np.isfinite([row[f"{name}_low_um"], row[f"{name}_high_um"]]).all()]
        notes += [f"too few particles for the interval of {' and '.join(outside)}"] if outside else []
    return row | {"note": "; ".join(note for note in notes if note)}


def _limits(here: _Sizes, fraction: float, errors: PlaceErrors, index: int, *, by_volume: bool) -> tuple[float, float]:
    """Woodruff's limits of a quantile; NaN where they lie beyond the smallest or the largest particle."""
    if len(here.size) < 2:
        return UNKNOWN, UNKNOWN
    weights = here.volume if by_volume else here.weight
    shares = np.array(share_limits(fraction, float(errors.half_width()[index])))
    limits = weighted_quantile(here.size, weights, shares)
    low, high = np.where(inside_middles(weights, here.size, shares), limits, np.nan).tolist()
    return low, high
