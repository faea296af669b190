"""One row per electrode and condition: its state of charge, its spread among and inside particles, its active share."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64, Mask
from stxmdist.heterogeneity.active_fraction import Clustering, active_clustering, active_fraction, is_active
from stxmdist.heterogeneity.columns import codes_of, numbers, text
from stxmdist.heterogeneity.intervals import UNKNOWN, Interval, design_effect, wilson
from stxmdist.heterogeneity.metrics.soc_mean import soc_mean
from stxmdist.heterogeneity.metrics.table import METRICS, MetricValues
from stxmdist.heterogeneity.missing import NOTABLE, worst_case
from stxmdist.heterogeneity.particle_sizes import sizes_and_weights
from stxmdist.heterogeneity.places import PLACE_KEYS, Cell, Places, place_keys, places_of, with_columns
from stxmdist.heterogeneity.region_variance import OF_REGIONS, pooled_means
from stxmdist.heterogeneity.rows import CONDITION
from stxmdist.heterogeneity.size_distribution import weighted_quantile
from stxmdist.heterogeneity.variance import icc

_OF_METRICS = tuple(
    column
    for entry in METRICS.values()
    for figure in entry.figures
    for column in (figure.column, *(figure.limits or ()))
)

ELECTRODE_COLUMNS = (
    "electrode_id",
    *CONDITION,
    "n_regions",
    "n_particles",
    "lacking_share",
    "soc_coulometric",
    *_OF_METRICS,
    "active_observed",
    "icc",
    "d10_um",
    "d50_um",
    "d90_um",
    "note",
)

LEAST_FOR_QUANTILES = 10
"""Fewer sizes have no tenth percentile."""


def electrode_table(
    particles: pd.DataFrame,
    scans: pd.DataFrame | None = None,
    *,
    modality: str | None = "stxm",
    level: float = 0.95,
    fields: pd.DataFrame | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Summarise each electrode in each condition (cycle, rate, direction).

    ``soc_mean`` is weighted by mass (area times thickness, in nm or in reference samples), as coulometry sees it; its
    interval rests on regions, whose spread is pooled over the campaign, and is widened by the systematic error of the
    scans, which does not average. ``sd_inter`` and ``sd_intra`` are free of noise; ``icc`` is inter^2 / (inter^2 +
    intra^2). The active fraction is that between fixed thresholds, freed of misclassification by the particles' own
    errors; where the table has none, the share of the column ``active``. Sizes are those of particles that do not touch
    the border, each weighted by its chance of not being cut.

    Parameters
    ----------
    particles
        the particle table, one row per PARTICLE
    scans
        the sample sheet: adds soc_coulometric, and a row for each electrode and condition without a particle
    fields
        fields of view of the scans, without which sizes are not weighted
    rng
        for the resampling behind the active fraction's interval; left out: one that is always the same

    Returns
    -------
    DataFrame
        columns ``ELECTRODE_COLUMNS``, sorted; ``note`` says what a missing number or a weak interval is due to

    Source: Cochran, Sampling Techniques (1977), chapters 6 (ratios) and 10 (two stages).
    """
    whole = _campaign(places_of(particles, modality, scans), fields, level)
    seen = whole.seen
    rng = np.random.default_rng(0) if rng is None else rng
    coulometry = coulometric([seen.frame] if scans is None else [seen.frame, scans])
    names = place_keys(seen.table)
    rows = []
    for index in range(len(seen.table)):
        row = seen.row(index) | {"soc_coulometric": coulometry.get(str(names[index]), UNKNOWN)}
        rows.append(row | _summary(whole, index, level, rng))
    return pd.DataFrame(rows, columns=list(ELECTRODE_COLUMNS))


