"""Align: every energy's image is moved back to where the particles were, and resampled once, as transmission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from storage.layout import ArrayPlan, Layout
from storage.output import Output
from stxmdist.arrays import Array, MaskClass
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.align.frame_spectra import SPECTRA_BYTES
from stxmdist.spectra.align.resample import noise_correlation_px2, resample, variance_factor
from stxmdist.spectra.align.shifts import AlignOptions, Shifts, estimate_shifts
from stxmdist.spectra.density.absorbance import remove_leak
from stxmdist.spectra.density.mean_spectrum import mean_absorption, mean_spectrum, sample_pixels
from stxmdist.stages.absorbance import i0_scan
from stxmdist.stages.inputs.corrected import CorrectedFrames
from stxmdist.stages.inputs.frames import MappedFrames, ScratchStack, StoredFrames

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


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Optical density to register; counts to resample where there are any, because zero counts have no logarithm."""
    if survey.scans[scan_id].modality == "stxm":
        return (("absorbance", scan_id), ("ingest", scan_id))
    return (("absorbance", scan_id),)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str) -> Unit:
    grid = grid_of(survey, scan_id)
    with_phase = survey.scans[scan_id].modality == "ptychography"
    arrays = arrays_of(grid, with_phase=with_phase)
    n = len(grid.energy_ev)
    pixels = grid.ny * grid.nx
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns=all_shards(arrays),
        arrays=arrays,
        part={
            "modality": survey.scans[scan_id].modality,
            "leak_fraction": survey.options["absorbance"].leak_fraction,
            "detector": survey.options["absorbance"].detector,
            "ring": survey.options["absorbance"].i0 == "file" or i0_scan(survey, scan_id) is not None,
        },
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
        single_shard("energy_used", (n,), energy),
        single_shard("aligned_class", (ny, nx), image),
    )


def work(unit: Unit) -> Outcome:
    """Register and resample one scan."""
    absorbance = unit.source("absorbance")
    i0, i0_variance = absorbance.read("i0_counts"), absorbance.read("i0_variance")
    before = measures_of(unit, "absorbance")
    od = StoredFrames(absorbance, "optical_density")
    measured = np.isfinite(i0) & (i0 > 0)
    if unit.part["modality"] == "stxm":
        measured &= unit.source("ingest").read("frame_class") == MaskClass.valid
    options: Options = unit.options
    shifts = estimate_shifts(od, measured, options.align) if options.register else _unmoved(len(od))
    factors = np.array([variance_factor(shift) for shift in shifts.shift_px])
    effective = np.where(measured, i0 / np.asarray(before["noise_factor"], dtype=float) / factors, np.nan)

    write = ShardWriter(unit)
    layout = next(plan for plan in arrays_of(_grid(absorbance)) if plan.name == "transmission").layout()
    with ScratchStack(write.scratch("aligned"), layout.shape) as aligned:
        frames = _transmissions(unit, absorbance, i0)
        known = np.ones(layout.shape[1:], dtype=np.bool_)
        for energy in range(len(od)):
            plane = np.full(known.shape, np.nan, np.float32)
            if measured[energy]:
                plane = resample(frames[energy], shifts.shift_px[energy])
                known &= np.isfinite(plane)
            aligned[energy] = plane
        classes = np.where(known, MaskClass.valid, MaskClass.outside).astype(np.uint8)
        chosen = sample_pixels(mean_absorption(aligned[k] for k in np.flatnonzero(measured)), known)
        mean_od, mean_variance = mean_spectrum(aligned, chosen, effective, i0_variance / i0**2)
        for shard in layout.indices():
            write("transmission", shard, aligned.rows(layout.region(shard)[1]))
    if unit.part["modality"] == "ptychography":
        _write_phase(write, layout, StoredFrames(absorbance, "phase"), shifts)
    correlation = before["noise_correlation_px2"] * float(
        np.mean([noise_correlation_px2(shift) for shift in shifts.shift_px[measured]])
    )
    for name, values in (
        ("effective_counts", effective),
        ("shift_quality", shifts.quality),
        ("mean_od", mean_od),
        ("mean_od_variance", mean_variance),
        ("energy_used", measured.astype(np.uint8)),
    ):
        write(name, (0,), values)
    write("shift_px", (0, 0), shifts.shift_px)
    write("aligned_class", (0, 0), classes)
    return write.outcome(
        {
            "largest_shift_px": float(np.abs(shifts.shift_px[measured]).max()),
            "frames_not_registered": int(shifts.flagged.sum()),
            "energies_not_registered_ev": absorbance.read("energy_ev")[shifts.flagged],
            "shift_quality": float(np.nanmedian(shifts.quality)) if options.register else None,
            "outside_share": float(1.0 - known.mean()),
            "sample_pixels": int(chosen.sum()),
            "noise_correlation_px2": correlation,
        }
    )


def _write_phase(write: ShardWriter, layout: Layout, phase: StoredFrames, shifts: Shifts) -> None:
    """The phase moved as the transmission is: resampled as a number on the unit circle, where it may wrap."""
    with ScratchStack(write.scratch("phase"), layout.shape) as aligned:
        for energy, shift in enumerate(shifts.shift_px):
            plane = phase[energy]
            aligned[energy] = np.arctan2(resample(np.sin(plane), shift), resample(np.cos(plane), shift))
        for shard in layout.indices():
            write("phase", shard, aligned.rows(layout.region(shard)[1]))


def measures_of(unit: Unit, stage: str) -> Mapping[str, Any]:
    """What a stage of one unit measured of the scan, from its receipt."""
    receipt = unit.source(stage).receipt("scan")
    assert receipt is not None
    return receipt["measures"]  # type: ignore[no-any-return]


def _grid(output: Any) -> Grid:
    return Grid(output.read("energy_ev"), output.read("y_um"), output.read("x_um"))


def _unmoved(n: int) -> Shifts:
    return Shifts(np.zeros((n, 2)), np.full(n, np.nan), np.zeros(n, dtype=bool), 0)


def _transmissions(unit: Unit, absorbance: Output, i0: Array) -> Sequence[Any]:
    """Frames to resample: counts over the incident beam where there are any, because zero counts have no logarithm."""
    if unit.part["modality"] != "stxm":
        return MappedFrames(StoredFrames(absorbance, "optical_density"), lambda od, energy: np.exp(-od))
    free = absorbance.read("particle_free").astype(bool)
    frames = CorrectedFrames(
        unit.source("ingest"), unit.part["detector"], ring=unit.part["ring"], free=free if free.any() else None
    )
    leak = unit.part["leak_fraction"]

    def transmission(counts: Array, energy: int) -> Array:
        over_beam = counts / np.float32(i0[energy])
        return remove_leak(over_beam, leak) if leak else over_beam

    return MappedFrames(frames, transmission)


STAGE = Stage(
    name=NAME,
    version=5,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    worker_bytes=560_000_000,
)
