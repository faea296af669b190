"""React: a region seen at two times gives the rate at which each of its pixels and particles reacted."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from storage.output import Output
from storage.tables import read_table, write_table
from stxmdist.arrays import Mask, MaskClass
from stxmdist.crossmodal.pairs import OD_PER_UNIT, pair_particles, total_thickness
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.crossmodal.register import RegisterOptions, register
from stxmdist.crossmodal.second_state import state_of, state_onto
from stxmdist.crossmodal.transform import Axes, Registration
from stxmdist.heterogeneity.reaction import RateMap, rate_map
from stxmdist.heterogeneity.reaction_rows import CONDITION_COLUMNS, SeenTwice, partners, reaction_rows
from stxmdist.measures import AlignMeasures, ReactMeasures
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.planning.conditions import Condition, conditions_of
from stxmdist.planning.grid import grid_of
from stxmdist.planning.reactions import ReactionPairOptions, hours_between, why_no_pair
from stxmdist.planning.survey import Stage, Survey
from stxmdist.planning.tables import table_specs
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.stages.inputs.measured import measured

NAME = "react"

PATCH_SIGMAS = 4.0
"""Pixels further apart than so many sigmas of the point spread function are blurred by different parts of it."""


@dataclass(frozen=True)
class Options(ReactionPairOptions):
    """How a region is recognised at the later time."""

    register: RegisterOptions = field(default_factory=RegisterOptions)
    """How far to search, and when to refuse."""


@dataclass(frozen=True)
class ReactPart:
    """Which two scans a unit compares; its own is the later one."""

    before_id: str
    hours: float
    conditions: dict[str, Condition]
    psf_sigma_nm: float


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The maps and particles of both scans, and how alike the noise of the later one's pixels is."""
    both = (scan_id, survey.reactions[scan_id])
    return (*((stage, name) for name in both for stage in ("fit", "segment")), ("align", scan_id))


def concerns(survey: Survey, scan_id: str) -> bool:
    """Scans of a region that was seen before."""
    return scan_id in survey.reactions


def identity(survey: Survey, scan_id: str) -> Json:
    """Which two scans, and the time between."""
    before = survey.reactions[scan_id]
    return [scan_id, before, _hours(survey, before, scan_id)]


