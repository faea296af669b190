"""Stitch: the tiles of a scan at one energy are brought to one phase gauge, blended, and laid on the scan's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.errors import InputError
from stxmdist.measures import StitchFigures, StitchMeasures
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.cost import stitch_core_seconds, stitch_peak_bytes
from stxmdist.ptychography.grid import scan_grid
from stxmdist.ptychography.options import ReconstructOptions
from stxmdist.ptychography.stitch import half_in_gauge, on_grid, solve_gauge
from stxmdist.ptychography.tile_measures import stitch_figures, stitch_measures
from stxmdist.ptychography.tiling import tiling_of
from stxmdist.ptychography.verdict import VERDICTS
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, bytes_of
from stxmdist.stages.inputs.tiles import geometry_of, tile_images

NAME = "stitch"


@dataclass(frozen=True)
class Options:
    """Which pixels of a tile count."""

    gauge_illumination: float = 0.3
    """Tiles are compared where both have more than this share of their usual illumination"""
    blend_illumination: float = 0.1
    """Pixels with less than this share are left unknown"""


@dataclass(frozen=True)
class StitchPart:
    """One energy of a scan, and how the scan was cut into tiles."""

    energy: int
    """Its place along the scan's energies"""
    positions_per_tile: int
    halo_um: float


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The tiles, and the positions that say where they lie."""
    return (("reconstruct", scan_id), ("ingest", scan_id))


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans."""
    return survey.scans[scan_id].modality == "ptychography"


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each energy of each scan."""
    units: list[Unit[object, StitchPart]] = []
    for scan in survey.of_modality("ptychography"):
        if survey.ready(NAME, scan.scan_id):
            units += _units(survey, scan.scan_id)
    return Plan(tuple(units))


def _units(survey: Survey, scan_id: str) -> list[Unit[object, StitchPart]]:
    grid = grid_of(survey, scan_id)
    coords = {"energy": (grid.energy_ev, "eV"), "y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    shape = (grid.ny, grid.nx)
    names = ("object", "object_a", "object_b", "illumination_weight")
    arrays = tuple(ArrayPlan(name, (len(grid.energy_ev), *shape), (1, *shape), None, coords) for name in names)
    cut = survey.options_of("reconstruct", ReconstructOptions, scan_id)
    return [
        survey.unit(
            NAME,
            scan_id,
            f"energy-{energy:04d}",
            owns=dict.fromkeys(names, ((energy, 0, 0),)),
            arrays=arrays,
            part=StitchPart(energy, cut.positions_per_tile, cut.halo_um),
            estimate=Estimate(
                bytes_of(arrays) // len(grid.energy_ev),
                peak_bytes=stitch_peak_bytes(shape),
                core_seconds=stitch_core_seconds(shape),
            ),
        )
        for energy in range(len(grid.energy_ev))
    ]


def work(unit: Unit[Options, StitchPart]) -> Outcome:
    """Stitch one energy of one scan, the whole and its halves alike."""
    options, part, tiles_of = unit.options, unit.part, unit.source("reconstruct")
    energy = part.energy
    geometry = geometry_of(unit.source("ingest"))
    tiles = tiling_of(*geometry, most_positions=part.positions_per_tile, halo_um=part.halo_um)
    placement, windows = tiles.placements[energy], tiles.windows[energy]
    verdicts = [VERDICTS[int(code)] for code in tiles_of.read("tile_verdict", (energy, slice(None)))]
    if all(word == "failed" for word in verdicts):
        raise InputError(
            where=f"stitch of {unit.scan_id} at {geometry.energy_ev[energy]:g} eV",
            problem="no tile could be reconstructed",
            got=f"{len(verdicts)} failed tiles",
            wanted="at least one",
            mend="Look at the reasons under the scan's quality figures; exclude the scan if the beam was lost",
        )
    whole = tile_images(tiles_of, "object_tile", energy, windows, verdicts)
    gauges = solve_gauge(whole, options.gauge_illumination)
    grid = scan_grid(*geometry)
    write = ShardWriter(unit)
    image, light = on_grid(whole, gauges, placement, grid, options.blend_illumination)
    write("object", (energy, 0, 0), image[None])
    write("illumination_weight", (energy, 0, 0), light[None])
    for name in ("a", "b"):
        halves = tile_images(tiles_of, f"object_half_{name}", energy, windows, verdicts)
        halves = [half_in_gauge(half, one) for half, one in zip(halves, whole, strict=True)]
        half, _ = on_grid(halves, gauges, placement, grid, options.blend_illumination)
        write(f"object_{name}", (energy, 0, 0), half[None])
    return write.outcome(stitch_measures(verdicts, gauges, np.isfinite(image)))


def finish(survey: Survey, measured: Mapping[str, Sequence[StitchMeasures]]) -> Mapping[str, StitchFigures]:
    """Quality figures of each scan: those of its energies, side by side."""
    return {scan_id: stitch_figures(units) for scan_id, units in measured.items()}


STAGE = Stage(
    name=NAME,
    version=3,
    options=Options,
    measures=StitchMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    finish=finish,
    worker_bytes=520_000_000,
)
