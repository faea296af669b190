"""The null engine: every metric of every particle, beside what homogeneous twins of the particle show.

A metric is measured on the particle and on its twins in one call. What the twins show is the metric's bias and its
scatter: bias, standard error and 95 % band of every metric come from here and from nowhere else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from stxmdist.arrays import F64, I32, I64, Mask, Real
from stxmdist.errors import InputError
from stxmdist.particles.metrics.table import PARTICLE_METRICS, ParticleMetric, ParticleMetricEntry
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.null_twins import (
    error_ratio,
    excess_variance,
    expected_covariance,
    twin_generator,
    twin_noise,
)
from stxmdist.particles.sharp_plate import SharpPlate

N_TWINS = 20
LEAST_TWINS = 8
"""On fewer twins with a number, a metric has neither bias nor standard error."""
MARGIN_SIGMAS = 2.0
"""Sigmas of the point spread function around a particle that are cut out with it."""


@dataclass(frozen=True, eq=False)
class MeasuredField:
    """The maps of one scan with its particles, and what their noise and blur rest on."""

    labels: I32
    """(Y, X) outlines, 0 where there is no particle"""
    reach: I32
    """(Y, X) where each particle's mass is seen"""
    interior: Mask
    """(Y, X) pixels that are trusted and away from edges"""
    known: Mask
    """(Y, X) pixels that were measured"""
    trusted: Mask
    """(Y, X) pixels whose thickness may be used, edges among them"""
    thickness_nm: Real
    """(2, Y, X) of (discharged, charged)"""
    covariance: Real
    """(3, Y, X) nm^2"""
    soc: Real
    """(Y, X)"""
    mass_nm: F64
    """(Y, X) of plates with sharp rims"""
    homogeneous_nm: F64
    """(2, Y, X) what a fit would see of plates of one state of charge, ``level``, without noise"""
    response: F64
    """(Y, X) how much of a difference of state of charge the maps show, beside what blur takes: less than 1 at rims"""
    particle_id: I64
    """(PARTICLE,) in increasing order"""
    level: F64
    """(PARTICLE,) state of charge of twins; NaN: not known, and no twins"""
    design_per_nm: F64
    """(ENERGY, TERM) optical density per nm"""
    effective_counts: F64
    """(ENERGY,) photons per pixel at full transmission"""
    psf: F64
    """(K, K)"""
    noise_correlation_px2: float
    pixel_nm: float
    psf_sigma_nm: float
    modality: str
    scan_id: str
    seed: int = 0
    phase_rad: F64 | None = None
    """(Y, X) unwrapped; None where only counts were measured"""
    n_twins: int = N_TWINS
    outlines_px: tuple[F64 | None, ...] = ()
    """(VERTEX, 2) rim of each PARTICLE in pixels of the map; empty: none is known"""
    outline_se_px: F64 = field(default_factory=lambda: np.zeros(0))
    """(PARTICLE,) standard error of where it lies as a whole"""
    outline_noise_px: F64 = field(default_factory=lambda: np.zeros(0))
    """(PARTICLE,) by how much noise moves single places of it"""


@dataclass(frozen=True, eq=False)
class Measured:
    """All metrics of the particles of one scan: both tables have one row per PARTICLE, in the order of the field."""

    values: pd.DataFrame
    """``<column>`` and ``<column>_se``"""
    bands: pd.DataFrame
    """``particle_id`` and, of metrics of the state of charge, ``<column>_bias``, ``<column>_null_low`` and
    ``<column>_null_high``: between both lie 95 % of homogeneous particles, on the scale of ``<column>``
    """


@dataclass
class _Columns:
    """Filled particle by particle."""

    length: int
    columns: dict[str, F64] = field(default_factory=dict)

    def put(self, name: str, row: int, value: float) -> None:
        if name not in self.columns:
            self.columns[name] = np.full(self.length, np.nan)
        self.columns[name][row] = value


