"""Absorbance: counts or complex images become optical density (and phase) with variances, over the incident beam."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.arrays import C64, F32, F64, Array, Index, Mask, MaskClass
from stxmdist.measures import AbsorbanceMeasures, IngestMeasures, Numbers
from stxmdist.planning.density_options import (
    DensityOptions,
    beam_spectrum_of,
    empty_field_of,
    refuse_corrections_of_given,
)
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey, Upstream
from stxmdist.ptychography.gauge import fix_gauge
from stxmdist.readers.frames.kind_of_numbers import NumbersKind, numbers_meant
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.density.absorbance import noise_factor
from stxmdist.spectra.density.beam_check import CheckedBeam, checked_beam
from stxmdist.spectra.density.corrected import CorrectionTally, density_of_frame
from stxmdist.spectra.density.given import given_noise
from stxmdist.spectra.density.incident_beam import (
    IncidentBeam,
    beam_of_empty_field,
    beam_of_field,
    beam_of_spectrum,
    free_pixels,
    refuse_faint_beam,
)
from stxmdist.spectra.density.reconstructed import density_of_images, free_margin_px, intensity, lit_pixels
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.spectra.fitting.model import ModelOptions
from stxmdist.stages.inputs.corrected import CorrectedFrames, GivenFrames
from stxmdist.stages.inputs.measured import measured

NAME = "absorbance"

SHARD_BYTES = 64_000_000


@dataclass(frozen=True)
class AbsorbancePart:
    """What the plan knows of a scan."""

    wide_field: bool
    """Counts are its source, not complex images"""
    pixel_nm: float
    beam_spectrum: str | None
    """File of the incident spectrum, if the beam is taken from one"""
    empty_field: str | None
    """Scan of an empty field, if the beam is taken from one"""
    background_fitted: bool
    """Whether the fit takes up what absorbs alike at all energies"""

    @property
    def beam_from_elsewhere(self) -> bool:
        """Whether the incident beam is not that of the scan's own particle-free pixels."""
        return self.beam_spectrum is not None or self.empty_field is not None


AbsorbanceUnit = Unit[DensityOptions, AbsorbancePart]


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Counts of a wide-field scan, and of the one that its incident beam is from; a ptychography scan's image."""
    if survey.scans[scan_id].modality != "stxm":
        return (("stitch", scan_id),)
    other = empty_field_of(survey, scan_id)
    return (("ingest", scan_id),) if other is None else (("ingest", scan_id), ("ingest", other))


def identity(survey: Survey, scan_id: str) -> Json:
    """What the incident spectrum's file holds, if there is one, and whether the fit bears a beam that hardly fits."""
    path = beam_spectrum_of(survey, scan_id)
    if path is None and empty_field_of(survey, scan_id) is None:
        return None
    spectrum = None if path is None else survey.content_of(path).sha256
    return {"spectrum": spectrum, "background_fitted": _background_fitted(survey, scan_id)}


def _background_fitted(survey: Survey, scan_id: str) -> bool:
    """Whether the fit takes up what absorbs alike at all energies."""
    return survey.options_of("fit", ModelOptions, scan_id).takes_up_constant


def plan(survey: Survey, options: DensityOptions) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str) -> Unit[object, AbsorbancePart]:
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
    beam_spectrum = beam_spectrum_of(survey, scan_id)
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
        part=AbsorbancePart(
            wide_field=wide_field,
            pixel_nm=grid.pixel_nm,
            beam_spectrum=None if beam_spectrum is None else str(beam_spectrum),
            empty_field=empty_field_of(survey, scan_id),
            background_fitted=_background_fitted(survey, scan_id),
        ),
        estimate=Estimate(
            bytes_of(arrays),
            peak_bytes=peak,
            core_seconds=0.3 + n * pixels * (3e-7 if wide_field else 1e-6),
        ),
    )


