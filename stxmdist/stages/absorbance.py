"""Absorbance: counts or complex images become optical density (and phase) with variances, over the incident beam."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from storage.digests import fingerprint_of_file
from storage.layout import ArrayPlan
from storage.output import Output
from stxmdist.arrays import F32, F64, Array, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.gauge import fix_gauge
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.density.absorbance import (
    AbsorbanceOptions,
    contrast_map,
    incident_counts,
    noise_factor,
    optical_density,
    particle_free,
    remove_leak,
)
from stxmdist.spectra.density.detector import DetectorOptions
from stxmdist.spectra.density.halves import split_noise
from stxmdist.spectra.density.mean_spectrum import sample_pixels
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.stages.inputs.corrected import CorrectedFrame, CorrectedFrames

NAME = "absorbance"

SHARD_BYTES = 64_000_000

MOST_TRANSMISSION = 1.05
"""An incident beam from elsewhere may be off by a little; more is another beam"""
SLOW_NM = 150.0
"""Differences of half reconstructions over longer distances than this act on a particle as a whole."""


@dataclass(frozen=True)
class Options:
    """Where the incident beam comes from, and what is taken off before the logarithm."""

    absorbance: AbsorbanceOptions = field(default_factory=AbsorbanceOptions)
    """How particle-free pixels are told"""
    leak_fraction: float = 0.0
    """Light of other orders behind a thick absorber, as a fraction of the incident beam; wide-field scans only."""
    i0: Literal["field", "file", "scan"] = "field"
    """``field``: particle-free pixels; ``file``: the spectrum named under references: i0 in the campaign file;
    ``scan``: another row of the sample sheet, see ``i0_scan``."""
    i0_scan: str | None = None
    """The scan_id of an empty field that the incident beam is taken from; wide-field scans only"""
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    """What is undone in counts; wide-field scans only"""
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
    """Counts of a wide-field scan, and of the one that its incident beam is from; a ptychography scan's image."""
    if survey.scans[scan_id].modality != "stxm":
        return (("stitch", scan_id),)
    other = i0_scan(survey, scan_id)
    return (("ingest", scan_id),) if other is None else (("ingest", scan_id), ("ingest", other))


def i0_scan(survey: Survey, scan_id: str) -> str | None:
    """The scan that the incident beam of another is from; the empty field itself has its own."""
    options: Options = survey.options[NAME]
    return options.i0_scan if options.i0 == "scan" and options.i0_scan != scan_id else None


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
        single_shard("i0_counts", (n,), energy),
        single_shard("i0_variance", (n,), energy),
        single_shard("particle_free", shape, {name: image[name] for name in ("y", "x")}),
    )
    i0_file = _i0_file(survey, scan_id)
    pixels = shape[0] * shape[1]
    held = min(per_shard, n) * pixels * 4
    # Wide field: some frames and what is made of them, one shard each of density and variance, and a copy to encode.
    # Ptychography: three complex stacks and what is made of them.
    peak = pixels * 80 + 4 * held if wide_field else n * pixels * 56 + 6 * held
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns=all_shards(arrays),
        arrays=arrays,
        part={
            "modality": survey.scans[scan_id].modality,
            "i0_file": None if i0_file is None else str(i0_file),
            "i0_scan": i0_scan(survey, scan_id) if wide_field else None,
            "pixel_nm": grid.pixel_nm,
        },
        estimate=Estimate(
            bytes_of(arrays),
            peak_bytes=peak,
            core_seconds=0.3 + n * pixels * (3e-7 if wide_field else 1e-6),
        ),
    )


