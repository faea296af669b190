"""Register: a ptychography scan is placed on the wide-field scan of the same region, particle on particle."""

from dataclasses import dataclass, field, replace

import numpy as np

from storage.output import Output
from storage.tables import read_table, write_table
from stxmdist.arrays import Real
from stxmdist.crossmodal.pairs import OD_PER_UNIT, pair_particles, soc_onto_fixed, total_thickness, with_measurements
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.crossmodal.register import Axes, RegisterOptions, register
from stxmdist.measures import RegisterMeasures
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard

NAME = "register"


@dataclass(frozen=True)
class Options:
    """How the two images are brought together."""

    register: RegisterOptions = field(default_factory=RegisterOptions)
    """How far to search, and when to refuse."""


@dataclass(frozen=True)
class RegisterPart:
    """Which pair a unit registers."""

    stxm_id: str
    """The wide-field scan; the unit's own is the ptychography scan"""
    psf: MicroscopePsf
    """How sharp both scans are: as segment's options describe it"""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The maps and particles of both scans of the pair."""
    return tuple((stage, name) for name in (scan_id, survey.pairs[scan_id]) for stage in ("fit", "segment"))


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans that have a partner."""
    return scan_id in survey.pairs


def identity(survey: Survey, scan_id: str) -> Json:
    """Which two scans."""
    return [scan_id, survey.pairs[scan_id]]


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each pair, under the name of its ptychography scan."""
    units = []
    for scan_id, stxm_id in survey.pairs.items():
        if not survey.ready(NAME, scan_id):
            continue
        grid, fine = grid_of(survey, stxm_id), grid_of(survey, scan_id)
        image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
        arrays = (single_shard("soc_ptychography_on_stxm", (grid.ny, grid.nx), image),)
        pixels = grid.ny * grid.nx + fine.ny * fine.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                "pair",
                owns=all_shards(arrays),
                arrays=arrays,
                part=RegisterPart(stxm_id, _psf_of(survey, scan_id, stxm_id)),
                estimate=Estimate(bytes_of(arrays), peak_bytes=pixels * 200, core_seconds=1.0 + pixels * 2e-5),
            )
        )
    return Plan(tuple(units))


def _psf_of(survey: Survey, scan_id: str, stxm_id: str) -> MicroscopePsf:
    """Each scan of a pair says its own part: the wide-field scan the zone plate, the other one its sharpness."""
    wide: MicroscopePsf = survey.options_of("segment", MicroscopePsf, stxm_id)
    fine: MicroscopePsf = survey.options_of("segment", MicroscopePsf, scan_id)
    return replace(wide, psf_sigma_ptychography_nm=fine.psf_sigma_ptychography_nm)


def work(unit: Unit[Options, RegisterPart]) -> Outcome:
    """Register one pair, and pair its particles."""
    stxm_id = unit.part.stxm_id
    blur_nm = unit.part.psf.matching_blur_nm()
    stxm, ptychography = unit.source("fit", stxm_id), unit.source("fit")
    wide, fine = unit.source("segment", stxm_id), unit.source("segment")
    axes, fine_axes = _axes(stxm), _axes(ptychography)
    found = register(_total_od(stxm), axes, _total_od(ptychography), fine_axes, unit.options.register, blur_nm=blur_nm)
    pairs = pair_particles(wide.read("labels"), axes, fine.read("labels"), fine_axes, found)
    tables = {
        "stxm": (stxm_id, read_table(wide.path / "particles.parquet")),
        "ptychography": (unit.scan_id, read_table(fine.path / "particles.parquet")),
    }
    pairs = with_measurements(pairs if found.accepted else pairs.iloc[:0], tables)
    soc = soc_onto_fixed(
        ptychography.read("thickness_nm"),
        ptychography.read("mask_class"),
        fine_axes,
        axes,
        found,
        blur_nm=blur_nm,
        od_per_unit=_od_per_unit(ptychography),
    )

    write = ShardWriter(unit)
    write("soc_ptychography_on_stxm", (0, 0), soc)
    for path in write_table(pairs, write.output.path / "pairs.parquet", "pairs"):
        write.keep(path)
    return write.outcome(
        RegisterMeasures(
            stxm=stxm_id,
            accepted=found.accepted,
            reason=found.reason,
            matrix_um=found.matrix,
            shift_um=np.array(found.shift_um),
            rotation_deg=found.rotation_deg,
            scale=found.scale,
            error_um=found.error_um,
            correlation=found.score,
            pairs=len(pairs),
        )
    )


def _axes(fit: Output) -> Axes:
    return fit.read("y_um"), fit.read("x_um")


def _od_per_unit(fit: Output) -> float:
    return OD_PER_UNIT[fit.attrs("thickness_nm")["units"]]


def _total_od(fit: Output) -> Real:
    """Optical density (Y, X) at the white line, about, of all material of a scan; NaN where nothing was measured."""
    return total_thickness(fit.read("thickness_nm"), fit.read("mask_class")) * _od_per_unit(fit)


STAGE = Stage(
    name=NAME,
    version=2,
    options=Options,
    measures=RegisterMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    moved_options={
        "register.psf_sigma_nm": "Describe the zone plate once for all stages: outer_zone_nm and central_stop_fraction "
        "under stages: segment",
        "register.moving_psf_sigma_nm": "Give psf_sigma_ptychography_nm under stages: segment, once for all stages",
    },
    worker_bytes=700_000_000,
)