def frames_per_shard(n_energy: int, shape: tuple[int, int]) -> int:
    """Energies in one shard of a stack of images."""
    return max(1, min(n_energy, SHARD_BYTES // (4 * shape[0] * shape[1])))


def work(unit: AbsorbanceUnit) -> Outcome:
    """Optical density of one scan."""
    if not unit.part.wide_field:
        return _of_images(unit)
    before = measured(unit, IngestMeasures, "ingest")
    where = f"absorbance of {unit.scan_id}"
    numbers = numbers_meant(NumbersKind(before.numbers, before.numbers_said), unit.options.input, where)
    return _of_counts(unit) if numbers == "counts" else _of_given(unit, numbers)


def _of_counts(unit: AbsorbanceUnit) -> Outcome:
    options, part = unit.options, unit.part
    elsewhere = part.beam_from_elsewhere
    ingest = unit.source("ingest")
    energies = np.flatnonzero(ingest.read("frame_class") == MaskClass.valid)
    field = free_pixels(
        CorrectedFrames(ingest, options.detector, divide_by_ring_current=elsewhere, energies=energies),
        options.absorbance,
        options.region,
        needed=not elsewhere,
        where=f"absorbance of {unit.scan_id}",
    )
    free = field.free
    frames = CorrectedFrames(ingest, options.detector, divide_by_ring_current=elsewhere, free=free)
    beam = _incident_beam(unit, frames, free)
    checked = _checked_beam(unit, frames, energies, free, beam) if elsewhere else None
    write = ShardWriter(unit)
    tally = CorrectionTally(len(frames), field.sample, options.leak_fraction, None if elsewhere else free)
    _write_densities(write, frames, beam, options.leak_fraction, tally)
    _write_beam(write, beam.counts, beam.variance, free)
    return write.outcome(
        AbsorbanceMeasures(
            i0_counts=beam.counts,
            i0_relative_se=beam.relative_se,
            noise_factor=_noise_factor(part, frames, free),
            noise_correlation_px2=1.0,
            free_share=float(free.mean()),
            energies_measured=int(energies.size),
            ring_current_known=frames.exposure.ring_current_known,
            spikes=tally.spikes,
            lines_scaled=tally.lines_scaled,
            lines_masked=tally.lines_masked,
            pixels_without_counts=tally.pixels_without_counts / max(1, energies.size * free.size),
            mean_od=tally.mean_od,
            mean_od_without=tally.mean_od_without,
            free_od=None if checked is None else checked.free_od,
            notes=() if checked is None or not checked.said else (checked.said,),
        )
    )


def _checked_beam(
    unit: AbsorbanceUnit, frames: CorrectedFrames, energies: Index, free: Mask, beam: IncidentBeam
) -> CheckedBeam:
    """A beam from elsewhere, held against what came through the particle-free pixels of the scan itself."""
    where = f"absorbance of {unit.scan_id}"
    if not free.any():
        refuse_faint_beam(frames, energies, beam.counts, where)
    return checked_beam(
        beam_of_field(frames, free) if free.any() else None,
        beam,
        frames.exposure.energy_ev,
        background_fitted=unit.part.background_fitted,
        where=where,
    )


def _of_given(unit: AbsorbanceUnit, numbers: Numbers) -> Outcome:
    """Of transmission or optical density that the file holds: its incident beam is 1, its noise what its scatter is."""
    options, where = unit.options, f"absorbance of {unit.scan_id}"
    refuse_corrections_of_given(options, numbers, where)
    ingest = unit.source("ingest")
    energies = np.flatnonzero(ingest.read("frame_class") == MaskClass.valid)
    logarithmic = numbers == "optical_density"
    field = free_pixels(
        GivenFrames(ingest, logarithmic=logarithmic, energies=energies),
        options.absorbance,
        options.region,
        needed=False,
        where=where,
    )
    frames = GivenFrames(ingest, logarithmic=logarithmic)
    noise = given_noise(frames, energies, field.free)
    frames.noise_factor = noise.factor
    beam = IncidentBeam(np.where(np.isfinite(noise.factor), 1.0, np.nan), noise.beam_variance)
    write = ShardWriter(unit)
    tally = CorrectionTally(len(frames), field.sample, options.leak_fraction)
    _write_densities(write, frames, beam, options.leak_fraction, tally)
    _write_beam(write, beam.counts, beam.variance, field.free)
    return write.outcome(
        AbsorbanceMeasures(
            i0_counts=beam.counts,
            i0_relative_se=beam.relative_se,
            noise_factor=noise.factor,
            noise_correlation_px2=noise.correlation_px2,
            free_share=float(field.free.mean()),
            energies_measured=int(energies.size),
            pixels_without_counts=tally.pixels_without_counts / max(1, energies.size * field.free.size),
            mean_od=tally.mean_od,
            mean_od_without=tally.mean_od_without,
            input=numbers,
            notes=noise.notes,
        )
    )


def _incident_beam(unit: AbsorbanceUnit, frames: CorrectedFrames, free: Mask) -> IncidentBeam:
    """The incident beam of a wide-field scan, from where the options say."""
    part = unit.part
    if part.beam_spectrum is not None:
        return beam_of_spectrum(frames.exposure.energy_ev, *read_spectrum(part.beam_spectrum), part.beam_spectrum)
    if part.empty_field is None:
        return beam_of_field(frames, free)
    detector = unit.options.detector
    empty = CorrectedFrames(unit.source("ingest", part.empty_field), detector, divide_by_ring_current=True)
    return beam_of_empty_field(
        empty,
        empty.exposure,
        frames.exposure,
        with_ring_current=detector.ring_current,
        where=f"absorbance of {unit.scan_id}",
    )


def _noise_factor(part: AbsorbancePart, frames: Sequence[F32], free: Mask) -> F64:
    """Counts that others have scaled or resampled are not single photons: their own noise says what they weigh."""
    if part.beam_spectrum is not None:
        return np.ones(len(frames))
    factor = noise_factor(frames, free)
    return np.where(np.isfinite(factor), factor, 1.0) if part.beam_from_elsewhere else factor


def _write_densities(
    write: ShardWriter, frames: CorrectedFrames, beam: IncidentBeam, leak_fraction: float, tally: CorrectionTally
) -> None:
    """One shard of optical density and variance after the other; ``tally`` sees every frame."""
    shape = frames[0].shape
    per_shard = frames_per_shard(len(frames), (shape[0], shape[1]))
    for shard, start in enumerate(range(0, len(frames), per_shard)):
        energies = range(start, min(start + per_shard, len(frames)))
        block = np.empty((2, len(energies), *shape), np.float32)
        for place, energy in enumerate(energies):
            frame, i0 = frames.frame(energy), float(beam.counts[energy])
            tally.add(energy, frame, i0, frames.left_out_one_by_one(energy, frame))
            block[:, place] = density_of_frame(frame, i0, float(beam.variance[energy]), leak_fraction)
        write("optical_density", (shard, 0, 0), block[0])
        write("od_variance", (shard, 0, 0), block[1])


def _write_beam(write: ShardWriter, i0_counts: F64, i0_variance: F64, free: Mask) -> None:
    write("i0_counts", (0,), i0_counts)
    write("i0_variance", (0,), i0_variance)
    write("particle_free", (0, 0), free.astype(np.uint8))


def _of_images(unit: AbsorbanceUnit) -> Outcome:
    options, pixel_nm = unit.options, unit.part.pixel_nm
    stitch = unit.source("stitch")
    whole = stitch.read("object")
    lit = lit_pixels(whole, stitch.read("illumination_weight"))
    inside = lit.all(axis=0)
    field = free_pixels(
        list(np.where(inside, intensity(whole, lit), np.nan)),
        replace(options.absorbance, margin_px=free_margin_px(pixel_nm)),
        options.region,
        needed=True,
        where=f"absorbance of {unit.scan_id}",
    )
    free = field.free & inside
    halves = (_in_vacuum(stitch.read("object_a"), free), _in_vacuum(stitch.read("object_b"), free))
    found = density_of_images(_in_vacuum(whole, free), halves, lit, free, pixel_nm, options.shared_od_error)
    write = ShardWriter(unit)
    stacks = {"optical_density": found.optical_density, "od_variance": found.variance, "phase": found.phase}
    per_shard = frames_per_shard(len(whole), inside.shape)
    for shard, start in enumerate(range(0, len(whole), per_shard)):
        for name, stack in stacks.items():
            write(name, (shard, 0, 0), stack[start : start + per_shard])
    _write_beam(write, found.effective_counts, found.effective_counts_variance, free)
    return write.outcome(
        AbsorbanceMeasures(
            i0_counts=found.effective_counts,
            noise_factor=np.ones(len(whole)),
            noise_correlation_px2=found.correlation_px2,
            slow_noise_od=found.slow_noise_od,
            free_share=float(free.mean()),
            energies_measured=len(whole),
        )
    )


def _in_vacuum(images: Array, free: Mask) -> C64:
    """Complex images (ENERGY, Y, X) with vacuum at 1 on the free pixels."""
    return np.stack([fix_gauge(plane, free)[0] for plane in images])


STAGE = Stage(
    name=NAME,
    version=5,
    options=DensityOptions,
    measures=AbsorbanceMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    worker_bytes=540_000_000,
)
