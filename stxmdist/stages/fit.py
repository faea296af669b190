"""Fit: the transmission spectrum of every pixel becomes thicknesses of the end-members, with covariance and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

import numpy as np

from storage.layout import ArrayPlan
from storage.schema import ArraySpec
from stxmdist.arrays import F32, U8
from stxmdist.measures import FitMeasures
from stxmdist.planning.end_members import (
    EndMemberSource,
    end_member_source,
    identity_of_end_members,
    upstream_of_end_members,
)
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey, Upstream, scans_to_fit
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, bytes_of
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions, FittedMap
from stxmdist.spectra.fitting.block import FittedBlock, StackBlock, fit_block, merged_measures
from stxmdist.spectra.fitting.model import FitChoices
from stxmdist.stages.inputs.spectral_model import spectral_model

NAME = "fit"

PIXELS_PER_UNIT = 65536
"""A block of so many pixels takes a second or less, and 100 energies of it fit into 30 MB"""


@dataclass(frozen=True)
class Options(FitChoices):
    """How pixels are fitted."""

    fit: FitOptions = field(default_factory=FitOptions)
    """How the fitter iterates and weighs"""
    rows_per_unit: int = 0
    """Rows of pixels in one unit; 0 lets the size of the image decide."""


@dataclass(frozen=True)
class FitPart:
    """Which pixels a unit fits, and with what."""

    first_row: int
    end_row: int
    """One beyond the last"""
    block: int
    """Number of the block of rows: its place among the shards"""
    modality: str
    end_members: EndMemberSource


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Fit reads the aligned stack, and where its end-members are found by exploring, what was found."""
    return (("align", scan_id), *upstream_of_end_members(survey, scan_id))


def identity(survey: Survey, scan_id: str) -> Json:
    """The end-members."""
    return identity_of_end_members(survey, scan_id)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each block of rows of each scan."""
    units: list[Unit[object, FitPart]] = []
    for scan_id in survey.scans:
        if survey.ready(NAME, scan_id):
            units += _units(survey, scan_id)
    return Plan(tuple(units))


def rows_per_unit(grid: Grid, options: Options) -> int:
    """How many rows of an image one unit fits."""
    return min(grid.ny, options.rows_per_unit or max(1, PIXELS_PER_UNIT // grid.nx))


def _units(survey: Survey, scan_id: str) -> list[Unit[object, FitPart]]:
    options = survey.options_of(NAME, Options, scan_id)
    grid = grid_of(survey, scan_id)
    rows = rows_per_unit(grid, options)
    source = end_member_source(survey, scan_id)
    modality = survey.scans[scan_id].modality
    arrays = arrays_of(grid, rows, source.thickness_unit or "nm", FITTERS[options.fitter_of(modality)].maps)
    n_energy = len(grid.energy_ev)
    units = []
    for block in range(ceil(grid.ny / rows)):
        part = FitPart(block * rows, min((block + 1) * rows, grid.ny), block, modality, source)
        n_rows = part.end_row - part.first_row
        pixels = n_rows * grid.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                f"rows-{part.first_row:05d}-{part.end_row:05d}",
                part,
                owns={plan.name: ((*([0] * (len(plan.shape) - 2)), block, 0),) for plan in arrays},
                arrays=arrays,
                estimate=Estimate(
                    bytes_out=bytes_of(arrays) * n_rows // grid.ny,
                    peak_bytes=pixels * (3 * n_energy + 60) * 4,
                    core_seconds=0.1 + pixels * n_energy * 4e-8,
                ),
            )
        )
    return units


IN_REFERENCES = {
    "thickness_nm": "thickness of (discharged, charged) material in reference samples, not in nm",
    "thickness_covariance": "covariance of the two thicknesses, in reference samples: 00, 01, 11",
}
"""The meaning of arrays with nm in their name, where thickness is counted in reference samples instead"""


def arrays_of(
    grid: Grid, rows: int, thickness_unit: Literal["nm", "reference"] = "nm", maps: Sequence[FittedMap] = ()
) -> tuple[ArrayPlan, ...]:
    """What fit leaves for images on this grid; ``maps`` are those of the fitter alone."""
    image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    components = image | {"component": (["discharged", "charged"], "")}

    def planned(name: str, leading: int = 0, spec: ArraySpec | None = None) -> ArrayPlan:
        front = (leading,) if leading else ()
        shape, shard = (*front, grid.ny, grid.nx), (*front, rows, grid.nx)
        coords = components if name == "thickness_nm" else image
        relative = thickness_unit == "reference" and name in IN_REFERENCES
        about = {"units": "1", "long_name": IN_REFERENCES[name]} if relative else {}
        return ArrayPlan(name, shape, shard, None, coords, about, spec=spec)

    return (
        planned("thickness_nm", 2),
        planned("thickness_covariance", 3),
        *(planned(name) for name in ("background", "soc", "soc_se", "chi2_reduced", "mask_class")),
        *(planned(one.name, spec=spec_of(one)) for one in maps),
    )


def spec_of(fitted: FittedMap) -> ArraySpec:
    """What the store is told of a map that one fitter leaves."""
    return ArraySpec(fitted.name, ("y", "x"), "float32", fitted.unit, fitted.meaning)


def work(unit: Unit[Options, FitPart]) -> Outcome:
    """Fit one block of rows."""
    options, part, align = unit.options, unit.part, unit.source("align")
    fitter = options.fitter_of(part.modality)
    model = spectral_model(unit.scan_id, align, part.end_members, options.model_options(part.modality))
    rows = slice(part.first_row, part.end_row)
    wants_phase = FITTERS[fitter].wants_phase and "phase" in align.arrays()
    block = StackBlock(
        transmission=align.read("transmission", (slice(None), rows, slice(None))),
        aligned_class=align.read("aligned_class", (rows, slice(None))),
        phase=align.read("phase", (slice(None), rows, slice(None))) if wants_phase else None,
    )
    fitted = fit_block(block, model, fitter, options.fit, options.classes, threads_lent())
    write = ShardWriter(unit)
    for name, values in _images(fitted).items():
        write(name, (*([0] * (values.ndim - 2)), part.block, 0), np.ascontiguousarray(values))
    return write.outcome(fitted.measures)


def _images(fitted: FittedBlock) -> Mapping[str, F32 | U8]:
    """Arrays of the store by name, with the rows of a block."""
    return {
        "thickness_nm": fitted.thickness,
        "thickness_covariance": fitted.covariance,
        "background": fitted.background,
        "soc": fitted.soc,
        "soc_se": fitted.soc_se,
        "chi2_reduced": fitted.chi2_reduced,
        "mask_class": fitted.mask_class,
        **fitted.maps,
    }


def finish(survey: Survey, measured: Mapping[str, Sequence[FitMeasures]]) -> Mapping[str, FitMeasures]:
    """Quality figures of each scan: those of its blocks, weighted by their valid pixels."""
    return {scan_id: merged_measures(blocks) for scan_id, blocks in measured.items()}


STAGE = Stage(
    name=NAME,
    version=11,
    options=Options,
    measures=FitMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=scans_to_fit,
    identity=identity,
    finish=finish,
    worker_bytes=680_000_000,
)