def measure(scan: MeasuredField, metrics: Mapping[str, ParticleMetricEntry] = PARTICLE_METRICS) -> Measured:
    """Measure every metric of the table on every particle of a scan and on ``n_twins`` twins of each.

    Twins of a particle are drawn by a generator of its own (seed, scan, label), so that nothing depends on workers or
    order. The band is that in which another homogeneous particle lies in 95 of 100 cases if the metric is normally
    distributed: mean -+ t sd sqrt(1 + 1/n).

    Raises
    ------
    InputError
        where a metric gives a column that its entry does not name, or another shape than one number for each view.
    """
    n = scan.particle_id.size
    values, bands = _Columns(n), _Columns(n)
    members = {name: (entry, entry.load()) for name, entry in metrics.items()}
    for entry in metrics.values():
        for column in entry.columns:
            for each in (column.name, f"{column.name}_se"):
                values.columns[each] = np.full(n, np.nan)
            for ending in ENDINGS if entry.banded else ():
                bands.columns[f"{column.name}{ending}"] = np.full(n, np.nan)
    for row, views in enumerate(views_of(scan)):
        for name, (entry, metric) in members.items():
            if scan.modality in entry.modalities and (entry.null == "none" or views.sharp is not None):
                _measure_one(name, entry, metric, views, row, values, bands)
    identity = {"particle_id": scan.particle_id}
    return Measured(pd.DataFrame(identity | values.columns), pd.DataFrame(identity | bands.columns))


ENDINGS = ("_bias", "_null_low", "_null_high")
"""What the table of null bands says of a column."""


def _measure_one(
    name: str,
    entry: ParticleMetricEntry,
    metric: ParticleMetric,
    views: ParticleViews,
    row: int,
    values: _Columns,
    bands: _Columns,
) -> None:
    """The columns of one metric of one particle."""
    seen = views if entry.null != "none" else views.only_measured()
    found = metric(seen)
    named = {column.name for column in entry.columns}
    for column, numbers in found.items():
        own_error = column.endswith("_se") and column.removesuffix("_se") in named
        if (column not in named and not own_error) or np.shape(numbers) != seen.soc.shape[:1]:
            raise InputError(
                where=f"particle metric {name}",
                problem="the metric does not give what its entry says",
                got=f"{column} of shape {np.shape(numbers)}",
                wanted=f"one of {', '.join(sorted(named))} of shape {seen.soc.shape[:1]}",
                mend="Correct the metric, or the columns of its line in PARTICLE_METRICS",
            )
    for column in named & found.keys():
        value, twins = float(found[column][0]), np.asarray(found[column][1:], dtype=np.float64)
        own = found.get(f"{column}_se")
        if not entry.banded:
            values.put(column, row, value)
            values.put(f"{column}_se", row, np.nan if own is None else float(own[0]))
            continue
        mean, sd = scatter(twins)
        off = mean if entry.null == "taken off" else 0.0
        values.put(column, row, value - off)
        values.put(f"{column}_se", row, sd if own is None else float(own[0]))
        half = band_half_width(sd, int(np.isfinite(twins).sum()))
        for ending, number in zip(ENDINGS, (mean, mean - off - half, mean - off + half), strict=True):
            bands.put(f"{column}{ending}", row, number)


def scatter(twins: F64) -> tuple[float, float]:
    """Mean and standard deviation of the twins (TWIN,) that have a number; NaN of fewer than ``LEAST_TWINS``."""
    known = twins[np.isfinite(twins)]
    if known.size < LEAST_TWINS:
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1))


def band_half_width(sd: float, n_twins: int) -> float:
    """Half the width of the 95 % prediction interval of one more twin."""
    return sd * _widening(n_twins) if n_twins >= LEAST_TWINS else float("nan")


@lru_cache
def _widening(n: int) -> float:
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt(1.0 + 1.0 / n))


