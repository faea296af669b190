"""Register: a ptychography scan is placed on the wide-field scan of the same region, particle on particle."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage.tables import read_table, write_table
from stxmdist.arrays import Array, MaskClass
from stxmdist.crossmodal.pairs import onto_fixed, pair_particles
from stxmdist.crossmodal.register import RegisterOptions, Registration, register
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard

NAME = "register"

OD_PER_UNIT = {"nm": 0.01, "1": 1.0}
"""What thickness is turned into before blurring, by the unit of the maps: about the optical density at the white line
of a nanometre, or of a reference sample."""

LEAST_OD = 0.2
"""Where less absorbs there is no state of charge to compare."""


@dataclass(frozen=True)
class Options:
    """How the two images are brought together."""

    register: RegisterOptions = field(default_factory=RegisterOptions)
    """How far to search, and when to refuse."""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The maps and particles of both scans of the pair."""
    return tuple((stage, name) for name in (scan_id, survey.pairs[scan_id]) for stage in ("fit", "segment"))


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans that have a partner."""
    return scan_id in survey.pairs


def identity(survey: Survey, scan_id: str) -> Any:
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
                part={"stxm": stxm_id},
                estimate=Estimate(bytes_of(arrays), peak_bytes=pixels * 200, core_seconds=1.0 + pixels * 2e-5),
            )
        )
    return Plan(tuple(units))


def work(unit: Unit) -> Outcome:
    """Register one pair, and pair its particles."""
    options: Options = unit.options
    stxm_id = unit.part["stxm"]
    stxm, ptychography = unit.source("fit", stxm_id), unit.source("fit")
    stxm_axes = stxm.read("y_um"), stxm.read("x_um")
    ptychography_axes = ptychography.read("y_um"), ptychography.read("x_um")
    found = register(_total(stxm), stxm_axes, _total(ptychography), ptychography_axes, options.register)
    labels = unit.source("segment", stxm_id).read("labels"), unit.source("segment").read("labels")
    pairs = pair_particles(labels[0], stxm_axes, labels[1], ptychography_axes, found)
    if not found.accepted:
        pairs = pairs.iloc[:0]
    pairs = _with_states_of_charge(pairs, unit, stxm_id)

    write = ShardWriter(unit)
    write("soc_ptychography_on_stxm", (0, 0), _carried(ptychography, ptychography_axes, stxm_axes, found, options))
    for path in write_table(pairs, write.output.path / "pairs.parquet", "pairs"):
        write.keep(path)
    return write.outcome(
        {
            "stxm": stxm_id,
            "accepted": found.accepted,
            "reason": found.reason,
            "matrix_um": found.matrix,
            "shift_um": list(found.shift_um),
            "rotation_deg": found.rotation_deg,
            "scale": found.scale,
            "error_um": found.error_um,
            "correlation": found.score,
            "pairs": len(pairs),
        }
    )


def _total(fit: Any) -> Array:
    thickness = fit.read("thickness_nm").sum(axis=0) * _od_per_unit(fit)
    unknown = np.isin(fit.read("mask_class"), (MaskClass.missing, MaskClass.outside))
    return np.where(unknown, np.nan, thickness)


def _od_per_unit(fit: Any) -> float:
    return OD_PER_UNIT[fit.attrs("thickness_nm")["units"]]


def _carried(fit: Any, axes: Any, stxm_axes: Any, found: Registration, options: Options) -> Array:
    """State of charge of ptychography as the wide field would show it; NaN outside or where not registered."""
    if not found.accepted:
        return np.full((len(stxm_axes[0]), len(stxm_axes[1])), np.nan, np.float32)
    sigma_um = 1e-3 * float(np.sqrt(options.register.psf_sigma_nm**2 - options.register.moving_psf_sigma_nm**2))
    unknown = np.isin(fit.read("mask_class"), (MaskClass.missing, MaskClass.outside))
    thickness = np.where(unknown, np.nan, fit.read("thickness_nm"))
    discharged, charged = onto_fixed(thickness, axes, stxm_axes, found, sigma_um)
    total = discharged + charged
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total * _od_per_unit(fit) > LEAST_OD, charged / total, np.nan).astype(np.float32)


def _with_states_of_charge(pairs: Any, unit: Unit, stxm_id: str) -> Any:
    joined = pairs
    for modality, scan_id in (("stxm", stxm_id), ("ptychography", unit.scan_id)):
        table = read_table(unit.source("segment", scan_id).path / "particles.parquet")
        columns = table[["particle_id", "soc_mean", "soc_se", "d_eq_um"]].add_suffix(f"_{modality}")
        joined = joined.merge(columns, on=f"particle_id_{modality}", how="left")
        joined.insert(0, f"scan_id_{modality}", scan_id)
    return joined


STAGE = Stage(
    name=NAME,
    version=1,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    worker_bytes=700_000_000,
)
