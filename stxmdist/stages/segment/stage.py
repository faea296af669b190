"""Segment: maps of thickness and state of charge become labelled particles, one row of numbers for each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from storage.tables import write_table
from stxmdist.arrays import Mask
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures, SegmentMeasures
from stxmdist.particles.ledger import ledger_of
from stxmdist.particles.table import OVERLAP, PARTED
from stxmdist.planning.columns import column
from stxmdist.planning.conditions import Condition, conditions_of, with_conditions
from stxmdist.planning.end_members import (
    EndMemberSource,
    end_member_source,
    identity_of_end_members,
    upstream_of_end_members,
)
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey, scans_to_fit
from stxmdist.planning.tables import NULL_BANDS, table_specs
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.checks.component_count import COUNTING_BYTES, PixelBlock, ReadPixels
from stxmdist.spectra.fitting.model import FitChoices, SpectralModel, without_pre_edge
from stxmdist.spectra.fitting.unfitted_film import unfitted_film_map
from stxmdist.stages.inputs.measured import measured
from stxmdist.stages.inputs.spectral_model import spectral_model
from stxmdist.stages.segment.describe import FittedScan, counted, described, outlined
from stxmdist.stages.segment.options import Options
from stxmdist.stages.segment.phase import thickness_phase
from stxmdist.stages.segment.systematic import soc_effect_of_corrections

NAME = "segment"


@dataclass(frozen=True)
class SegmentPart:
    """What the unit of a scan knows of it from the plan."""

    references: EndMemberSource
    """Where the scan's end-members come from"""
    fit: FitChoices
    conditions: Mapping[str, Condition]
    """Columns of the sample sheet"""
    modality: str


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Segment reads the maps of the fit, and what their errors rest on."""
    return (("fit", scan_id), ("align", scan_id), ("absorbance", scan_id), *upstream_of_end_members(survey, scan_id))


def identity(survey: Survey, scan_id: str) -> Json:
    """The conditions that go into the table, and the end-members."""
    return {"conditions": conditions_of(survey, scan_id)} | identity_of_end_members(survey, scan_id)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    units = []
    for scan_id, scan in survey.scans.items():
        if not survey.ready(NAME, scan_id):
            continue
        grid = grid_of(survey, scan_id)
        image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
        arrays = (
            single_shard("labels", (grid.ny, grid.nx), image),
            # The classes of the fit, with edges: only here is known where the outlines are.
            single_shard("mask_class", (grid.ny, grid.nx), image),
        )
        pixels = grid.ny * grid.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                "scan",
                owns=all_shards(arrays),
                arrays=arrays,
                part=SegmentPart(
                    references=end_member_source(survey, scan_id),
                    fit=survey.options_of("fit", FitChoices, scan_id),
                    conditions=conditions_of(survey, scan_id),
                    modality=scan.modality,
                ),
                estimate=Estimate(
                    bytes_of(arrays),
                    peak_bytes=pixels * 300
                    + len(grid.energy_ev) * COUNTING_BYTES
                    + options.peak_bytes(scan.modality, grid.pixel_nm, (grid.ny, grid.nx)),
                    core_seconds=0.5 + pixels * (1e-5 + len(grid.energy_ev) * 2e-7),
                ),
            )
        )
    return Plan(tuple(units))


def work(unit: Unit[Options, SegmentPart]) -> Outcome:
    """Find the particles of one scan and describe them."""
    options, part = unit.options, unit.part
    model = spectral_model(unit.scan_id, unit.source("align"), part.references, part.fit.model_options(part.modality))
    scan = fitted_scan(unit, model)
    film = unfitted_film_map(_pixels_of(unit, model), scan.soc.shape, model)
    scan = replace(scan, unfitted_film=film)
    found = outlined(scan, model, options, part.fit.classes)
    known_share = measured(unit, AlignMeasures, "align").known_share
    count = counted(scan, found, model, partial(_pixels_of, unit), options.components, known_share)
    description = described(scan, found, model, options, part.fit.classes, count)
    third = description.third
    table = with_conditions(description.particles, part.conditions)
    bands = description.null_bands.assign(scan_id=unit.scan_id)
    before = measured(unit, AbsorbanceMeasures, "absorbance")
    ledger = ledger_of(found.labels, found.mask_class, column(table, "soc_mean"), list(table["flags"]))

    write = ShardWriter(unit)
    write("labels", (0, 0), found.labels)
    write("mask_class", (0, 0), found.mask_class)
    for name, rows in (("particles", table), (NULL_BANDS, bands)):
        for path in write_table(rows, write.output.path / f"{name}.parquet", table_specs()[name]):
            write.keep(path)
    return write.outcome(
        SegmentMeasures(
            particles=len(table),
            particles_at_border=int(table["touches_border"].sum()),
            cover=float((found.labels > 0).mean()),
            particles_with_soc=ledger.particles_with_soc,
            particles_without_soc=ledger.particles_without_soc,
            pixels_of_field=ledger.pixels_of_field,
            pixels_of_particles=ledger.pixels_of_particles,
            psf_sigma_nm=found.psf_sigma_nm,
            soc_mean=float(table["soc_mean"].mean()) if len(table) else None,
            thickness_unit=model.end_members.thickness_unit,
            soc_effect=soc_effect_of_corrections(before.mean_od, before.mean_od_without, model),
            missing_component=count.said,
            particles_missing_component=count.missing,
            particles_looked_into=int(np.isfinite(count.missing_share).sum()),
            missing_spectrum_od=count.missing_od,
            particles_wanting_constant=count.wanting.get("constant"),
            particles_wanting_power_law=count.wanting.get("power_law"),
            third_phase="" if third is None else third.said(len(model.energy_ev)),
            third_phase_not_excluded=third is not None and third.not_excluded,
            overlaps_suspected=sum(OVERLAP in words and PARTED not in words for words in table["flags"]),
            plates_parted=sum(PARTED in words for words in table["flags"]),
        )
    )


def fitted_scan(unit: Unit[Options, SegmentPart], model: SpectralModel) -> FittedScan:
    """The maps that the fit left, and what their errors rest on."""
    fit, absorbance = unit.source("fit"), unit.source("absorbance")
    i0_relative_variance = absorbance.read("i0_variance") / absorbance.read("i0_counts") ** 2
    return FittedScan(
        y_um=fit.read("y_um"),
        x_um=fit.read("x_um"),
        thickness_nm=fit.read("thickness_nm"),
        thickness_covariance=fit.read("thickness_covariance"),
        soc=fit.read("soc"),
        soc_se=fit.read("soc_se"),
        chi2_reduced=fit.read("chi2_reduced"),
        mask_class=fit.read("mask_class"),
        noise_correlation_px2=measured(unit, AlignMeasures, "align").noise_correlation_px2,
        i0_relative_variance=i0_relative_variance[model.used],
        modality=unit.part.modality,
        background=fit.read("background"),
        scan_id=unit.scan_id,
        phase_rad=thickness_phase(absorbance, unit.source("align"), model.design, model.used),
    )


def _pixels_of(unit: Unit[Options, SegmentPart], model: SpectralModel) -> ReadPixels:
    """Reads some rows of the aligned stack, and what was fitted to it."""
    align, fit = unit.source("align"), unit.source("fit")

    def read(rows: slice, chosen: Mask) -> PixelBlock:
        stack = align.read("transmission", (slice(None), rows, slice(None)))
        used = stack.reshape(len(stack), -1)[model.used][:, chosen]
        transmission, level = without_pre_edge(used, model.before_edge)
        thickness = fit.read("thickness_nm", (slice(None), rows, slice(None))).reshape(2, -1)[:, chosen]
        background = fit.read("background", (rows, slice(None))).ravel()[chosen]
        return PixelBlock(transmission, thickness, background, level)

    return read


STAGE = Stage(
    name=NAME,
    version=41,
    options=Options,
    measures=SegmentMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=scans_to_fit,
    identity=identity,
    worker_bytes=700_000_000,
)
