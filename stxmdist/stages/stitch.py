"""Stitch: the tiles of a scan at one energy are brought to one phase gauge, blended, and laid on the scan's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.arrays import Array
from stxmdist.errors import InputError
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.gauge import remove_ramp
from stxmdist.ptychography.grid import scan_grid
from stxmdist.ptychography.stitch import TileGauge, TileImage, blend, solve_gauge, to_grid
from stxmdist.ptychography.tiling import tiling_of
from stxmdist.ptychography.verdict import VERDICTS
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, bytes_of

NAME = "stitch"

POOR_WEIGHT = 0.1
"""What the light of a poor tile counts beside a good one's: where no good one reaches, it is all there is."""


@dataclass(frozen=True)
class Options:
    """Which pixels of a tile count."""

    gauge_illumination: float = 0.3
    """Tiles are compared where both have more than this share of their usual illumination"""
    blend_illumination: float = 0.1
    """Pixels with less than this share are left unknown"""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The tiles, and the positions that say where they lie."""
    return (("reconstruct", scan_id), ("ingest", scan_id))


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans."""
    return survey.scans[scan_id].modality == "ptychography"


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each energy of each scan."""
    units: list[Unit] = []
    for scan in survey.of_modality("ptychography"):
        if survey.ready(NAME, scan.scan_id):
            units += _units(survey, scan.scan_id)
    return Plan(tuple(units))


def _units(survey: Survey, scan_id: str) -> list[Unit]:
    grid = grid_of(survey, scan_id)
    coords = {"energy": (grid.energy_ev, "eV"), "y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    shape = (grid.ny, grid.nx)
    names = ("object", "object_a", "object_b", "illumination_weight")
    arrays = tuple(ArrayPlan(name, (len(grid.energy_ev), *shape), (1, *shape), None, coords) for name in names)
    reconstruct = survey.options["reconstruct"]
    return [
        survey.unit(
            NAME,
            scan_id,
            f"energy-{energy:04d}",
            owns=dict.fromkeys(names, ((energy, 0, 0),)),
            arrays=arrays,
            part={
                "energy": energy,
                "most_positions": reconstruct.positions_per_tile,
                "halo_um": reconstruct.halo_um,
            },
            estimate=Estimate(
                bytes_of(arrays) // len(grid.energy_ev),
                peak_bytes=shape[0] * shape[1] * 400,
                core_seconds=0.2 + shape[0] * shape[1] * 6e-6,
            ),
        )
        for energy in range(len(grid.energy_ev))
    ]


def work(unit: Unit) -> Outcome:
    """Stitch one energy of one scan, the whole and its halves alike."""
    options: Options = unit.options
    reconstruct, ingest = unit.source("reconstruct"), unit.source("ingest")
    energy = unit.part["energy"]
    about = ingest.attrs("frames")
    energy_ev, positions_um = ingest.read("energy_ev"), ingest.read("positions_um")
    geometry = (about["distance_m"], tuple(about["detector_pixel_um"]), ingest.layout("frames").shape[2:])
    tiles = tiling_of(
        energy_ev,
        positions_um,
        *geometry,
        most_positions=unit.part["most_positions"],
        halo_um=unit.part["halo_um"],
    )
    placement = tiles.placements[energy]

    verdicts = [VERDICTS[int(code)] for code in reconstruct.read("tile_verdict", (energy, slice(None)))]
    if all(word == "failed" for word in verdicts):
        raise InputError(
            where=f"stitch of {unit.scan_id} at {energy_ev[energy]:g} eV",
            problem="not one tile could be reconstructed",
            got=f"{len(verdicts)} failed tiles",
            wanted="at least one",
            mend="Look at the reasons under the scan's quality figures; exclude the scan if the beam was lost",
        )

    def images(name: str) -> list[TileImage]:
        found = []
        for number, window in enumerate(tiles.windows[energy]):
            if verdicts[number] == "failed":  # its hole stays one where no neighbour reaches
                continue
            box = (energy, number, slice(0, window.shape[0]), slice(0, window.shape[1]))
            trust = POOR_WEIGHT if verdicts[number] == "poor" else 1.0
            light = reconstruct.read("tile_illumination", box)
            found.append(TileImage(reconstruct.read(name, box), light, window.corner, trust))
        return found

    whole = images("object_tile")
    gauges: list[TileGauge] = solve_gauge(whole, options.gauge_illumination)
    grid = scan_grid(energy_ev, positions_um, *geometry)

    def stitched(parts: list[TileImage]) -> tuple[Array, Array]:
        image, light = blend(parts, gauges, placement.object_shape, options.blend_illumination)
        on_grid = [to_grid(values, placement.pixel_nm, placement.origin_um, grid) for values in (image, light)]
        return on_grid[0], on_grid[1]

    write = ShardWriter(unit)
    image, light = stitched(whole)
    write("object", (energy, 0, 0), image[None])
    write("illumination_weight", (energy, 0, 0), light[None])
    for name in ("a", "b"):
        halves = [
            TileImage(
                remove_ramp(half.object_, one.object_, one.weight.astype(np.float64)).astype(np.complex64),
                one.weight,
                one.corner_px,
                one.trust,
            )
            for half, one in zip(images(f"object_half_{name}"), whole, strict=True)
        ]
        write(f"object_{name}", (energy, 0, 0), stitched(halves)[0][None])
    residuals = np.array([gauge.residual_rad for gauge in gauges])
    return write.outcome(
        {
            "tiles": len(whole),
            "tiles_failed": verdicts.count("failed"),
            "tiles_poor": verdicts.count("poor"),
            "parts_not_tied": len({gauge.component for gauge in gauges}),
            "seam_residual_rad": float(np.nanmax(residuals)) if np.isfinite(residuals).any() else None,
            "known_share": float(np.isfinite(image).mean()),
        }
    )


def finish(survey: Survey, measured: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    """Quality figures of each scan: those of its energies, side by side."""
    return {scan_id: {name: [unit[name] for unit in units] for name in units[0]} for scan_id, units in measured.items()}


STAGE = Stage(
    name=NAME,
    version=3,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    finish=finish,
    worker_bytes=520_000_000,
)
