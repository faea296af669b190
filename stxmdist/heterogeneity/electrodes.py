"""One row per electrode and condition: its state of charge, its spread among and inside particles, its active share."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import stats

from stxmdist.arrays import F64, I64, Text
from stxmdist.heterogeneity.columns import codes, numbers, text
from stxmdist.heterogeneity.intervals import Interval, design_effect, wilson
from stxmdist.heterogeneity.metrics.active import active
from stxmdist.heterogeneity.metrics.soc_mean import soc_mean
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.rows import CONDITION, of_modality
from stxmdist.heterogeneity.variance import icc

Cell: TypeAlias = str | float
"""A number or a text in the table."""

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
    "soc_coulometric",
    *_OF_METRICS,
    "icc",
    "d10_um",
    "d50_um",
    "d90_um",
    "note",
)

LEAST_FOR_QUANTILES = 10
"""Fewer sizes have no tenth percentile."""


def electrode_table(
    particles: pd.DataFrame, scans: pd.DataFrame | None = None, *, modality: str | None = "stxm", level: float = 0.95
) -> pd.DataFrame:
    """Summarise each electrode in each condition (cycle, rate, direction).

    ``soc_mean`` is weighted by mass (area times thickness, in nm or in reference samples), as coulometry sees it; its
    interval is Student's for a ratio over the regions (over particles, said in the note, where there is one region
    only), widened by the systematic error of the scans, which does not average. ``sd_inter`` and ``sd_intra`` are free
    of noise; ``icc`` is inter^2 / (inter^2 + intra^2). The active fraction's interval is Wilson's with n over the
    design effect of regions, whose correlation is pooled over the campaign. Sizes are those of particles that do not
    touch the border.

    Parameters
    ----------
    particles
        the particle table, one row per PARTICLE
    scans
        the sample sheet: adds soc_coulometric, and a row for each electrode and condition without a particle

    Returns
    -------
    DataFrame
        columns ``ELECTRODE_COLUMNS``, sorted; ``note`` says what a missing number or a weak interval is due to

    Source: Cochran, Sampling Techniques (1977), chapter 6 (ratios); Wilson 1927; Donner, Int. Stat. Rev. 54, 67 (1986),
    for the correlation of a binary outcome.
    """
    frame = of_modality(particles, modality)
    frame = frame[frame["electrode_id"].notna()] if len(frame) else frame
    sheets = [frame] if scans is None else [frame, scans]
    keys = ["electrode_id", *CONDITION]
    places = pd.concat([_with_columns(sheet, keys)[keys] for sheet in sheets], ignore_index=True)
    places = places[places["electrode_id"].notna()]
    coulometry = _coulometric(sheets, keys)
    correlation = active_correlation(frame)
    particle_keys = _keys(_with_columns(frame, keys), keys)
    rows = []
    place_keys = _keys(places, keys)
    cells = places.to_numpy(dtype=object)
    for index in sorted(np.unique(place_keys, return_index=True)[1].tolist(), key=lambda at: _order(cells[at])):
        here = frame[particle_keys == place_keys[index]]
        row = dict(zip(keys, places.iloc[index], strict=True))
        row["soc_coulometric"] = coulometry.get(str(place_keys[index]), np.nan)
        rows.append({**row, **_summary(here, correlation, level)})
    return pd.DataFrame(rows, columns=list(ELECTRODE_COLUMNS))


def _summary(here: pd.DataFrame, correlation: float, level: float) -> dict[str, Cell]:
    """The numbers of one electrode in one condition."""
    notes: list[str] = []
    charge = soc_mean(here)
    soc = charge.value
    known = np.isfinite(soc)
    region = _regions(here)
    mean = mass_weighted_mean(soc, mass_of(here), region, numbers(here, "soc_se_sys"), level)
    if mean.note:
        notes.append(mean.note)
    sd_inter, sd_intra = np.nan, np.nan
    if known.sum() > 1:
        between = float(soc[known].var(ddof=1) - charge.noise_variance[known].mean())
        if between < 0:
            notes.append("sd_inter is below the noise")
        sd_inter = np.sqrt(max(between, 0.0))
    intra = charge.intra_variance
    if intra is not None and np.isfinite(intra).any():
        sd_intra = np.sqrt(max(float(np.nanmean(intra)), 0.0))
    takes_part = active(here).value
    said = np.isfinite(takes_part)
    sizes = np.bincount(region[said]) if said.any() else np.zeros(0)
    deff = design_effect(sizes[sizes > 0].astype(np.float64), correlation)
    fraction = wilson(float(takes_part[said].sum()), float(said.sum()), deff)
    if said.any() and np.isnan(correlation):
        notes.append("active interval takes particles as independent")
    d10, d50, d90 = _size_quantiles(here, notes)
    return {
        "n_regions": len(np.unique(region[known])),
        "n_particles": int(known.sum()),
        "soc_mean": mean.estimate,
        "soc_ci_low": mean.low,
        "soc_ci_high": mean.high,
        "sd_inter": sd_inter,
        "sd_intra": sd_intra,
        "icc": icc(sd_inter**2, sd_intra**2),
        "active_fraction": fraction.estimate,
        "active_ci_low": fraction.low,
        "active_ci_high": fraction.high,
        "d10_um": d10,
        "d50_um": d50,
        "d90_um": d90,
        "note": "; ".join(notes),
    }


def mass_weighted_mean(soc: F64, mass: F64, region: I64, systematic: F64, level: float = 0.95) -> Interval:
    """Mass-weighted mean of (PARTICLE,) soc and Student's interval over regions.

    The mean is a ratio of sums over regions; its standard error comes from the regions' deviations
    ``sum(mass (soc - mean))``, with one degree of freedom less than there are regions.

    Parameters
    ----------
    systematic
        (PARTICLE,) standard error that particles of a scan share; its mass-weighted mean is added in quadrature
    """
    known = np.isfinite(soc) & np.isfinite(mass) & (mass > 0)
    if not known.any():
        return Interval(np.nan, np.nan, np.nan, "no particles" if not len(soc) else "no particle with a mass and a soc")
    soc, mass, region = soc[known], mass[known], region[known]
    mean = float((mass * soc).sum() / mass.sum())
    note = ""
    clusters = region
    if len(np.unique(region)) == 1:
        clusters = np.arange(len(soc))
        note = "one region: the interval leaves out what varies between regions"
    present, inverse = np.unique(clusters, return_inverse=True)
    m = len(present)
    if m < 2:
        return Interval(mean, np.nan, np.nan, "one particle")
    deviations = np.bincount(inverse, mass * (soc - mean))
    se = float(np.sqrt(m / (m - 1.0) * (deviations**2).sum()) / mass.sum())
    shared = np.nan_to_num(systematic[known])
    common = float((mass * shared).sum() / mass.sum())
    half = float(np.hypot(stats.t.ppf(0.5 + level / 2.0, m - 1) * se, stats.norm.ppf(0.5 + level / 2.0) * common))
    return Interval(mean, mean - half, mean + half, note)


def active_correlation(particles: pd.DataFrame) -> float:
    """Intraclass correlation of being active among particles of a region, pooled over the campaign, at least 0.

    One-way analysis of variance of 0 and 1 within conditions of electrodes; NaN where no electrode has two regions.
    """
    takes_part = active(particles).value
    known = np.isfinite(takes_part)
    if not known.any():
        return float("nan")
    frame = particles[known]
    takes_part = takes_part[known]
    place = codes([text(frame, name) for name in ("electrode_id", *CONDITION)])
    region = codes([place.astype(np.str_), text(frame, "region_id" if "region_id" in frame.columns else "scan_id")])
    counts = np.bincount(region).astype(np.float64)
    means = np.bincount(region, takes_part) / counts
    place_counts = np.bincount(place).astype(np.float64)
    place_means = np.bincount(place, takes_part) / place_counts
    place_of = np.zeros(len(counts), dtype=np.int64)
    place_of[region] = place
    between_degrees, within_degrees = len(counts) - len(place_counts), len(takes_part) - len(counts)
    if between_degrees < 1 or within_degrees < 1:
        return float("nan")
    between = float((counts * (means - place_means[place_of]) ** 2).sum()) / between_degrees
    within = float(((takes_part - means[region]) ** 2).sum()) / within_degrees
    squares = np.bincount(place_of, counts**2)
    size = float((counts.sum() - (squares / place_counts).sum()) / between_degrees)
    total = between + (size - 1.0) * within
    return max((between - within) / total, 0.0) if total > 0 else 0.0


def _size_quantiles(here: pd.DataFrame, notes: list[str]) -> tuple[float, float, float]:
    sizes = numbers(here, "d_eq_um")
    usable = np.isfinite(sizes)
    if "flags" in here.columns:
        usable = usable & np.array(["touches border" not in str(words) for words in here["flags"]], dtype=bool)
    if not usable.any():
        return (float("nan"),) * 3
    if usable.sum() < LEAST_FOR_QUANTILES:
        notes.append(f"sizes of {int(usable.sum())} particles only")
    d10, d50, d90 = np.quantile(sizes[usable], (0.1, 0.5, 0.9))
    return float(d10), float(d50), float(d90)


def mass_of(particles: pd.DataFrame) -> F64:
    """(PARTICLE,) area times thickness, up to a constant: in nm, or in reference samples if no thickness is in nm."""
    thickness = numbers(particles, "thickness_nm")
    if not np.isfinite(thickness).any():
        thickness = numbers(particles, "thickness_reference")
    return numbers(particles, "area_um2") * thickness


def _regions(here: pd.DataFrame) -> I64:
    return codes([text(here, "region_id" if "region_id" in here.columns else "scan_id")])


def _with_columns(sheet: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return sheet.assign(**{key: np.nan for key in keys if key not in sheet.columns})


def _keys(sheet: pd.DataFrame, keys: list[str]) -> Text:
    """One text per row; numbers written alike whether a column holds integers or floats."""
    columns = [
        [
            # None, NaN and a null of pandas are one and the same: not known.
            "" if item is None else str(float(item)) if isinstance(item, int | float | np.number) else str(item)
            for item in sheet[key].astype(object).where(sheet[key].notna(), None)
        ]
        for key in keys
    ]
    return np.asarray(["\x1f".join(parts) for parts in zip(*columns, strict=True)], dtype=np.str_)


def _order(cells: Iterable[object]) -> tuple[Cell, ...]:
    """Sort numbers as numbers and the missing last."""
    out: list[Cell] = []
    for item in cells:
        missing = item is None or item != item
        if isinstance(item, int | float | np.number) and not missing:
            out += [False, float(item), ""]
        else:
            out += [missing, 0.0, "" if missing else str(item)]
    return tuple(out)


def _coulometric(sheets: list[pd.DataFrame], keys: list[str]) -> dict[str, float]:
    """Mean of what the sheet says of each electrode and condition."""
    said: dict[str, list[float]] = {}
    for sheet in sheets:
        values = numbers(sheet, "soc_coulometric")
        for key, value in zip(_keys(_with_columns(sheet, keys), keys), values, strict=True):
            if np.isfinite(value):
                said.setdefault(str(key), []).append(float(value))
    return {key: float(np.mean(values)) for key, values in said.items()}
