"""What CXI files of every kind share: units, geometry, how positions were refined, where a file comes from."""

import json
from dataclasses import dataclass

import h5py
import numpy as np

from storage.atomic import plain_json
from stxmdist import __version__
from stxmdist.arrays import F64, Array
from stxmdist.export.source import ExportSource
from stxmdist.ptychography.geometry import merged
from stxmdist.ptychography.tiling import Tiling, tiling_of
from stxmdist.records import read_from_json
from stxmdist.stages.reconstruct.scan_frames import scan_frames

CXI_VERSION = 160
INVALID = 0x1
"""CXI_PIXEL_IS_INVALID"""


@dataclass(frozen=True)
class FramesAbout:
    """What ingest says of the frames of a scan, as far as it is exported."""

    distance_m: float
    """From the sample to the detector"""
    detector_pixel_um: tuple[float, float]
    """(y, x)"""
    start_time: str = ""


@dataclass(frozen=True)
class TilesAbout:
    """How reconstruct cut a scan into tiles."""

    positions_per_tile: int
    halo_um: float


def frames_about(source: ExportSource, scan_id: str) -> FramesAbout:
    """Geometry and time of the frames."""
    return read_from_json(FramesAbout, source.output("ingest", scan_id).attrs("frames"))


def says_how_it_was_cut(source: ExportSource, scan_id: str) -> bool:
    """Whether it is known which position each row of a tile belongs to; older versions did not say."""
    return "positions_per_tile" in source.output("reconstruct", scan_id).attrs("tile_positions_px")


def tiling(source: ExportSource, scan_id: str) -> Tiling:
    """The tiles of a reconstructed scan."""
    ingest = source.output("ingest", scan_id)
    about = frames_about(source, scan_id)
    cut = read_from_json(TilesAbout, source.output("reconstruct", scan_id).attrs("tile_positions_px"))
    *_, frame_rows, frame_columns = ingest.layout("frames").shape
    return tiling_of(
        ingest.read("energy_ev"),
        ingest.read("positions_um"),
        about.distance_m,
        about.detector_pixel_um,
        (frame_rows, frame_columns),
        most_positions=cut.positions_per_tile,
        halo_um=cut.halo_um,
    )


def refined_um(source: ExportSource, scan_id: str, tiles: Tiling, energy: int) -> F64:
    """Where the beam met the sample by the reconstruction, (POSITION, 2) (y, x), of each position by its own tile."""
    ingest, reconstruct = source.output("ingest", scan_id), source.output("reconstruct", scan_id)
    positions_um = ingest.read("positions_um")
    usable = scan_frames(ingest, energy).usable
    pixel_um = np.array(tiles.placements[energy].pixel_nm) * 1e-3
    start, end = (reconstruct.read(name, (energy,)) for name in ("tile_start_positions_px", "tile_positions_px"))
    moves_um = []
    for number, window in enumerate(tiles.windows[energy]):
        took_part = usable[window.tile.positions]
        moves = np.full((len(took_part), 2), np.nan)
        count = int(took_part.sum())
        moves[took_part] = (end - start)[number, :count] * pixel_um
        moves_um.append(moves)
    # Tiles are those of the first energy.
    return np.asarray(positions_um[energy] + merged([w.tile for w in tiles.windows[energy]], positions_um[0], moves_um))


def translation_m(beam_um: F64) -> F64:
    """(POSITION, 3) (x, y, z): the sample's motion, minus that of the beam (POSITION, 2) (y, x) on it."""
    translation = np.zeros((len(beam_um), 3))
    translation[:, :2] = -beam_um[:, ::-1] * 1e-6
    return translation


def best_tile(error: Array) -> int:
    """The tile (TILE, ITERATION) that ended with the least residual, the first where none is known."""
    last = [row[np.isfinite(row)][-1] if np.isfinite(row).any() else np.inf for row in error]
    return int(np.argmin(last))


def basis(y_pixel_m: float, x_pixel_m: float) -> F64:
    """(3, 2) in m: the (x, y, z) step from row to row, and from column to column."""
    vectors: F64 = np.array([[0.0, x_pixel_m], [y_pixel_m, 0.0], [0.0, 0.0]])
    return vectors


def put(group: h5py.Group, name: str, value: object, units: str) -> h5py.Dataset:
    """A dataset with its unit, packed where it is large."""
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if np.asarray(value).size > 4096 else {}
    dataset = group.create_dataset(name, data=value, **packed)
    if units:
        dataset.attrs["units"] = units
    return dataset


def write_process(
    group: h5py.Group, source: ExportSource, scan_id: str, stage: str, provenance: dict[str, object]
) -> None:
    """What wrote the group's data, when, and from what."""
    process = group.create_group("process_1")
    process["program"] = "stxmdist"
    process["version"] = __version__
    process["date"] = source.published.publications[stage].time
    process["comments"] = source.origin(scan_id)
    note = process.create_group("note_1")
    note["type"] = "application/json"
    note["description"] = "where the data come from"
    note["data"] = json.dumps(plain_json(provenance), indent=1)