def frames_per_shard(n_energy: int, shape: tuple[int, int]) -> int:
    """Energies in one shard of a stack of images."""
    return max(1, min(n_energy, SHARD_BYTES // (4 * shape[0] * shape[1])))


def work(unit: Unit) -> Outcome:
    """Optical density of one scan."""
    return _stxm(unit) if unit.part["modality"] == "stxm" else _ptychography(unit)


def _stxm(unit: Unit) -> Outcome:
    options: Options = unit.options
    ingest = unit.source("ingest")
    good = np.flatnonzero(ingest.read("frame_class") == MaskClass.valid)
    ring = ingest.read("ring_current_ma")
    outside = unit.part["i0_file"] is not None or unit.part["i0_scan"] is not None
    free, contrast = _free(CorrectedFrames(ingest, options.detector, ring=outside, energies=good), options, unit)
    frames = CorrectedFrames(ingest, options.detector, ring=outside, free=free if free.any() else None)
    if unit.part["i0_file"] is not None:
        i0, variance = _i0_from_file(Path(unit.part["i0_file"]), ingest.read("energy_ev"))
    elif unit.part["i0_scan"] is not None:
        i0, variance = _i0_from_scan(unit, ingest)
    else:
        i0, variance = incident_counts(frames, free)
    # Counts scaled or resampled by others are not single photons: what their noise says goes into the weights.
    gain = np.ones(len(i0)) if unit.part["i0_file"] is not None else noise_factor(frames, free)
    if outside:
        gain = np.where(np.isfinite(gain), gain, 1.0)
        _refuse_faint(unit, frames, good, i0)
    sample = sample_pixels(contrast, np.isfinite(contrast) & ~free) if contrast is not None else ~free
    write = ShardWriter(unit)
    seen = CorrectionTally(frames, free, sample, None if outside else "field", options.leak_fraction)
    per_shard = frames_per_shard(len(frames), free.shape)
    for shard, start in enumerate(range(0, len(frames), per_shard)):
        part = range(start, min(start + per_shard, len(frames)))
        block = np.empty((2, len(part), *free.shape), np.float32)
        for place, energy in enumerate(part):
            frame = frames.frame(energy)
            seen.add(energy, frame, float(i0[energy]))
            incident, leak = np.float32(i0[energy]), np.float32(options.leak_fraction)
            counts = (
                frame.counts if not leak else remove_leak(frame.counts / incident, options.leak_fraction) * incident
            )
            one = slice(energy, energy + 1)
            block[:, place] = [
                values[0]
                for values in optical_density(
                    counts[None], i0[one], variance[one], frame.variance[None] * (np.float32(1.0) + leak) ** 2
                )
            ]
        write("optical_density", (shard, 0, 0), block[0])
        write("od_variance", (shard, 0, 0), block[1])
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
            "energies_measured": int(good.size),
            "ring_current_known": bool(np.isfinite(ring).any() and (ring > 0).any()),
            "spikes": seen.spikes,
            "lines_scaled": seen.lines_scaled,
            "lines_masked": seen.lines_masked,
            "pixels_without_counts": seen.empty / max(1, good.size * free.size),
            "mean_od": seen.mean_od,
            "mean_od_without": seen.without,
        }
    )


class CorrectionTally:
    """What corrections did to a scan, gathered frame by frame: how often, and to the particles' mean spectrum."""

    def __init__(self, frames: CorrectedFrames, free: Mask, sample: Mask, field: str | None, leak: float) -> None:
        self.frames, self.free, self.sample, self.field, self.leak = frames, free, sample, field, leak
        self.spikes = self.lines_scaled = self.lines_masked = self.empty = 0
        self.mean_od = np.full(len(frames), np.nan)
        self.without: dict[str, Array] = {}

    def add(self, energy: int, frame: CorrectedFrame, i0: float) -> None:
        self.spikes += frame.spikes
        self.lines_scaled += frame.lines_scaled
        self.lines_masked += frame.lines_masked
        self.empty += int((frame.counts <= 0.0).sum())
        if not i0 > 0.0 or not self.sample.any():
            return
        self.mean_od[energy] = self._mean_od(frame.counts, i0, self.leak)
        for name, counts in self.frames.switched_off(energy, frame).items():
            beam = float(np.nanmean(counts[self.free])) if self.field and self.free.any() else i0
            self._off(name)[energy] = self._mean_od(counts, beam, self.leak)
        if self.leak:
            self._off("leak_fraction")[energy] = self._mean_od(frame.counts, i0, 0.0)

    def _off(self, name: str) -> Array:
        return self.without.setdefault(name, np.full(len(self.frames), np.nan))

    def _mean_od(self, counts: Array, i0: float, leak: float) -> float:
        values = counts[self.sample]
        values = values[np.isfinite(values)]
        transmission = (float(values.mean(dtype=np.float64)) / i0 if values.size else 0.0) * (1.0 + leak) - leak
        return -np.log(transmission) if transmission > 0.0 else float("nan")


