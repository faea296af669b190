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
from stxmdist.particles.field_noise import FieldNoise, field_noise, three_pixel_stencil
from stxmdist.particles.metrics.table import NO_DOUBT, PARTICLE_METRICS, ParticleMetricEntry
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.null_twins import (
    error_ratio,
    excess_variance,
    expected_covariance,
    twin_generator,
    twin_noise,
)
from stxmdist.particles.sharp_plate import SharpPlate
from stxmdist.particles.twin_kernels import imaged_twins

N_TWINS = 20
LEAST_TWINS = 8
"""On fewer twins with a number, a metric has neither bias nor standard error."""
MARGIN_SIGMAS = 2.0
"""Sigmas of the point spread function around a particle that are cut out with it."""
LEAST_AWAY_PX = 3
"""Pixels so near to a particle are not free of it."""


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
    noise_excess: F64 | None = None
    """(PARTICLE,) variance of noise over what the fit claims, by the residuals inside; None or NaN: not known"""
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


def measure(scan: MeasuredField, metrics: Mapping[str, ParticleMetricEntry] = PARTICLE_METRICS) -> Measured:
    """Measure every metric of the table on every particle of a scan and on ``n_twins`` twins of each.

    Twins of a particle are drawn by a generator of its own (seed, scan, label), so that nothing depends on workers or
    order. The band is that in which another homogeneous particle lies in 95 of 100 cases if the metric is normally
    distributed: mean -+ t sd sqrt(1 + 1/n). What the method leaves uncertain (the entry's doubts) is part of the
    standard errors and not of the band.

    Raises
    ------
    InputError
        where a metric gives a column that its entry does not name, or another shape than one number for each view.
    """
    found = _found_of(scan, metrics)
    values: dict[str, F64] = {}
    bands: dict[str, F64] = {}
    for entry in metrics.values():
        for name in (column.name for column in entry.columns):
            of_views, own = found[name], found[f"{name}_se"][:, 0]
            values[name], values[f"{name}_se"] = of_views[:, 0], own
            if entry.banded:
                mean, sd, half = scatter(of_views[:, 1:])
                off = mean if entry.null == "taken off" else np.zeros_like(mean)
                values[name], values[f"{name}_se"] = of_views[:, 0] - off, np.where(np.isnan(own), sd, own)
                limits = (mean, mean - off - half, mean - off + half)
                bands |= {f"{name}{ending}": limit for ending, limit in zip(ENDINGS, limits, strict=True)}
            doubt = entry.doubts.get(name, NO_DOUBT).of(values[name])
            values[f"{name}_se"] = np.hypot(values[f"{name}_se"], doubt)
    identity = {"particle_id": scan.particle_id}
    return Measured(pd.DataFrame(identity | values), pd.DataFrame(identity | bands))


ENDINGS = ("_bias", "_null_low", "_null_high")
"""What the table of null bands says of a column."""


def _found_of(scan: MeasuredField, metrics: Mapping[str, ParticleMetricEntry]) -> dict[str, F64]:
    """What each metric says (PARTICLE, VIEW) of each of its columns, and of their errors; NaN where nothing."""
    members = {name: (entry, entry.load()) for name, entry in metrics.items() if scan.modality in entry.modalities}
    names = [column.name for entry in metrics.values() for column in entry.columns]
    shape = (scan.particle_id.size, 1 + scan.n_twins)
    found = {each: np.full(shape, np.nan) for name in names for each in (name, f"{name}_se")}
    for row, views in enumerate(views_of(scan)):
        measured = views.only_measured()
        for name, (entry, metric) in members.items():
            if entry.null != "none" and views.sharp is None:
                continue
            seen = measured if entry.null == "none" else views
            for column, numbers in _checked(name, entry, metric(seen), len(seen.soc)).items():
                found[column][row, : len(numbers)] = numbers
    return found


def _checked(name: str, entry: ParticleMetricEntry, found: Mapping[str, F64], n_views: int) -> Mapping[str, F64]:
    """What a metric says, if it is what its entry promises."""
    named = {each for column in entry.columns for each in (column.name, f"{column.name}_se")}
    for column, numbers in found.items():
        if column not in named or np.shape(numbers) != (n_views,):
            raise InputError(
                where=f"particle metric {name}",
                problem="the metric does not give what its entry says",
                got=f"{column} of shape {np.shape(numbers)}",
                wanted=f"one of {', '.join(sorted(column.name for column in entry.columns))} of shape {(n_views,)}",
                mend="Correct the metric, or the columns of its line in PARTICLE_METRICS",
            )
    return found


def scatter(twins: F64) -> tuple[F64, F64, F64]:
    """Mean, standard deviation and half the 95 % prediction interval of one more of the twins (PARTICLE, TWIN).

    Of those that have a number; NaN of fewer than ``LEAST_TWINS``. All (PARTICLE,).
    """
    known = np.isfinite(twins)
    n = known.sum(axis=1)
    enough, at_least = n >= LEAST_TWINS, np.maximum(n, 2)
    mean = np.where(known, twins, 0.0).sum(axis=1) / at_least
    sd = np.sqrt((np.where(known, twins - mean[:, None], 0.0) ** 2).sum(axis=1) / (at_least - 1))
    half = sd * np.array([_widening(each) for each in at_least.tolist()])
    mean, sd, half = (np.where(enough, each, np.nan) for each in (mean, sd, half))
    return mean, sd, half


