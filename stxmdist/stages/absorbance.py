"""Absorbance: counts or complex images become optical density (and phase) with variances, over the incident beam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from storage.digests import fingerprint_of_file
from storage.layout import ArrayPlan
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.ptychography.gauge import fix_gauge
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Receipt, Unit
from stxmdist.spectra.absorbance import (
    AbsorbanceOptions,
    contrast_map,
    incident_counts,
    noise_factor,
    optical_density,
    particle_free,
    remove_leak,
)
from stxmdist.spectra.halves import split_noise
from stxmdist.spectra.spectrum_file import read_spectrum
from stxmdist.stages.grid import grid_of
from stxmdist.stages.survey import Survey
from stxmdist.stages.writing import ShardWriter, all_shards, bytes_of, whole

NAME = "absorbance"
VERSION = 3

SHARD_BYTES = 64_000_000

SLOW_NM = 150.0
"""Differences of half reconstructions over longer distances than this act on a particle as a whole."""


@dataclass(frozen=True)
class Options:
    """Where the incident beam comes from, and what is taken off before the logarithm."""

    absorbance: AbsorbanceOptions = field(default_factory=AbsorbanceOptions)
    """How particle-free pixels are told"""
    leak_fraction: float = 0.0
    """Light of other orders behind a thick absorber, as a fraction of the incident beam; wide-field scans only."""
    i0: Literal["field", "file"] = "field"
    """``field``: particle-free pixels; ``file``: the spectrum named under references: i0 in the campaign file."""
    shared_od_error: float = 0.002
    """Standard error of a reconstruction's optical densities that both of its halves share, at each energy: what is
    wide settles last (closure on simulated scans)"""
    region: list[int] | None = None
    """A free region instead: [first row, row after the last, first column, column after the last], from 0."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.leak_fraction < 1.0:
            raise InputError(
                where="leak_fraction",
                problem="the leak fraction is no share of the incident beam",
                got=self.leak_fraction,
                wanted="0 to less than 1, such as 0.01",
                mend="Measure it behind a thick absorber: what still comes through, over the open beam",
            )
        if not 0.0 <= self.shared_od_error < 1.0:
            raise InputError(
                where="shared_od_error",
                problem="the value makes no sense",
                got=self.shared_od_error,
                wanted="0 to less than 1, such as 0.002",
                mend="Change it, or take it out",
            )
        if self.region is not None and not _holds_pixels(self.region):
            raise InputError(
                where="region",
                problem="the region holds no pixels",
                got=self.region,
                wanted="[first row, row after the last, first column, column after the last], counted from 0",
                mend="Correct the region, or leave it out to have particle-free pixels found",
            )


def _holds_pixels(region: list[int]) -> bool:
    return len(region) == 4 and 0 <= region[0] < region[1] and 0 <= region[2] < region[3]


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Counts of a wide-field scan, the stitched image of a ptychography scan."""
    return (("ingest" if survey.scans[scan_id].modality == "stxm" else "stitch", scan_id),)


def concerns(survey: Survey, scan_id: str) -> bool:
    """Every scan."""
    return True


def identity(survey: Survey, scan_id: str) -> Any:
    """The incident spectrum's file, if one is named."""
    path = _i0_file(survey, scan_id)
    return None if path is None else fingerprint_of_file(path)


