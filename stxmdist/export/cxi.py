"""CXI 1.6: the reconstructed object with its probe, positions and convergence, in SI units, one entry per energy.

Rows of every image grow with +y and columns with +x, which the basis vectors say; a reader that ignores them shows the
image upside down, since the format's own default runs along -y and -x. ``translation`` is the motion of the sample,
minus the position of the beam on it. There is no ``data_1/data``: programs take that for diffraction frames.

The format has one place for positions, and it holds what was measured: ``sample_1/geometry_1/translation``, which
programs read to begin with. What the reconstruction made of them is a result, as its probe is: the group ``result_4``,
whose data have the same rows, columns, unit and sign. It is NaN where a frame took no part.

Source: CXI file format 1.6, cxidb.org, sections Image, Source, Geometry, Result and Process.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from storage.atomic import plain_json
from stxmdist import __version__
from stxmdist.arrays import C64, F64, Array, MaskClass
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ExportSource
from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.ptychography.geometry import merged
from stxmdist.ptychography.tiling import Tiling, tiling_of
from stxmdist.records import read_from_json
from stxmdist.units import joule_from_ev, wavelength_nm

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


def offer(source: ExportSource, scan_id: str) -> Offer:
    """One file for a ptychography scan."""
    stitch = source.output("stitch", scan_id)
    energy_ev = stitch.read("energy_ev")
    absent = {index[0] for index in stitch.absent("object")}
    lacks = tuple(
        Lack(scan_id, f"object at {energy_ev[energy]:.2f} eV", "it was not reconstructed") for energy in sorted(absent)
    )
    energies = [energy for energy in range(len(energy_ev)) if energy not in absent]
    if not energies:
        return Offer(lacks=lacks)
    if not _says_how_it_was_cut(source, scan_id):
        why = "an older version made the reconstruction and did not record how it cut the scan; run the campaign"
        lacks += (Lack(scan_id, "refined positions", why),)
    piece = Piece(scan_id, f"{scan_id}.cxi", partial(_write, source, scan_id, energies))
    return Offer((piece,), lacks)


def _write(source: ExportSource, scan_id: str, energies: list[int], target: Path) -> None:
    energy_ev = source.output("stitch", scan_id).read("energy_ev")
    y_um, x_um = source.axes("stitch", scan_id)
    objects = source.image("stitch", scan_id, "object")
    provenance = source.provenance(scan_id, ("stitch",))
    tiles = _tiling(source, scan_id) if _says_how_it_was_cut(source, scan_id) else None
    with h5py.File(target, "w") as file:
        file["cxi_version"] = CXI_VERSION
        file["number_of_entries"] = len(energies)
        for number, energy in enumerate(energies, start=1):
            entry = file.create_group(f"entry_{number}")
            entry["title"] = f"{source.campaign.name}, {scan_id}, {energy_ev[energy]:.2f} eV"
            start_time = _frames_about(source, scan_id).start_time
            if start_time:
                entry["start_time"] = start_time
            _write_geometry(entry, source, scan_id, energy, float(energy_ev[energy]))
            image = _write_image(entry, objects[energy], y_um, x_um)
            _write_process(image, source, scan_id, {**provenance, "energy_ev": float(energy_ev[energy])})
            _write_results(entry, source, scan_id, energy)
            if tiles is not None:
                _write_refined(entry, refined_um(source, scan_id, tiles, energy))


def _write_geometry(entry: h5py.Group, source: ExportSource, scan_id: str, energy: int, energy_ev: float) -> None:
    ingest, reconstruct = source.output("ingest", scan_id), source.output("reconstruct", scan_id)
    about = _frames_about(source, scan_id)
    pixel_m = [pixel_um * 1e-6 for pixel_um in about.detector_pixel_um]
    light = entry.create_group("instrument_1/source_1")
    _put(light, "energy", joule_from_ev(energy_ev), "J")
    _put(light, "wavelength", wavelength_nm(energy_ev) * 1e-9, "m")
    tile = best_tile(reconstruct.read("error", (energy, slice(None), slice(None))))
    probe = _put(light, "illumination", reconstruct.read("probe", (energy, tile)), "sqrt(count)")
    probe.attrs["axes"] = "mode:y:x"
    probe.attrs["tile"] = tile
    detector = entry.create_group("instrument_1/detector_1")
    _put(detector, "distance", about.distance_m, "m")
    _put(detector, "y_pixel_size", pixel_m[0], "m")
    _put(detector, "x_pixel_size", pixel_m[1], "m")
    _put(detector, "basis_vectors", _basis(*pixel_m), "m")
    detector["mask"] = np.where(ingest.read("detector_mask") == 0, 0, INVALID).astype(np.uint32)
    entry["sample_1/name"] = source.campaign.scan(scan_id).electrode_id
    beam_um = ingest.read("positions_um", (energy, slice(None), slice(None)))
    translation = _translation_m(beam_um)
    _put(entry, "sample_1/geometry_1/translation", translation, "m").attrs["axes"] = "translation:coordinate"
    entry["data_1/translation"] = h5py.SoftLink(f"{entry.name}/sample_1/geometry_1/translation")


def _write_image(entry: h5py.Group, values: C64, y_um: F64, x_um: F64) -> h5py.Group:
    pixel_m = (pitch_yx_um(y_um, x_um) * 1e-6).tolist()
    image = entry.create_group("image_1")
    image["title"] = "complex transmission of the sample, NaN where it was not lit"
    data = _put(image, "data", values, "")
    data.attrs["axes"] = "y:x"
    image["data_space"] = "real"
    image["data_type"] = "amplitude"
    image["dimensionality"] = 2
    image["is_fft_shifted"] = 0
    image["mask"] = np.where(np.isfinite(values), 0, INVALID).astype(np.uint32)
    _put(image, "image_size", [values.shape[1] * pixel_m[1], values.shape[0] * pixel_m[0], 0.0], "m")
    _put(image, "y_pixel_size", pixel_m[0], "m")
    _put(image, "x_pixel_size", pixel_m[1], "m")
    _put(image, "basis_vectors", _basis(*pixel_m), "m")
    _put(image, "first_pixel", [float(x_um[0]) * 1e-6, float(y_um[0]) * 1e-6, 0.0], "m")
    image["source_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/source_1")
    image["detector_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/detector_1")
    # Every entry has a Data group that shows its most important values.
    entry["data_2/data"] = h5py.SoftLink(f"{entry.name}/image_1/data")
    return image


def _write_process(image: h5py.Group, source: ExportSource, scan_id: str, provenance: dict[str, object]) -> None:
    process = image.create_group("process_1")
    process["program"] = "stxmdist"
    process["version"] = __version__
    process["date"] = source.published.publications["stitch"].time
    process["comments"] = source.origin(scan_id)
    note = process.create_group("note_1")
    note["type"] = "application/json"
    note["description"] = "where the reconstruction comes from"
    note["data"] = json.dumps(plain_json(provenance), indent=1)


def _write_results(entry: h5py.Group, source: ExportSource, scan_id: str, energy: int) -> None:
    """Convergence, resolution, and the probes of all tiles, tile after tile."""
    reconstruct = source.output("reconstruct", scan_id)
    described = {
        "error": ("amplitude residual after each iteration", "tile:iteration", ""),
        "frc": ("Fourier ring correlation of two half reconstructions", "tile:frequency", ""),
        "probe": ("illumination on the sample, of every tile", "tile:mode:y:x", "sqrt(count)"),
    }
    for number, (name, (title, axes, unit)) in enumerate(described.items(), start=1):
        result = entry.create_group(f"result_{number}")
        result["title"] = title
        data = _put(result, "data", reconstruct.read(name, (energy,)), unit)
        data.attrs["axes"] = axes
        data.attrs["name"] = name


def _write_refined(entry: h5py.Group, beam_um: F64) -> None:
    """Where the sample was, as the reconstruction found it."""
    result = entry.create_group("result_4")
    result["title"] = "translation of the sample after refinement; NaN where the frame took no part"
    data = _put(result, "data", _translation_m(beam_um), "m")
    data.attrs["axes"] = "translation:coordinate"
    data.attrs["name"] = "translation"


def _frames_about(source: ExportSource, scan_id: str) -> FramesAbout:
    return read_from_json(FramesAbout, source.output("ingest", scan_id).attrs("frames"))


def _says_how_it_was_cut(source: ExportSource, scan_id: str) -> bool:
    return "positions_per_tile" in source.output("reconstruct", scan_id).attrs("tile_positions_px")


def _tiling(source: ExportSource, scan_id: str) -> Tiling:
    ingest = source.output("ingest", scan_id)
    about = _frames_about(source, scan_id)
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
    usable = ingest.read("frame_class", (energy, slice(None))) == MaskClass.valid
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


def _translation_m(beam_um: F64) -> F64:
    """(POSITION, 3) (x, y, z): the sample's motion, minus that of the beam (POSITION, 2) (y, x) on it."""
    translation = np.zeros((len(beam_um), 3))
    translation[:, :2] = -beam_um[:, ::-1] * 1e-6
    return translation


def best_tile(error: Array) -> int:
    """The tile (TILE, ITERATION) that ended with the least residual, the first where none is known."""
    last = [row[np.isfinite(row)][-1] if np.isfinite(row).any() else np.inf for row in error]
    return int(np.argmin(last))


def _basis(y_pixel_m: float, x_pixel_m: float) -> F64:
    """(3, 2) in m: the (x, y, z) step from row to row, and from column to column."""
    basis: F64 = np.array([[0.0, x_pixel_m], [y_pixel_m, 0.0], [0.0, 0.0]])
    return basis


def _put(group: h5py.Group, name: str, value: object, units: str) -> h5py.Dataset:
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if np.asarray(value).size > 4096 else {}
    dataset = group.create_dataset(name, data=value, **packed)
    if units:
        dataset.attrs["units"] = units
    return dataset
