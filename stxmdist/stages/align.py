"""Align: every energy's image is moved back to where the particles were, and resampled once, as transmission."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from storage.layout import ArrayPlan, Layout
from storage.output import Output
from stxmdist.arrays import F32, F64, MaskClass
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures, Numbers
from stxmdist.planning.density_options import density_options, empty_field_of
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey, Upstream
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.align.aligned_stack import (
    correlation_after_px2,
    effective_counts,
    resample_phase,
    resample_stack,
    unmoved,
    whole_energies,
)
from stxmdist.spectra.align.frame_spectra import SPECTRA_BYTES
from stxmdist.spectra.align.shifts import AlignOptions, Shifts, estimate_shifts
from stxmdist.spectra.density.corrected import transmission_of
from stxmdist.spectra.density.detector import DetectorOptions
from stxmdist.spectra.density.mean_spectrum import mean_spectrum, sample_pixels, smooth_absorption
from stxmdist.spectra.density.particle_spectra import MOST_PARTICLES, particle_pixels, particle_spectra
from stxmdist.stages.inputs.corrected import counts_or_given
from stxmdist.stages.inputs.frames import MappedFrames, ScratchStack, StoredFrames
from stxmdist.stages.inputs.measured import measured

NAME = "align"

SHARD_BYTES = 128_000_000
PIXELS_PER_CHUNK = 8192
"""A chunk holds every energy of about so many pixels: what a fit reads at once, without decoding its neighbours."""


@dataclass(frozen=True)
class Options:
    """How frames are registered, and whether they are."""

    align: AlignOptions = field(default_factory=AlignOptions)
    """How the shift of each frame is found."""
    register: bool = True
    """False leaves the frames where they are, for stacks that were aligned before."""


@dataclass(frozen=True)
class AlignPart:
    """What the plan knows of a scan, and of how its counts became optical density."""

    wide_field: bool
    """Its transmission is made from counts, not from complex images"""
    leak_fraction: float
    detector: DetectorOptions
    divide_by_ring_current: bool
    """The incident beam is not that of the scan's own frames"""


