"""Plates with a planted pattern of charge: drawn finely, imaged through the microscope, counted, fitted, measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.signal import fftconvolve

from stxmdist.arrays import F64, I32
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.particles.chemistry import reach_of
from stxmdist.particles.metrics.engine import Measured, MeasuredField, measure
from stxmdist.particles.metrics.phases import crossing_length_px
from stxmdist.particles.metrics.table import PARTICLE_METRICS, ParticleMetricEntry
from stxmdist.particles.psf_bias import psf_bias
from stxmdist.spectra.checks.classes import edge_zone
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.fitters.contract import state_of_charge
from stxmdist.spectra.fitters.poisson import fit

ENERGY_EV = np.array([700.0, 703.0, 706.6, 707.7, 708.2, 709.2, 710.2, 711.2, 713.0, 716.0, 721.8, 726.0])
DESIGN = CHEMISTRIES["LFP"].load().end_members().at(ENERGY_EV).T
FINE = 5
"""Points a side of a pixel on which plates are drawn"""
N_PLATES = 12
MICROSCOPE = MicroscopePsf()


@dataclass(frozen=True, eq=False)
class Place:
    """Points of one plate in its own axes, um."""

    u: F64
    """Along the long axis"""
    v: F64
    depth: F64
    """Below the rim"""
    half_length: float
    rng: np.random.Generator


Pattern: TypeAlias = Callable[[Place], F64]
"""From points of a plate to the state of charge there"""


@dataclass(frozen=True, eq=False)
class Plates:
    """A field of plates before it is counted, and what is true of them."""

    transmission: F64
    """(ENERGY, Y, X)"""
    labels: I32
    """(Y, X)"""
    truth: pd.DataFrame
    """One row per plate: soc, sd, core_shell, one_sided, gradient_per_um, angle_deg, area_um2, cut_um"""
    modality: str
    pixel_nm: float


def plates(pattern: Pattern, seed: int, modality: str = "stxm", d_um: tuple[float, float] = (0.8, 1.4)) -> Plates:
    """Twelve superellipses of 80 to 150 nm in a field; ptychography sees smaller ones on finer pixels."""
    rng = np.random.default_rng(seed)
    pixel_nm = 50.0 if modality == "stxm" else 15.0
    fine_um = pixel_nm * 1e-3 / FINE
    side = int((1.5 * d_um[1] + 8 * pixel_nm * 1e-3) / fine_um) // FINE * FINE
    thickness, soc, number = (np.zeros((3 * side, 4 * side)) for _ in range(3))
    rows = []
    for k in range(N_PLATES):
        d, aspect, angle = rng.uniform(*d_um), rng.uniform(1.1, 1.6), rng.uniform(0.0, np.pi)
        y, x = (np.indices((side, side)) - side / 2 + rng.uniform(-2, 2, (2, 1, 1))) * fine_um
        u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
        long, short = 0.465 * d * np.sqrt(aspect), 0.465 * d / np.sqrt(aspect)
        inside = np.abs(u / long) ** 4 + np.abs(v / short) ** 4 < 1
        depth = ndimage.distance_transform_edt(inside) * fine_um
        charge = np.broadcast_to(pattern(Place(u, v, depth, long, rng)), u.shape)
        box = (slice(k // 4 * side, (k // 4 + 1) * side), slice(k % 4 * side, (k % 4 + 1) * side))
        thickness[box] = np.where(inside, rng.uniform(80.0, 150.0), 0.0)
        soc[box], number[box] = np.where(inside, charge, 0.0), np.where(inside, k + 1, 0)
        rows.append(_truth(charge, inside, depth, y, x, fine_um) | {"angle_deg": np.degrees(angle)})
    kernel = MICROSCOPE.kernel(modality, pixel_nm / FINE)
    seen = [
        1.0 - fftconvolve(1.0 - np.exp(-thickness * (discharged * (1 - soc) + charged * soc)), kernel, mode="same")
        for discharged, charged in DESIGN
    ]
    share = np.stack([_binned((number == k + 1).astype(np.float64)) for k in range(N_PLATES)])
    labels = np.where(share.max(axis=0) >= 0.5, share.argmax(axis=0) + 1, 0).astype(np.int32)
    image = np.maximum(np.stack([_binned(one) for one in seen]), 1e-9)
    return Plates(image, labels, pd.DataFrame(rows), modality, pixel_nm)


def _binned(fine: F64) -> F64:
    rows, columns = (n // FINE for n in fine.shape)
    return fine.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))


def _truth(soc: F64, inside: F64, depth: F64, y: F64, x: F64, fine_um: float) -> dict[str, float]:
    here, relative = soc[inside], (depth / depth.max())[inside]
    y, x = y[inside] - y[inside].mean(), x[inside] - x[inside].mean()
    mode = abs(np.mean((here - here.mean()) * np.exp(1j * np.arctan2(y, x))))
    slope = np.gradient(soc, fine_um)
    deep = inside & (depth > 0.1)
    return {
        "soc": float(here.mean()),
        "sd": float(here.std()),
        "core_shell": float(here[relative < 0.25].mean() - here[relative > 0.75].mean()),
        "one_sided": float(mode / max(here.mean(), 0.05)),
        "gradient_per_um": float(np.sqrt((slope[0] ** 2 + slope[1] ** 2)[deep].mean())),
        "area_um2": float(inside.sum() * fine_um**2),
        "cut_um": float(crossing_length_px((soc > 0.5)[None], inside)[0] * fine_um),
    }


def counted(
    field: Plates,
    counts: float,
    seed: int,
    metrics: Mapping[str, ParticleMetricEntry] = PARTICLE_METRICS,
    scan_id: str = "planted",
) -> Measured:
    """The field counted with so many photons a pixel, fitted, and its metrics measured."""
    return measure(measured_field(field, counts, seed, scan_id), metrics)


def measured_field(field: Plates, counts: float, seed: int, scan_id: str = "planted") -> MeasuredField:
    """The fitted maps of the field, and the plates that explain them."""
    n, *shape = field.transmission.shape
    photons = np.full(n, float(counts))
    light = (np.random.default_rng(seed).poisson(field.transmission * counts) / counts).astype(np.float32)
    found = fit(light.reshape(n, -1), photons, DESIGN)
    thickness = found.coefficients[:2].reshape(2, *shape).astype(np.float64)
    covariance = np.stack([found.covariance[i, j] for i, j in ((0, 0), (0, 1), (1, 1))]).reshape(3, *shape)
    covariance = covariance.astype(np.float64)
    soc, _ = state_of_charge(thickness, covariance)
    sigma_nm, labels = MICROSCOPE.sigma_nm(field.modality), field.labels
    known = np.isfinite(thickness).all(axis=0)
    interior = (labels > 0) & ~edge_zone(labels > 0, field.pixel_nm, 2.0 * sigma_nm) & known
    reach = reach_of(labels, sigma_nm / field.pixel_nm)
    kernel = MICROSCOPE.kernel(field.modality, field.pixel_nm)
    bias = psf_bias(
        labels,
        thickness,
        psf=kernel,
        design_per_nm=DESIGN,
        weights=photons,
        known=known,
        reach=reach,
        interior=interior,
    )
    ids = bias.particle_id
    mass = np.nan_to_num(thickness)
    charged, total = (np.bincount(reach.ravel(), one.ravel())[1:] for one in (mass[1], mass.sum(axis=0)))
    level = charged / total - bias.soc
    return MeasuredField(
        labels=labels,
        reach=reach,
        interior=interior,
        known=known,
        trusted=known,
        thickness_nm=thickness,
        covariance=covariance,
        soc=soc,
        mass_nm=bias.plates.mass_nm,
        homogeneous_nm=bias.plates.homogeneous(ids, level),
        response=bias.plates.response(ids, level),
        particle_id=ids,
        level=level,
        design_per_nm=DESIGN,
        effective_counts=photons,
        psf=kernel,
        noise_correlation_px2=1.0,
        pixel_nm=field.pixel_nm,
        psf_sigma_nm=sigma_nm,
        modality=field.modality,
        scan_id=scan_id,
    )


def homogeneous(place: Place) -> F64:
    return np.full(place.u.shape, place.rng.choice([0.02, 0.3, 0.5, 0.7, 0.98]))


def solid_solution(place: Place, sd: float = 0.054, length_um: float = 0.3) -> F64:
    """A Gaussian random field of correlation exp(-r^2 / 2 length^2)."""
    waves, phase = place.rng.normal(size=(24, 2)) / length_um, place.rng.uniform(0, 2 * np.pi, 24)
    field = sum(np.cos(a * place.u + b * place.v + p) for (a, b), p in zip(waves, phase, strict=True))
    return np.asarray(place.rng.uniform(0.25, 0.75) + sd * field / np.sqrt(12.0))


def shell(place: Place) -> F64:
    """A straight fall or rise from the rim to the middle, or a decay, of random contrast."""
    low, contrast = place.rng.uniform(0.2, 0.4), place.rng.uniform(-0.1, 0.5)
    return np.asarray(low + contrast * np.exp(-place.depth / place.rng.uniform(0.1, 0.3)))


def halves(place: Place) -> F64:
    """Two phases with a sharp boundary across the long axis."""
    return np.where(place.u > place.rng.uniform(-0.3, 0.3) * place.half_length, 0.98, 0.07)