@dataclass(frozen=True, eq=False)
class _Campaign:
    """What all electrodes are summarised with; arrays are (PARTICLE,)."""

    seen: Places
    charge: MetricValues
    error: F64
    """Of the state of charge; NaN everywhere where the table has none"""
    two_phase: Mask
    active: F64
    size: F64
    size_weight: F64
    """NaN where a particle has no size of its own"""
    means: tuple[Interval, ...]
    """(PLACE,) state of charge weighted by mass"""
    clustering: Clustering
    """Of active particles in regions"""


def _campaign(seen: Places, fields: pd.DataFrame | None, level: float) -> _Campaign:
    frame = seen.frame
    charge = soc_mean(frame)
    error = numbers(frame, "soc_se")
    two_phase = text(frame, "phase_class") == "two-phase"
    takes_part = is_active(charge.value, two_phase) if np.isfinite(error).any() else numbers(frame, "active")
    size, weight = sizes_and_weights(frame, fields)
    return _Campaign(
        seen=seen,
        charge=charge,
        error=error,
        two_phase=np.asarray(two_phase, dtype=bool),
        active=takes_part,
        size=size,
        size_weight=weight,
        means=mass_weighted_means(seen, level),
        clustering=active_clustering(takes_part, seen.region, seen.place, *_codings(frame)),
    )


def _codings(frame: pd.DataFrame) -> tuple[I64, I64]:
    """(PARTICLE,) codes of electrodes and of conditions."""
    return codes_of(frame, ("electrode_id",)), codes_of(frame, CONDITION)


def mass_weighted_means(seen: Places, level: float = 0.95) -> tuple[Interval, ...]:
    """(PLACE,) states of charge weighted by mass, with intervals over regions and what must be said of these."""
    soc, mass = soc_mean(seen.frame).value, mass_of(seen.frame)
    known = np.isfinite(soc) & np.isfinite(mass) & (mass > 0)
    n = len(seen.table)
    shared = np.nan_to_num(numbers(seen.frame, "soc_se_sys"))
    of_known = [np.bincount(seen.place[known], part[known], n) for part in (mass, mass * shared)]
    systematic = np.divide(of_known[1], of_known[0], out=np.zeros(n), where=of_known[0] > 0)
    filled = int(seen.place.max(initial=-1)) + 1
    found = pooled_means(soc, mass, seen.region, seen.place, *_codings(seen.frame), systematic[:filled], level)
    out = []
    for index in range(n):
        here = seen.of(index)
        if not known[here].any():
            note = "no particle with a mass and a soc" if len(here) else "no particles"
            out.append(Interval(UNKNOWN, UNKNOWN, UNKNOWN, note))
            continue
        regions = len(np.unique(seen.region[here[known[here]]]))
        note = "" if found.spread.note == OF_REGIONS else found.spread.note
        if regions == 1 and not note:
            note = "one region: how much regions differ is taken from other electrodes"
        out.append(Interval(float(found.estimate[index]), float(found.low[index]), float(found.high[index]), note))
    return tuple(out)