AlignUnit = Unit[Options, AlignPart]


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Optical density to register; counts to resample where there are any, because zero counts have no logarithm."""
    if survey.scans[scan_id].modality == "stxm":
        return (("absorbance", scan_id), ("ingest", scan_id))
    return (("absorbance", scan_id),)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str) -> Unit[object, AlignPart]:
    grid, density = grid_of(survey, scan_id), density_options(survey, scan_id)
    wide_field = survey.scans[scan_id].modality == "stxm"
    arrays = arrays_of(grid, with_phase=not wide_field)
    n = len(grid.energy_ev)
    pixels = grid.ny * grid.nx
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns=all_shards(arrays),
        arrays=arrays,
        part=AlignPart(
            wide_field=wide_field,
            leak_fraction=density.leak_fraction,
            detector=density.detector,
            divide_by_ring_current=density.i0 == "file" or empty_field_of(survey, scan_id) is not None,
        ),
        estimate=Estimate(
            bytes_of(arrays),
            # Spectra of all frames to register, then one shard of rows and a copy to encode, beside some frames.
            peak_bytes=max(min(n * pixels * 4, 2 * SPECTRA_BYTES), 2 * min(n * pixels * 4, SHARD_BYTES)) + pixels * 60,
            core_seconds=0.5 + n * pixels * 3e-6,
        ),
    )


def arrays_of(grid: Grid, *, with_phase: bool = False) -> tuple[ArrayPlan, ...]:
    """What align leaves for a stack on this grid."""
    n, ny, nx = len(grid.energy_ev), grid.ny, grid.nx
    energy = {"energy": (grid.energy_ev, "eV")}
    image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    chunk_rows = max(1, min(ny, PIXELS_PER_CHUNK // nx))
    per_shard = max(1, min(ceil(ny / chunk_rows), SHARD_BYTES // (4 * n * nx * chunk_rows)))

    def stack(name: str) -> ArrayPlan:
        return ArrayPlan(name, (n, ny, nx), (n, chunk_rows, nx), (n, chunk_rows * per_shard, nx), energy | image)

    return (
        stack("transmission"),
        *((stack("phase"),) if with_phase else ()),
        single_shard("effective_counts", (n,), energy),
        single_shard("shift_px", (n, 2), energy),
        single_shard("shift_quality", (n,), energy),
        single_shard("mean_od", (n,), energy),
        single_shard("mean_od_variance", (n,), energy),
        single_shard("particle_od", (MOST_PARTICLES, n), energy),
        single_shard("particle_od_variance", (MOST_PARTICLES, n), energy),
        single_shard("i0_relative_variance", (n,), energy),
        single_shard("energy_used", (n,), energy),
        single_shard("aligned_class", (ny, nx), image),
    )


def work(unit: AlignUnit) -> Outcome:
    """Register and resample one scan."""
    absorbance, options = unit.source("absorbance"), unit.options
    i0, i0_variance = absorbance.read("i0_counts"), absorbance.read("i0_variance")
    before = measured(unit, AbsorbanceMeasures, "absorbance")
    od = StoredFrames(absorbance, "optical_density")
    used = np.isfinite(i0) & (i0 > 0)
    if unit.part.wide_field:
        used &= unit.source("ingest").read("frame_class") == MaskClass.valid
    shifts = estimate_shifts(od, used, options.align) if options.register else unmoved(len(od))
    effective = effective_counts(i0, before.noise_factor, shifts.shift_px, used)

    write = ShardWriter(unit)
    layout = next(plan for plan in arrays_of(_grid(absorbance)) if plan.name == "transmission").layout()
    with ScratchStack(write.scratch("aligned"), layout.shape) as aligned:
        frames = _transmissions(unit, absorbance, i0, before.input)
        coverage = resample_stack(
            frames,
            shifts.shift_px,
            used,
            aligned,
            (layout.shape[1], layout.shape[2]),
            unknown_is_outside=not unit.part.wide_field,
        )
        whole = whole_energies(used, coverage.known_share)
        absorption, known = smooth_absorption(aligned, whole, coverage.inside)
        chosen = sample_pixels(absorption, known)
        counted, i0_relative_variance = np.where(whole, effective, np.nan), i0_variance / i0**2
        mean_od, mean_variance = mean_spectrum(aligned, chosen, counted, i0_relative_variance)
        particles = particle_spectra(aligned, particle_pixels(absorption, known), counted)
        for shard in layout.indices():
            write("transmission", shard, aligned.rows(layout.region(shard)[1]))
    if not unit.part.wide_field:
        _write_phase(write, layout, StoredFrames(absorbance, "phase"), shifts)
    for name, values in (
        ("effective_counts", effective),
        ("shift_quality", shifts.quality),
        ("mean_od", mean_od),
        ("mean_od_variance", mean_variance),
        ("i0_relative_variance", i0_relative_variance),
        ("energy_used", used.astype(np.uint8)),
    ):
        write(name, (0,), values)
    for name, rows in zip(("particle_od", "particle_od_variance"), particles, strict=True):
        write(name, (0, 0), np.pad(rows, ((0, MOST_PARTICLES - len(rows)), (0, 0)), constant_values=np.nan))
    write("shift_px", (0, 0), shifts.shift_px)
    write("aligned_class", (0, 0), coverage.classes)
    return write.outcome(
        AlignMeasures(
            largest_shift_px=float(np.abs(shifts.shift_px[used]).max()),
            frames_not_registered=int(shifts.flagged.sum()),
            energies_not_registered_ev=absorbance.read("energy_ev")[shifts.flagged],
            shift_quality=_median_of_known(shifts.quality) if options.register else None,
            outside_share=float(1.0 - coverage.inside.mean()),
            sample_pixels=int(chosen.sum()),
            noise_correlation_px2=correlation_after_px2(before.noise_correlation_px2, shifts.shift_px, used),
            known_share=None if coverage.all_known else coverage.known_share,
        )
    )


def _write_phase(write: ShardWriter, layout: Layout, phase: StoredFrames, shifts: Shifts) -> None:
    """The phase, moved as the transmission is."""
    with ScratchStack(write.scratch("phase"), layout.shape) as aligned:
        for energy, shift in enumerate(shifts.shift_px):
            aligned[energy] = resample_phase(phase[energy], shift)
        for shard in layout.indices():
            write("phase", shard, aligned.rows(layout.region(shard)[1]))


def _grid(output: Output) -> Grid:
    return Grid(output.read("energy_ev"), output.read("y_um"), output.read("x_um"))


def _transmissions(unit: AlignUnit, absorbance: Output, i0: F64, numbers: Numbers) -> Sequence[F32]:
    """Frames to resample: counts over the incident beam where there are any, because zero counts have no logarithm."""
    part = unit.part
    if not part.wide_field:
        return MappedFrames(StoredFrames(absorbance, "optical_density"), lambda od, energy: np.exp(-od))
    frames = counts_or_given(
        unit.source("ingest"),
        numbers,
        part.detector,
        divide_by_ring_current=part.divide_by_ring_current,
        free=absorbance.read("particle_free") == 1,
    )
    return MappedFrames(frames, lambda counts, energy: transmission_of(counts, i0[energy], part.leak_fraction))


def _median_of_known(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


STAGE = Stage(
    name=NAME,
    version=9,
    options=Options,
    measures=AlignMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    worker_bytes=560_000_000,
)