def _refuse_faint(unit: Unit, frames: CorrectedFrames, good: Array, i0: F64) -> None:
    """No sample gives light: where half of a field is brighter than the incident beam, the beam is another one's."""
    ratio = np.array([float(np.nanmedian(frames.frame(int(k)).counts)) / i0[k] for k in good])
    if np.median(ratio) > MOST_TRANSMISSION:
        raise InputError(
            where=f"absorbance of {unit.scan_id}, option i0",
            problem="the incident beam is weaker than what came through the sample",
            got=f"{np.median(ratio):.2f} times the incident beam behind half of the field",
            wanted="less than the incident beam",
            mend="Give the beam of this scan's dwell time and slits (references: i0, or i0_scan), or take i0: field",
        )


def _i0_from_scan(unit: Unit, ingest: Output) -> tuple[Array, Array]:
    """Incident counts and variance (ENERGY,) from a scan of an empty field, at this scan's energies, dwell and ring."""
    other = unit.source("ingest", unit.part["i0_scan"])
    frames = CorrectedFrames(other, unit.options.detector, ring=True)
    counts, variance = incident_counts(frames, np.ones(other.array("counts").shape[1:], dtype=np.bool_))
    known = np.isfinite(counts)
    energy_ev, there_ev = ingest.read("energy_ev"), other.read("energy_ev")[known]
    if not known.any() or energy_ev.min() < there_ev.min() - 0.05 or energy_ev.max() > there_ev.max() + 0.05:
        raise InputError(
            where=f"absorbance of {unit.scan_id}, option i0_scan",
            problem="the scan of the incident beam does not span this scan",
            got=f"{there_ev.min():.2f} to {there_ev.max():.2f} eV" if known.any() else "no frame with counts",
            wanted=f"{energy_ev.min():.2f} to {energy_ev.max():.2f} eV",
            mend="Name an empty field that was scanned over the same energies, or take the beam from the field",
        )
    scale = _relative_exposure(ingest, other, unit.options.detector)
    per_dwell = np.interp(energy_ev, there_ev, (counts / frames.dwell_ms if scale.dwell else counts)[known])
    error = np.interp(energy_ev, there_ev, (variance / frames.dwell_ms**2 if scale.dwell else variance)[known])
    dwell = ingest.read("dwell_ms") if scale.dwell else np.ones(len(energy_ev))
    return per_dwell * dwell * scale.ring, error * (dwell * scale.ring) ** 2


@dataclass(frozen=True)
class _Exposure:
    dwell: bool
    """Whether both scans say how long a pixel was exposed"""
    ring: float
    """Ring current of one scan over the other's, 1 where either is not known"""


def _relative_exposure(one: Output, other: Output, options: DetectorOptions) -> _Exposure:
    dwell = all((source.read("dwell_ms") > 0.0).all() for source in (one, other))
    current = [source.read("ring_current_ma") for source in (one, other)]
    known = [values[np.isfinite(values) & (values > 0.0)] for values in current]
    both = options.ring_current and all(values.size for values in known)
    return _Exposure(dwell, float(np.median(known[0]) / np.median(known[1])) if both else 1.0)


def _free(stack: Sequence[F32], options: Options, unit: Unit) -> tuple[Mask, F32 | None]:
    """Particle-free pixels (Y, X), and the map they were told by."""
    shape = np.shape(stack[0])
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
        return free, contrast_map(stack, options.absorbance.contrast_energies)
    contrast = None
    try:
        contrast = contrast_map(stack, options.absorbance.contrast_energies)
        return particle_free(contrast, options.absorbance), contrast
    except InputError as error:
        if unit.part["i0_file"] is not None or unit.part["i0_scan"] is not None:
            # The field is not needed for the incident beam; nothing of it is known to be free.
            return np.zeros(shape, dtype=bool), contrast
        parts = error.as_dict() | {"where": f"absorbance of {unit.scan_id}"}
        raise InputError(**parts) from error


def _i0_from_file(path: Path, energy_ev: Array) -> tuple[Array, Array]:
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
    margin = max(2, round(50.0 / unit.part["pixel_nm"]))
    free = _free(list(np.where(inside, intensity, np.nan)), _wider(options, margin), unit)[0] & inside
    fixed = {name: np.stack([fix_gauge(plane, free)[0] for plane in stack]) for name, stack in objects.items()}
    transmission = {name: np.where(lit, np.abs(stack) ** 2, np.nan).astype(np.float32) for name, stack in fixed.items()}
    noise = split_noise(transmission["object_a"], transmission["object_b"], inside, SLOW_NM / unit.part["pixel_nm"])
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


STAGE = Stage(
    name=NAME,
    version=4,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    worker_bytes=540_000_000,
)