def _i0_file(survey: Survey, scan_id: str) -> Path | None:
    references = survey.campaign.references
    wide_field = survey.scans[scan_id].modality == "stxm"
    if not wide_field or survey.options[NAME].i0 != "file" or references is None:
        return None
    return references.i0


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str) -> Unit:
    grid = grid_of(survey, scan_id)
    n, shape = len(grid.energy_ev), (grid.ny, grid.nx)
    energy = {"energy": (grid.energy_ev, "eV")}
    image = energy | {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    wide_field = survey.scans[scan_id].modality == "stxm"
    per_shard = frames_per_shard(n, shape)

    def stack(name: str) -> ArrayPlan:
        return ArrayPlan(name, (n, *shape), (1, *shape), (per_shard, *shape), image)

    arrays = (
        stack("optical_density"),
        stack("od_variance"),
        *(() if wide_field else (stack("phase"),)),
        whole("i0_counts", (n,), energy),
        whole("i0_variance", (n,), energy),
        whole("particle_free", shape, {name: image[name] for name in ("y", "x")}),
    )
    i0_file = _i0_file(survey, scan_id)
    pixels = shape[0] * shape[1]
    held = min(per_shard, n) * pixels * 4
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns=all_shards(arrays),
        arrays=arrays,
        index={
            "modality": survey.scans[scan_id].modality,
            "i0_file": None if i0_file is None else str(i0_file),
            "pixel_nm": grid.pixel_nm,
        },
        estimate=Estimate(
            bytes_of(arrays),
            # Wide field: contrast maps of all energies. Ptychography: three complex stacks and what is made of them.
            peak_bytes=n * pixels * 4 * (2 if wide_field else 14) + 6 * held,
            core_seconds=0.3 + n * pixels * (3e-7 if wide_field else 1e-6),
        ),
    )