@lru_cache
def _widening(n: int) -> float:
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt(1.0 + 1.0 / n))


def views_of(scan: MeasuredField) -> Iterator[ParticleViews]:
    """The particles of a scan, in the order of the field, each with its twins."""
    margin = int(np.ceil(MARGIN_SIGMAS * scan.psf_sigma_nm / scan.pixel_nm)) + 2 if scan.pixel_nm > 0 else 2
    boxes = ndimage.find_objects(np.maximum(scan.labels, scan.reach))
    rows, columns = scan.labels.shape
    noise = noise_of(scan)
    for row, (label, level) in enumerate(zip(scan.particle_id.tolist(), scan.level.tolist(), strict=True)):
        found = boxes[label - 1]
        y, x = (
            slice(max(0, side.start - margin), min(n, side.stop + margin))
            for side, n in zip(found, (rows, columns), strict=True)
        )
        inside = noise if scan.noise_excess is None else noise.stronger(float(scan.noise_excess[row]))
        yield _with_outline(_views(scan, inside, label, level, (y, x)), scan, row, (y, x))


def noise_of(scan: MeasuredField) -> FieldNoise:
    """The noise of the scan's maps of half charged less half discharged, where no particle is seen.

    Without twins nobody draws it, and it is not looked at.
    """
    if scan.n_twins == 0:
        return FieldNoise(three_pixel_stencil(scan.noise_correlation_px2), 1.0, 0)
    away = ndimage.binary_dilation(np.maximum(scan.labels, scan.reach) > 0, iterations=LEAST_AWAY_PX)
    free = scan.known & ~away
    halves = 0.5 * (np.asarray(scan.thickness_nm[1], dtype=np.float64) - scan.thickness_nm[0])
    claimed = excess_variance(scan.covariance, 0.5)
    return field_noise(halves, claimed, free, scan.noise_correlation_px2)


def _with_outline(views: ParticleViews, scan: MeasuredField, row: int, box: tuple[slice, slice]) -> ParticleViews:
    rim = scan.outlines_px[row] if scan.outlines_px else None
    if rim is None:
        return views
    corner = np.array([side.start for side in box], dtype=np.float64)
    as_a_whole, in_places = float(scan.outline_se_px[row]), float(scan.outline_noise_px[row])
    return replace(views, outline_px=rim - corner, outline_se_px=as_a_whole, outline_noise_px=in_places)


def _views(scan: MeasuredField, noise: FieldNoise, label: int, level: float, box: tuple[slice, slice]) -> ParticleViews:
    """One particle of the field cut out, with its twins if it has a state of charge."""
    thickness = np.asarray(scan.thickness_nm[:, *box], dtype=np.float64)
    known = scan.known[box] & np.isfinite(thickness).all(axis=0)
    here = scan.labels[box] == label
    covariance = np.asarray(scan.covariance[:, *box], dtype=np.float64)
    has_soc = known & np.isfinite(scan.soc[box])
    if not np.isfinite(level):
        total, sharp = np.where(known, thickness.sum(axis=0), np.nan), None
        with np.errstate(divide="ignore", invalid="ignore"):
            soc = np.where(has_soc & (np.abs(total) > 1e-6), thickness[1] / total, np.nan)[None]
        total, variance = total[None], soc_variance(thickness, covariance)
    else:
        homogeneous = np.ascontiguousarray(scan.homogeneous_nm[:, *box])
        expected = np.zeros((3, *known.shape))
        expected[:, known] = expected_covariance(homogeneous[:, known], scan.design_per_nm, scan.effective_counts)
        inside = scan.interior[box] & here & known
        ratio = error_ratio(covariance[:, known], expected[:, known], level, inside[known])
        expected *= noise.variance_ratio * (ratio if np.isfinite(ratio) else 1.0)
        rng = twin_generator(scan.seed, scan.scan_id, label)
        reached = scan.reach[box] == label
        seen, response = reached & known & scan.trusted[box], np.ascontiguousarray(scan.response[box])
        rows, columns = _bounds(seen | inside)
        white = twin_noise((rows.stop - rows.start, columns.stop - columns.start), noise.stencil, scan.n_twins, rng)
        total, soc, excess = imaged_twins(
            thickness, homogeneous, expected, white, (rows.start, columns.start), known, has_soc, level, seen, response
        )
        mass = np.where(reached | here, scan.mass_nm[box], 0.0)
        by_counting = excess_variance(expected, level) / response**2
        sharp = SharpPlate(mass, level, excess, seen, by_counting, scan.psf)
        variance = soc_variance(homogeneous, expected)
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


def _bounds(pixels: Mask) -> tuple[slice, slice]:
    """Rows and columns between which all pixels (Y, X) lie; none where there are none."""
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def soc_variance(thickness_nm: F64, covariance: F64) -> F64:
    """Variance (Y, X) of the state of charge at thicknesses (2, Y, X) by the covariance (3, Y, X) of both."""
    total = thickness_nm.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = thickness_nm[1] / total
        v00, v01, v11 = covariance
        return np.asarray(((1 - soc) ** 2 * v11 - 2 * soc * (1 - soc) * v01 + soc**2 * v00) / total**2)