def _summary(whole: _Campaign, index: int, level: float, rng: np.random.Generator) -> dict[str, Cell]:
    """The numbers of one electrode in one condition."""
    here = whole.seen.of(index)
    soc, noise = whole.charge.value[here], whole.charge.noise_variance[here]
    known = np.isfinite(soc)
    mean = whole.means[index]
    notes = [mean.note]
    lacking = 1.0 - float(known.mean()) if len(here) else UNKNOWN
    if lacking > NOTABLE and known.any():
        low, high = (float(limit) for limit in worst_case(np.array(mean.estimate), np.array(lacking), 0.0, 1.0))
        notes.append(
            f"{100 * lacking:.0f} % of the particles have no state of charge: with them the mean may be anything from "
            f"{low:.2f} to {high:.2f}"
        )
    for column, word in (("beamtime_id", "beamtimes"), ("cell_id", "cells")):
        several = sorted(set(text(whole.seen.frame.iloc[here], column)) - {""})
        if len(several) > 1:
            notes.append(f"of {len(several)} {word}: what differs between them is taken for that of regions")
    sd_inter, sd_intra = UNKNOWN, UNKNOWN
    if known.sum() > 1:
        between = float(soc[known].var(ddof=1) - noise[known].mean())
        if between < 0:
            notes.append("sd_inter is below the noise")
        sd_inter = float(np.sqrt(max(between, 0.0)))
    intra = None if whole.charge.intra_variance is None else whole.charge.intra_variance[here]
    if intra is not None and np.isfinite(intra).any():
        sd_intra = float(np.sqrt(max(float(np.nanmean(intra)), 0.0)))
    fraction, observed = _active(whole, here, level, rng)
    notes.append(fraction.note if known.any() else "")
    d10, d50, d90 = _size_quantiles(whole.size[here], whole.size_weight[here], notes)
    return {
        "n_regions": len(np.unique(whole.seen.region[here[known]])),
        "n_particles": int(known.sum()),
        "lacking_share": lacking,
        "soc_mean": mean.estimate,
        "soc_ci_low": mean.low,
        "soc_ci_high": mean.high,
        "sd_inter": sd_inter,
        "sd_intra": sd_intra,
        "icc": icc(sd_inter**2, sd_intra**2),
        "active_fraction": fraction.estimate,
        "active_ci_low": fraction.low,
        "active_ci_high": fraction.high,
        "active_observed": observed,
        "d10_um": d10,
        "d50_um": d50,
        "d90_um": d90,
        "note": "; ".join(dict.fromkeys(note for note in notes if note)),
    }


def _active(whole: _Campaign, here: I64, level: float, rng: np.random.Generator) -> tuple[Interval, float]:
    """Active fraction freed of misclassification where particles have errors, and the share as observed."""
    region = np.unique(whole.seen.region[here], return_inverse=True)[1].reshape(-1)
    if np.isfinite(whole.error).any():
        parts = whole.charge.value[here], whole.error[here], whole.two_phase[here]
        found = active_fraction(*parts, region, whole.clustering, rng, level)
        return found.interval, found.observed
    takes_part = whole.active[here]
    said = np.isfinite(takes_part)
    sizes = np.bincount(region[said]).astype(np.float64) if said.any() else np.zeros(0)
    correlation = whole.clustering.correlation
    fraction = wilson(
        float(takes_part[said].sum()), float(said.sum()), design_effect(sizes[sizes > 0], correlation), level
    )
    note = "active interval takes particles as independent" if said.any() and np.isnan(correlation) else ""
    return Interval(fraction.estimate, fraction.low, fraction.high, note), fraction.estimate


def _size_quantiles(size: F64, weight: F64, notes: list[str]) -> tuple[float, float, float]:
    usable = np.isfinite(size) & np.isfinite(weight)
    if not usable.any():
        return (UNKNOWN,) * 3
    if usable.sum() < LEAST_FOR_QUANTILES:
        notes.append(f"sizes of {int(usable.sum())} particles only")
    d10, d50, d90 = weighted_quantile(size[usable], weight[usable], np.array([0.1, 0.5, 0.9])).tolist()
    return d10, d50, d90


def mass_of(particles: pd.DataFrame) -> F64:
    """(PARTICLE,) area times thickness, up to a constant: in nm, or in reference samples if no thickness is in nm."""
    thickness = numbers(particles, "thickness_nm")
    if not np.isfinite(thickness).any():
        thickness = numbers(particles, "thickness_reference")
    return numbers(particles, "area_um2") * thickness


def coulometric(sheets: list[pd.DataFrame]) -> dict[str, float]:
    """Mean of what sheets say of the state of charge by coulometry, by the text of each electrode and condition."""
    said: dict[str, list[float]] = {}
    for sheet in sheets:
        values = numbers(sheet, "soc_coulometric")
        for key, value in zip(place_keys(with_columns(sheet, PLACE_KEYS)), values, strict=True):
            if np.isfinite(value):
                said.setdefault(str(key), []).append(float(value))
    return {key: float(np.mean(values)) for key, values in said.items()}