def frames_per_shard(n_energy: int, shape: tuple[int, int]) -> int:
    """Energies in one shard of a stack of images."""
    return max(1, min(n_energy, SHARD_BYTES // (4 * shape[0] * shape[1])))


def work(unit: Unit) -> Outcome:
    """Optical density of one scan."""
    return _stxm(unit) if unit.index["modality"] == "stxm" else _ptychography(unit)


def _stxm(unit: Unit) -> Outcome:
    options: Options = unit.options
    ingest = unit.source("ingest")
    counts = ingest.read("counts")
    good = ingest.read("frame_class") == MaskClass.valid
    ring = ingest.read("ring_current_ma")
    free = _free(counts[good], options, unit)
    if unit.index["i0_file"] is not None:
        i0, variance = _i0_from_file(Path(unit.index["i0_file"]), ingest.read("energy_ev"))
        gain = np.ones(len(i0))
    else:
        i0, variance = incident_counts(counts, free)
        # Counts scaled or resampled by others are not single photons: what their noise says goes into the weights.
        gain = noise_factor(counts, free)
    write = ShardWriter(unit)
    per_shard = frames_per_shard(len(counts), (counts.shape[1], counts.shape[2]))
    for shard, start in enumerate(range(0, len(counts), per_shard)):
        part = slice(start, start + per_shard)
        transmission = counts[part] / i0[part, None, None].astype(np.float32)
        if options.leak_fraction:
            transmission = remove_leak(transmission, options.leak_fraction)
        od, od_variance = optical_density(
            transmission * i0[part, None, None].astype(np.float32), i0[part], variance[part]
        )
        write("optical_density", (shard, 0, 0), od.astype(np.float32))
        write("od_variance", (shard, 0, 0), od_variance.astype(np.float32))
    write("i0_counts", (0,), i0)
    write("i0_variance", (0,), variance)
    write("particle_free", (0, 0), free.astype(np.uint8))
    known = np.isfinite(i0) & (i0 > 0)
    return write.outcome(
        {
            "i0_counts": i0,
            "i0_relative_se": float(np.nanmedian(np.sqrt(variance[known]) / i0[known])),
            "noise_factor": gain,
            "noise_correlation_px2": 1.0,
            "free_share": float(free.mean()),
            "energies_measured": int(good.sum()),
            "ring_current_known": bool(np.isfinite(ring).any() and (ring > 0).any()),
        }
    )


def _free(stack: np.ndarray[Any, Any], options: Options, unit: Unit) -> np.ndarray[Any, np.dtype[np.bool_]]:
    shape = stack.shape[1:]
    if options.region is not None:
        top, bottom, left, right = options.region
        if bottom > shape[0] or right > shape[1]:
            raise InputError(
                where=f"absorbance of {unit.scan_id}, option region",
                problem="the region for the incident beam reaches outside the image",
                got=f"{options.region} in an image of {shape[0]} x {shape[1]} pixels",
                wanted="rows and columns inside the image",
                mend="Correct stages: absorbance: region in campaign.yaml",
            )
        free = np.zeros(shape, dtype=bool)
        free[top:bottom, left:right] = True
        return free
    try:
        return particle_free(contrast_map(stack, options.absorbance.contrast_energies), options.absorbance)
    except InputError as error:
        if unit.index["i0_file"] is not None:
            # The field is not needed for the incident beam; nothing of it is known to be free.
            return np.zeros(shape, dtype=bool)
        parts = error.as_dict() | {"where": f"absorbance of {unit.scan_id}"}
        raise InputError(**parts) from error


def _i0_from_file(path: Path, energy_ev: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    spectrum_ev, counts = read_spectrum(path)
    outside = (energy_ev < spectrum_ev.min() - 1e-3) | (energy_ev > spectrum_ev.max() + 1e-3)
    if outside.any():
        raise InputError(
            where=path,
            problem="the incident spectrum does not span the scan",
            got=f"{spectrum_ev.min():.2f} to {spectrum_ev.max():.2f} eV",
            wanted=f"{energy_ev.min():.2f} to {energy_ev.max():.2f} eV",
            mend="Give a spectrum that spans the scan, or take the incident beam from the field (i0: field)",
        )
    i0 = np.interp(energy_ev, spectrum_ev, counts)
    return i0, np.maximum(i0, 0.0)


def _ptychography(unit: Unit) -> Outcome:
    options: Options = unit.options
    stitch = unit.source("stitch")
    objects = {name: stitch.read(name) for name in ("object", "object_a", "object_b")}
    weight = stitch.read("illumination_weight")
    # Where the beam was faint the reconstruction is not held by data.
    lit = weight > 0.1 * np.nanmax(weight, axis=(1, 2), keepdims=True)
    lit &= np.isfinite(objects["object"])
    inside = lit.all(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = np.where(lit, np.abs(objects["object"]) ** 2, np.nan).astype(np.float32)
    margin = max(2, round(50.0 / unit.index["pixel_nm"]))
    free = _free(np.where(inside, intensity, np.nan), _wider(options, margin), unit) & inside
    fixed = {name: np.stack([fix_gauge(plane, free)[0] for plane in stack]) for name, stack in objects.items()}
    transmission = {name: np.where(lit, np.abs(stack) ** 2, np.nan).astype(np.float32) for name, stack in fixed.items()}
    noise = split_noise(transmission["object_a"], transmission["object_b"], inside, SLOW_NM / unit.index["pixel_nm"])
    effective = noise.effective_counts
    with np.errstate(divide="ignore", invalid="ignore"):
        od = np.where(transmission["object"] > 0, -np.log(transmission["object"]), np.nan).astype(np.float32)
        od_variance = 1.0 / (effective[:, None, None] * transmission["object"])
    phase = np.where(lit, np.angle(fixed["object"]), np.nan).astype(np.float32)
    write = ShardWriter(unit)
    per_shard = frames_per_shard(len(od), (od.shape[1], od.shape[2]))
    for shard, start in enumerate(range(0, len(od), per_shard)):
        part = slice(start, start + per_shard)
        write("optical_density", (shard, 0, 0), od[part])
        write("od_variance", (shard, 0, 0), od_variance[part].astype(np.float32))
        write("phase", (shard, 0, 0), phase[part])
    write("i0_counts", (0,), effective)
    # Waves longer than a particle act on it as another incident beam would, and so does what the halves share; beside
    # them the scale, set on the free pixels, errs by the error of their mean.
    scale = noise.correlation_px2 / max(1, int(free.sum())) / effective
    write("i0_variance", (0,), effective**2 * (noise.slow_variance + scale + options.shared_od_error**2))
    write("particle_free", (0, 0), free.astype(np.uint8))
    return write.outcome(
        {
            "i0_counts": effective,
            "noise_factor": np.ones(len(effective)),
            "noise_correlation_px2": noise.correlation_px2,
            "slow_noise_od": np.sqrt(noise.slow_variance),
            "free_share": float(free.mean()),
            "energies_measured": len(effective),
        }
    )


def _wider(options: Options, margin_px: int) -> Options:
    return replace(options, absorbance=replace(options.absorbance, margin_px=margin_px))


def finish(survey: Survey, receipts: Mapping[str, Sequence[Receipt]]) -> dict[str, dict[str, Any]]:
    """Quality figures of each scan."""
    return {scan_id: dict(units[0].measures) for scan_id, units in receipts.items()}
