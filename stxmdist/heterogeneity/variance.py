"""How much of the spread of state of charge lies between electrodes, regions, particles, inside them, and in noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from stxmdist.arrays import F64, Array
from stxmdist.heterogeneity.columns import codes, codes_of, text
from stxmdist.heterogeneity.intervals import t_interval
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.rows import CONDITION, Rows, rows

COMPONENTS = ("electrode", "region", "particle", "intra", "noise")
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Component:
    """A variance and its confidence limits, with what has to be said of them."""

    variance: float
    low: float
    high: float
    note: str = ""


def partitions(particles: pd.DataFrame, *, modality: str | None = "stxm", level: float = 0.95) -> pd.DataFrame:
    """The rows of ``partition`` of every metric whose variance is divided, one metric after the other."""
    names = [name for name, entry in METRICS.items() if entry.partitioned]
    return pd.concat([partition(particles, name, modality=modality, level=level) for name in names], ignore_index=True)


def partition(
    particles: pd.DataFrame,
    endpoint: str = "soc_mean",
    *,
    adjust_for: Sequence[str] = CONDITION,
    modality: str | None = "stxm",
    level: float = 0.95,
) -> pd.DataFrame:
    """Split the variance of an endpoint into electrode, region, particle, intra-particle and noise.

    Nested analysis of variance by the method of moments, unbalanced (Henderson's method 3), after the means of the
    conditions were taken out; the known measurement variance of each particle is subtracted at every level. What comes
    out negative is reported as 0. What the particles of a scan have in common as an error (``soc_se_scan``) looks like
    a difference between regions: it is taken off there and counted as noise. A region is one field of view of one
    electrode in one condition, so an electrode that changes differently from the others over the conditions adds to
    ``region``.

    Limits are those of Graybill and Wang (modified large sample) for linear combinations of mean squares, honest at
    two degrees of freedom; that of particles is corrected for the kurtosis of their distribution. Those of intra and
    noise are Student's over electrodes. They are deterministic: nothing is drawn.

    Parameters
    ----------
    particles
        the particle table, one row per PARTICLE
    adjust_for
        columns whose levels' means are taken out first; empty: none

    Returns
    -------
    DataFrame
        endpoint, component, variance, share, ci_low, ci_high (of the share, the other variances held where they are),
        variance_low, variance_high, note; five rows. Shares are of the sum of the variances that are known.

    Source: Searle, Casella, McCulloch, Variance Components (1992), 5.5; Graybill, Wang, J. Am. Stat. Assoc. 75, 869
    (1980); Burdick, Graybill, Confidence Intervals on Variance Components (1992), 3.3.
    """
    chosen = rows(particles, endpoint, modality)
    found = dict(zip(COMPONENTS, _components(chosen, adjust_for, level), strict=True))
    total = float(np.nansum([component.variance for component in found.values()]))
    known = any(np.isfinite(component.variance) for component in found.values())
    return pd.DataFrame(
        {
            "endpoint": endpoint,
            "component": list(COMPONENTS),
            "variance": [component.variance for component in found.values()],
            "share": [component.variance / total if known and total > 0 else UNKNOWN for component in found.values()],
            "ci_low": [_share_at(component.low, component, total) for component in found.values()],
            "ci_high": [_share_at(component.high, component, total) for component in found.values()],
            "variance_low": [component.low for component in found.values()],
            "variance_high": [component.high for component in found.values()],
            "note": [component.note for component in found.values()],
        }
    )


def _share_at(limit: float, component: Component, total: float) -> float:
    """Share of a component whose variance were at its limit."""
    moved = total - component.variance + limit
    return limit / moved if moved > 0 else UNKNOWN


def _components(chosen: Rows, adjust_for: Sequence[str], level: float) -> tuple[Component, ...]:
    if len(chosen.value) == 0:
        return (Component(UNKNOWN, UNKNOWN, UNKNOWN, "no particles"),) * 5
    inside = chosen.metric.intra_variance
    inner = Component(UNKNOWN, UNKNOWN, UNKNOWN, "not defined for this endpoint")
    if inside is not None:
        inner = _mean_over_clusters(inside, chosen, level)
    shared = chosen.metric.shared_variance
    of_scans = np.zeros(len(chosen.value)) if shared is None else np.nan_to_num(shared)
    noise = _mean_over_clusters(chosen.noise_variance + of_scans, chosen, level)
    return (*_nested(chosen, adjust_for, level, _of_regions(of_scans, chosen)), inner, noise)


def _of_regions(of_scans: F64, chosen: Rows) -> float:
    """Mean variance that errors common to a scan give the means of regions: scans of one region average it."""
    if not of_scans.any():
        return 0.0
    scan = codes_of(chosen.frame, ("scan_id",))
    both = codes([chosen.region.astype(np.str_), scan.astype(np.str_)])
    first = np.unique(both, return_index=True)[1]
    region = chosen.region[first]
    weight = np.bincount(both) / np.bincount(chosen.region)[region]
    counts = np.bincount(chosen.region)
    each = np.bincount(region, weight**2 * of_scans[first], chosen.n_regions)
    return float((each * counts).sum() / counts.sum())


@dataclass(frozen=True)
class _MeanSquare:
    """Sum of squares of one stage, and what each variance adds to its expectation."""

    square: float
    """Sum of squares over degrees of freedom"""
    degrees: int
    electrode: float
    region: float
    particle: float
    noise: float
    """Mean measurement variance in it"""


def _mean_squares(chosen: Rows, adjust_for: Sequence[str]) -> tuple[_MeanSquare, _MeanSquare, _MeanSquare]:
    """Mean squares of electrodes (given conditions), of regions (given electrodes), and of particles (given regions).

    Conditions and electrodes are constant in a region, so all but the last live on region means weighted by their
    number of particles: nothing larger than (REGION, COLUMN) is built.
    """
    counts = np.bincount(chosen.region, minlength=chosen.n_regions).astype(np.float64)
    mean = chosen.region_mean(chosen.value)
    noise = chosen.region_mean(chosen.noise_variance)
    root = np.sqrt(counts)
    first = chosen.region_first
    conditions = [text(chosen.frame.iloc[first], column) for column in adjust_for]
    fixed = np.column_stack([np.ones(chosen.n_regions), *(_dummies(column) for column in conditions)])
    electrodes = _dummies(chosen.region_electrode)
    q0 = _basis(fixed * root[:, None])
    q1 = _basis(np.column_stack([fixed, electrodes]) * root[:, None])
    y = root * mean
    h0, h1 = (q0**2).sum(axis=1), (q1**2).sum(axis=1)
    sums0, sums1 = float(((q0.T @ y) ** 2).sum()), float(((q1.T @ y) ** 2).sum())
    # E[y' (P1 - P0) y]: each variance times the trace of (P1 - P0) Z Z'.
    of_electrodes = electrodes * counts[:, None] / root[:, None]
    electrode_trace = float(((q1.T @ of_electrodes) ** 2).sum() - ((q0.T @ of_electrodes) ** 2).sum())
    d1, d2 = q1.shape[1] - q0.shape[1], chosen.n_regions - q1.shape[1]
    d3 = len(chosen.value) - chosen.n_regions
    within = float(((chosen.value - mean[chosen.region]) ** 2).sum())
    one, two, three = max(d1, 1), max(d2, 1), max(d3, 1)
    return (
        _MeanSquare(
            max(sums1 - sums0, 0.0) / one,
            d1,
            electrode_trace / one,
            float((counts * (h1 - h0)).sum()) / one,
            1.0,
            float((noise * (h1 - h0)).sum()) / one,
        ),
        _MeanSquare(
            max(float(y @ y) - sums1, 0.0) / two,
            d2,
            0.0,
            float((counts * (1.0 - h1)).sum()) / two,
            1.0,
            float((noise * (1.0 - h1)).sum()) / two,
        ),
        _MeanSquare(within / three, d3, 0.0, 0.0, 1.0, float((noise * (counts - 1.0)).sum()) / three),
    )


def _nested(
    chosen: Rows, adjust_for: Sequence[str], level: float, of_scans: float
) -> tuple[Component, Component, Component]:
    """Electrode, region and particle components by solving the triangle of expected mean squares from below."""
    upper, middle, lower = _mean_squares(chosen, adjust_for)
    squares = (upper, middle, lower)
    degrees = (float(upper.degrees), float(middle.degrees), lower.degrees * _normality(chosen, lower))
    # Each estimate is a linear combination of the three mean squares, less the same combination of the noises.
    weights: dict[str, F64 | None] = {"particle": None, "region": None, "electrode": None}
    unit = np.eye(3)
    if lower.degrees > 0:
        weights["particle"] = unit[2]
    if middle.degrees > 0 and weights["particle"] is not None:
        weights["region"] = (unit[1] - middle.particle * weights["particle"]) / middle.region
    elif middle.degrees > 0:
        # One particle in each region: what lies between regions is what lies between particles.
        weights["particle"] = unit[1]
    notes = {"electrode": "", "region": "", "particle": ""}
    if weights["region"] is None:
        notes["region"] = (
            "one region per electrode: its variance is part of electrode"
            if middle.degrees == 0
            else "one particle per region: its variance is part of particle"
        )
    if weights["particle"] is None:
        notes["particle"] = "one particle per region: the two cannot be separated"
    if upper.degrees > 0 and upper.electrode > 1e-9:
        rest = upper.region * (weights["region"] if weights["region"] is not None else 0.0)
        rest = rest + (weights["particle"] if weights["particle"] is not None else 0.0)
        weights["electrode"] = (unit[0] - rest) / upper.electrode
    else:
        notes["electrode"] = (
            "one electrode: nothing to compare"
            if chosen.n_electrodes == 1
            else "every electrode has a condition of its own: the two cannot be separated"
        )
    out = {}
    for name, weight in weights.items():
        if weight is not None:
            out[name] = _estimate(weight, squares, degrees, level, notes[name])
            if name == "region" and of_scans > 0:
                out[name] = _less(out[name], of_scans)
        elif name == "region" and weights["electrode"] is not None and middle.degrees == 0:
            out[name] = Component(0.0, UNKNOWN, UNKNOWN, notes[name])
        else:
            out[name] = Component(UNKNOWN, UNKNOWN, UNKNOWN, notes[name])
    return out["electrode"], out["region"], out["particle"]


def _less(component: Component, of_scans: float) -> Component:
    """A component without the errors that the particles of a scan have in common."""
    note = "errors common to a scan taken out"
    variance, low, high = (max(value - of_scans, 0.0) for value in (component.variance, component.low, component.high))
    return Component(variance, low, high, "; ".join(part for part in (component.note, note) if part))


def _estimate(
    weight: F64, squares: Sequence[_MeanSquare], degrees: Sequence[float], level: float, note: str
) -> Component:
    """A linear combination of mean squares with its modified-large-sample limits, not below 0."""
    raw = float(sum(w * (s.square - s.noise) for w, s in zip(weight, squares, strict=True)))
    below = above = 0.0
    tail = 0.5 * (1.0 - level)
    for w, s, n in zip(weight, squares, degrees, strict=True):
        if w == 0.0 or n <= 0:
            continue
        short = 1.0 - n / float(stats.chi2.isf(tail, n))
        long = n / float(stats.chi2.ppf(tail, n)) - 1.0
        down, up = (short, long) if w > 0 else (long, short)
        below += (down * w * s.square) ** 2
        above += (up * w * s.square) ** 2
    if raw < 0:
        note = "; ".join(part for part in (note, f"estimated {raw:.2g}, reported as 0") if part)
    return Component(max(raw, 0.0), max(raw - np.sqrt(below), 0.0), max(raw + np.sqrt(above), 0.0), note)


def _normality(chosen: Rows, lower: _MeanSquare) -> float:
    """Factor on the particles' degrees of freedom: Var(s^2) is (kurtosis - 1)/2 times that of a normal."""
    deviation = chosen.value - chosen.region_mean(chosen.value)[chosen.region]
    second = float((deviation**2).mean())
    if lower.degrees < 20 or second <= 0:
        return 1.0
    kurtosis = float((deviation**4).mean()) / second**2
    return 2.0 / max(kurtosis - 1.0, 0.1)


def _mean_over_clusters(values: F64, chosen: Rows, level: float) -> Component:
    """Mean over all particles; limits are Student's over electrodes, or regions or particles where there is but one."""
    finite = np.isfinite(values)
    if not finite.any():
        return Component(UNKNOWN, UNKNOWN, UNKNOWN, "no particle says")
    mean = float(values[finite].mean())
    clusters = (("electrode", chosen.electrode), ("region", chosen.region), ("particle", np.arange(len(values))))
    for name, cluster in clusters:
        present, inverse = np.unique(cluster[finite], return_inverse=True)
        if present.size < 2:
            continue
        # Deviations of the ratio mean: clusters of unequal size count by their size.
        sizes = np.bincount(inverse)
        totals = np.bincount(inverse, values[finite] - mean) / sizes.mean()
        interval = t_interval(totals, level)
        half = (interval.high - interval.low) / 2.0
        note = "" if name == "electrode" else f"limits over {name}s: one electrode"
        if mean < 0:
            note = "; ".join(part for part in (note, f"estimated {mean:.2g}, reported as 0") if part)
        return Component(max(mean, 0.0), max(mean - half, 0.0), max(mean + half, 0.0), note)
    return Component(max(mean, 0.0), UNKNOWN, UNKNOWN, "one particle")


def icc(inter: float, intra: float) -> float:
    """Intraclass correlation: the share of the variance of pixels that lies between particles; NaN where both are 0."""
    total = inter + intra
    return inter / total if np.isfinite(total) and total > 0 else UNKNOWN


def _dummies(levels: Array) -> F64:
    """(REGION, LEVEL) indicator columns."""
    present, inverse = np.unique(levels, return_inverse=True)
    return np.eye(len(present))[inverse.reshape(-1)]


def _basis(columns: F64) -> F64:
    """Orthonormal basis of the span of the columns, collinear ones dropped."""
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * s[0]])
