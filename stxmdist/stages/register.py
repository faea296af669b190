"""Register: a ptychography scan is placed on the wide-field scan of the same region, particle on particle."""

from dataclasses import dataclass, field, replace

import numpy as np

from storage.output import Output
from storage.tables import read_table, write_table
from stxmdist.arrays import Real
from stxmdist.crossmodal.fuse import Fused, ThicknessMaps, fuse, interior_thickness
from stxmdist.crossmodal.pairs import (
    LEAST_OD,
    OD_PER_UNIT,
    known_thickness,
    pair_particles,
    soc_onto_fixed,
    total_thickness,
    with_measurements,
)
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.crossmodal.register import RegisterOptions, register
from stxmdist.crossmodal.transform import Axes, Registration
from stxmdist.measures import RegisterMeasures
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard

NAME = "register"

THICKNESS = ("thickness_nm", "mask_class")
"""What says how thick either end-member is, and where that is not known"""


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
    seed: int
    """Of the maps that are drawn for the error of the fused one"""


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
        fine_image = {"fine_y": (fine.y_um, "um"), "fine_x": (fine.x_um, "um")}
        fused = (single_shard(name, (fine.ny, fine.nx), fine_image) for name in ("fused_soc", "fused_soc_se"))
        arrays = (single_shard("soc_ptychography_on_stxm", (grid.ny, grid.nx), image), *fused)
        pixels = grid.ny * grid.nx + fine.ny * fine.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                "pair",
                owns=all_shards(arrays),
                arrays=arrays,
                part=RegisterPart(stxm_id, _psf_of(survey, scan_id, stxm_id), survey.campaign.seed),
                estimate=Estimate(bytes_of(arrays), peak_bytes=pixels * 300, core_seconds=2.0 + pixels * 5e-5),
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
    fused = _fused(unit, stxm, ptychography, found)
    write("fused_soc", (0, 0), fused.soc)
    write("fused_soc_se", (0, 0), fused.soc_se)
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
            pairs=pairs["group_id"].nunique(),
            shear=found.shear,
            drift_nm=1e3 * float(np.hypot(*found.drift_um.T).max(initial=0.0)),
            landmarks=found.n_landmarks,
            found_by=found.found_by,
            fused_chi2=fused.chi2 if np.isfinite(fused.chi2) else None,
        )
    )


def _fused(unit: Unit[Options, RegisterPart], stxm: Output, ptychography: Output, found: Registration) -> Fused:
    """The map of both; without numbers where the registration was refused."""
    maps = [
        ThicknessMaps(known(*(fit.read(name) for name in THICKNESS)), fit.read("thickness_covariance"), _axes(fit))
        for fit, known in ((stxm, interior_thickness), (ptychography, known_thickness))
    ]
    if not found.accepted:
        nothing = np.full(maps[1].thickness.shape[1:], np.nan, np.float32)
        return Fused(nothing, nothing, float("nan"))
    rng = np.random.default_rng([unit.part.seed, *unit.scan_id.encode()])
    least = LEAST_OD / _od_per_unit(ptychography)
    return fuse(maps[0], maps[1], found, unit.part.psf.matching_blur_nm(), rng, least_thickness=least)


def _axes(fit: Output) -> Axes:
    return fit.read("y_um"), fit.read("x_um")


def _od_per_unit(fit: Output) -> float:
    return OD_PER_UNIT[fit.attrs("thickness_nm")["units"]]


def _total_od(fit: Output) -> Real:
    """Optical density (Y, X) at the white line, about, of all material of a scan; NaN where nothing was measured."""
    return total_thickness(fit.read("thickness_nm"), fit.read("mask_class")) * _od_per_unit(fit)


STAGE = Stage(
    name=NAME,
    version=4,
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