def _hours(survey: Survey, before: str, after: str) -> float:
    return hours_between(survey.scans[before], survey.scans[after])


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each two consecutive scans of a region, under the name of the later one."""
    units = []
    for scan_id, before_id in survey.reactions.items():
        if not survey.ready(NAME, scan_id):
            continue
        grid, later = grid_of(survey, before_id), grid_of(survey, scan_id)
        image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
        names = ("reaction_rate_per_h", "reaction_rate_se_per_h")
        arrays = tuple(single_shard(name, (grid.ny, grid.nx), image) for name in names)
        pixels = grid.ny * grid.nx + later.ny * later.nx
        hours, modality = _hours(survey, before_id, scan_id), survey.scans[scan_id].modality
        wanted = {column.name for column in CONDITION_COLUMNS}
        known = {name: value for name, value in conditions_of(survey, scan_id).items() if name in wanted}
        psf = survey.options_of("segment", MicroscopePsf, scan_id)
        units.append(
            survey.unit(
                NAME,
                scan_id,
                "scan",
                owns=all_shards(arrays),
                arrays=arrays,
                part=ReactPart(
                    before_id,
                    hours,
                    known | {"scan_id_before": before_id, "hours": hours},
                    psf.sigma_nm(modality),
                ),
                estimate=Estimate(bytes_of(arrays), peak_bytes=pixels * 400, core_seconds=1.0 + pixels * 4e-5),
            )
        )
    return Plan(tuple(units), tuple(_not_comparable(survey)))


def _not_comparable(survey: Survey) -> Iterator[Refusal]:
    """Scans for which somebody named an earlier one that it cannot be."""
    for scan_id, before_id in survey.named_before.items():
        why = why_no_pair(survey.scans.get(before_id), survey.scans[scan_id])
        if why:
            yield Refusal(
                scan_id=scan_id,
                unit="scan",
                where="react.before",
                problem=f"the scan cannot be compared with the earlier one that is named: {why}",
                got=before_id,
                wanted="a scan of the same modality with an earlier time_h",
                mend="Correct react.before or time_h in the sample sheet",
            )


def work(unit: Unit[Options, ReactPart]) -> Outcome:
    """Compare one region with what it was before."""
    part = unit.part
    first, later = unit.source("fit", part.before_id), unit.source("fit")
    particles_first, particles_later = unit.source("segment", part.before_id), unit.source("segment")
    axes, later_axes = _axes(first), _axes(later)
    found = register(_total_od(first), axes, _total_od(later), later_axes, unit.options.register)
    labels = np.maximum(particles_first.read("labels"), 0)
    seen = _seen_twice(unit, found, labels, axes, later_axes)
    pairs = pair_particles(labels, axes, particles_later.read("labels"), later_axes, found)
    # What is parted at one of both times is not the same particle.
    pairs = pairs[pairs["relation"] == "one-to-one"]
    followed = partners(pairs["particle_id_stxm"].to_numpy(), pairs["particle_id_ptychography"].to_numpy())
    refused = "" if found.accepted else f"the region was not recognised: {found.reason}"
    before, after = (read_table(output.path / "particles.parquet") for output in (particles_first, particles_later))
    rows = reaction_rows(seen, before, after, followed if found.accepted else {}, refused)
    table = rows.assign(**part.conditions)

    write = ShardWriter(unit)
    write("reaction_rate_per_h", (0, 0), seen.rate.rate_per_h.astype(np.float32))
    write("reaction_rate_se_per_h", (0, 0), np.sqrt(seen.rate.variance).astype(np.float32))
    for path in write_table(table, write.output.path / "reactions.parquet", table_specs()["reactions"]):
        write.keep(path)
    return write.outcome(
        ReactMeasures(
            before=part.before_id,
            hours=part.hours,
            accepted=found.accepted,
            reason=found.reason,
            shift_um=np.array(found.shift_um),
            error_um=found.error_um,
            particles_before=len(before),
            particles_followed=len(followed) if found.accepted else 0,
        )
    )


def _seen_twice(
    unit: Unit[Options, ReactPart], found: Registration, labels: np.ndarray, axes: Axes, later_axes: Axes
) -> SeenTwice:
    """Both states on the grid of the earlier scan; nothing is known where the registration was refused."""
    part, first, later = unit.part, unit.source("fit", unit.part.before_id), unit.source("fit")
    correlation = measured(unit, AlignMeasures, "align").noise_correlation_px2
    before = state_of(*_fitted(first))
    after = state_onto(*_fitted(later), later_axes, axes, found, correlation)
    pixel_nm = pixel_pitch_nm(*axes)
    sigma_px = 1e3 * found.error_um / pixel_nm / np.sqrt(2.0) if found.accepted else 0.0
    rate = rate_map(before.soc, before.variance, after.soc, after.variance, part.hours, sigma_px)
    valid = unit.source("segment", part.before_id).read("mask_class") == MaskClass.valid
    valid &= _valid_later(unit.source("segment"), found, axes, later_axes) & found.accepted & (labels > 0)
    rate = RateMap(*(np.where(valid, part_of, np.nan) for part_of in (rate.rate_per_h, rate.variance)))
    block_px = max(PATCH_SIGMAS * part.psf_sigma_nm / pixel_nm, np.sqrt(correlation))
    return SeenTwice(labels, valid, before.soc, before.variance, rate, part.hours, block_px)


def _valid_later(particles: Output, found: Registration, axes: Axes, later_axes: Axes) -> Mask:
    """(Y, X) where the nearest pixel of the later scan is away from edges."""
    valid = particles.read("mask_class") == MaskClass.valid
    y, x = found.inverse(*np.meshgrid(*axes, indexing="ij"))
    row, column = (
        np.round((at - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
        for at, axis in zip((y, x), later_axes, strict=True)
    )
    inside = (row >= 0) & (row < valid.shape[0]) & (column >= 0) & (column < valid.shape[1])
    return np.asarray(inside & valid[np.where(inside, row, 0), np.where(inside, column, 0)])


def _fitted(fit: Output) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fit.read("thickness_nm"), fit.read("thickness_covariance"), fit.read("mask_class")


def _axes(fit: Output) -> Axes:
    return fit.read("y_um"), fit.read("x_um")


def _total_od(fit: Output) -> np.ndarray:
    """Optical density (Y, X) of all material, about, which a reaction leaves as it is."""
    unit = OD_PER_UNIT[fit.attrs("thickness_nm")["units"]]
    return total_thickness(fit.read("thickness_nm"), fit.read("mask_class")) * unit


STAGE = Stage(
    name=NAME,
    version=1,
    options=Options,
    measures=ReactMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    worker_bytes=700_000_000,
)