def views_of(scan: MeasuredField) -> Iterator[ParticleViews]:
    """The particles of a scan, in the order of the field, each with its twins."""
    margin = int(np.ceil(MARGIN_SIGMAS * scan.psf_sigma_nm / scan.pixel_nm)) + 2 if scan.pixel_nm > 0 else 2
    boxes = ndimage.find_objects(np.maximum(scan.labels, scan.reach))
    rows, columns = scan.labels.shape
    for row, (label, level) in enumerate(zip(scan.particle_id.tolist(), scan.level.tolist(), strict=True)):
        found = boxes[label - 1]
        y, x = (
            slice(max(0, side.start - margin), min(n, side.stop + margin))
            for side, n in zip(found, (rows, columns), strict=True)
        )
        yield _with_outline(_views(scan, label, level, (y, x)), scan, row, (y, x))


def _with_outline(views: ParticleViews, scan: MeasuredField, row: int, box: tuple[slice, slice]) -> ParticleViews:
    rim = scan.outlines_px[row] if scan.outlines_px else None
    if rim is None:
        return views
    corner = np.array([side.start for side in box], dtype=np.float64)
    as_a_whole, in_places = float(scan.outline_se_px[row]), float(scan.outline_noise_px[row])
    return replace(views, outline_px=rim - corner, outline_se_px=as_a_whole, outline_noise_px=in_places)


def _views(scan: MeasuredField, label: int, level: float, box: tuple[slice, slice]) -> ParticleViews:
    """One particle of the field cut out, with its twins if it has a state of charge."""
    thickness = np.asarray(scan.thickness_nm[:, *box], dtype=np.float64)
    known = scan.known[box] & np.isfinite(thickness).all(axis=0)
    here = scan.labels[box] == label
    covariance = np.asarray(scan.covariance[:, *box], dtype=np.float64)
    maps, sharp = thickness[None], None
    variance = soc_variance(thickness, covariance)
    if np.isfinite(level):
        homogeneous = scan.homogeneous_nm[:, *box]
        expected = np.zeros((3, *known.shape))
        expected[:, known] = expected_covariance(homogeneous[:, known], scan.design_per_nm, scan.effective_counts)
        inside = scan.interior[box] & here & known
        ratio = error_ratio(covariance[:, known], expected[:, known], level, inside[known])
        expected *= ratio if np.isfinite(ratio) else 1.0
        rng = twin_generator(scan.seed, scan.scan_id, label)
        noise = twin_noise(expected, scan.noise_correlation_px2, scan.n_twins, rng)
        maps = np.concatenate([maps, homogeneous + noise])
        seen = (scan.reach[box] == label) & known & scan.trusted[box]
        response = scan.response[box]
        excess = (maps[:, 1] - homogeneous[1] - level * (maps - homogeneous).sum(axis=1)) / response
        mass = np.where((scan.reach[box] == label) | here, scan.mass_nm[box], 0.0)
        by_counting = excess_variance(expected, level) / response**2
        sharp = SharpPlate(mass, level, np.where(seen, excess, 0.0), seen, by_counting, scan.psf)
        variance = soc_variance(homogeneous, expected)
    total = np.where(known, maps.sum(axis=1), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = np.where(known & np.isfinite(scan.soc[box]) & (np.abs(total) > 1e-6), maps[:, 1] / total, np.nan)
    return ParticleViews(
        label=label,
        labels=scan.labels[box],
        interior=scan.interior[box] & here,
        known=known,
        soc=soc,
        total_nm=total,
        soc_variance=variance,
        pixel_nm=scan.pixel_nm,
        psf_sigma_nm=scan.psf_sigma_nm,
        modality=scan.modality,
        phase_rad=None if scan.phase_rad is None else scan.phase_rad[box],
        sharp=sharp,
    )


def soc_variance(thickness_nm: F64, covariance: F64) -> F64:
    """Variance (Y, X) of the state of charge at thicknesses (2, Y, X) by the covariance (3, Y, X) of both."""
    total = thickness_nm.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = thickness_nm[1] / total
        v00, v01, v11 = covariance
        return np.asarray(((1 - soc) ** 2 * v11 - 2 * soc * (1 - soc) * v01 + soc**2 * v00) / total**2)
