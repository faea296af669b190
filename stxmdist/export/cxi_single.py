"""CXI 1.6 with one energy in each file, for other programs of ptychography: the frames, or what was made of them.

cdtools and ptychodus look at ``entry_1`` alone, so that every energy has a file of its own.

**Orientation.** Rows of everything run along -y and columns along -x, the format's own default: cdtools reads the basis
vectors, others do not, and take ``translation``, the motion of the sample, for that of the beam. Turned half a turn,
as here, both are right: half a turn changes the sign of every position. Frames, masks and waves are turned about index
n // 2, where the zero frequency and the beam stay; the object's image is reversed along both axes.

**Frames** are photons as the reconstruction took them, of the frames that can be used, with the positions that were
measured. Photons that the detector counted are int32 and others float32: torch computes with no unsigned integers.
The mask is 0 where a pixel is good. It is the same for all frames, as programs expect: a pixel that was not read in one
of them is bad in all. Frames that the reconstruction found to be turned are turned as it did. The illumination is the
probe that the reconstruction found, or that of the file.

**The product** has the layout of ptychodus' own: the probe in ``image_1``, the object in ``image_2``, positions as the
reconstruction found them of the frames that took part, and the losses in ``entry_1/ptychodus``. The object is on the
pixels of its own energy, tiles blended, with the probe in their gauge: together they give the frames. Where no light
fell it is 1, and its mask is 1. ptychodus counts the centre of n pixels at (n - 1) / 2: ``object_center`` makes up
for that.

Source: CXI file format 1.6, cxidb.org; ``cdtools.tools.data``, ``ptychodus.plugins.cxi_file`` as of 2026.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from storage.output import Output
from stxmdist.arrays import C64, F64, Array, Index, Mask
from stxmdist.export.cxi_parts import (
    CXI_VERSION,
    INVALID,
    basis,
    best_tile,
    frames_about,
    put,
    refined_um,
    says_how_it_was_cut,
    tiling,
    translation_m,
    write_process,
)
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ExportSource
from stxmdist.measures import ReconstructFigures
from stxmdist.ptychography.geometry import Placement
from stxmdist.ptychography.noise import CountModel
from stxmdist.ptychography.stitch import blend, solve_gauge
from stxmdist.ptychography.tiling import Tiling
from stxmdist.ptychography.trials import ORIENTATIONS, turned
from stxmdist.ptychography.verdict import VERDICTS, Word
from stxmdist.stages.inputs.tiles import tile_images
from stxmdist.stages.reconstruct.scan_frames import RUN, ScanFrames, scan_frames
from stxmdist.units import joule_from_ev, wavelength_nm

HALF_A_TURN = ORIENTATIONS.index("both flipped")
CHUNK_BYTES = 2**20


def offer_frames(source: ExportSource, scan_id: str) -> Offer:
    """One file with frames for each energy of a ptychography scan."""
    energy_ev = source.output("ingest", scan_id).read("energy_ev")
    pieces: list[Piece] = []
    lacks: list[Lack] = []
    for energy, value in enumerate(energy_ev):
        if scan_frames(source.output("ingest", scan_id), energy).usable.any():
            pieces.append(Piece(scan_id, _name(scan_id, value), partial(_write_frames, source, scan_id, energy)))
        else:
            lacks.append(Lack(scan_id, f"frames at {value:.2f} eV", "none of them can be used"))
    why = source.published.why_unusable("reconstruct", scan_id)
    notes = (f"{scan_id}: the frames are as they were read: {why}",) if why else ()
    return Offer(tuple(pieces), tuple(lacks), notes)


def offer_product(source: ExportSource, scan_id: str) -> Offer:
    """One file with the reconstruction for each energy of a ptychography scan."""
    if not says_how_it_was_cut(source, scan_id):
        why = "an older version made the reconstruction and did not record how it cut the scan; run the campaign"
        return Offer(lacks=(Lack(scan_id, "reconstruction with its positions", why),))
    reconstruct = source.output("reconstruct", scan_id)
    pieces: list[Piece] = []
    lacks: list[Lack] = []
    for energy, value in enumerate(reconstruct.read("energy_ev")):
        if all(word == "failed" for word in _verdicts(reconstruct, energy)):
            lacks.append(Lack(scan_id, f"reconstruction at {value:.2f} eV", "it failed; stxmdist status says why"))
        else:
            pieces.append(Piece(scan_id, _name(scan_id, value), partial(_write_product, source, scan_id, energy)))
    return Offer(tuple(pieces), tuple(lacks))


def _verdicts(reconstruct: Output, energy: int) -> list[Word]:
    return [VERDICTS[int(code)] for code in reconstruct.read("tile_verdict", (energy, slice(None)))]


def _name(scan_id: str, energy_ev: float) -> str:
    # Two energies of one scan may be nearer than a hundredth of an eV, but no monochromator knows a thousandth.
    return f"{scan_id}-{energy_ev:.3f}eV.cxi"


@dataclass(frozen=True)
class _Found:
    """The tile at one energy that ended with the least residual."""

    tile: int
    probe: C64
    """(MODE, QY, QX)"""
    error: Array
    """(ITERATION,)"""
    orientation: int
    """How frames were turned: a place in ``ORIENTATIONS``"""
    readings: CountModel | None
    """What counts were taken for; None where that was not recorded"""


def _found(source: ExportSource, scan_id: str, energy: int) -> _Found | None:
    """None where the energy was not reconstructed."""
    if source.published.why_unusable("reconstruct", scan_id):
        return None
    reconstruct = source.output("reconstruct", scan_id)
    error = reconstruct.read("error", (energy,))
    tile = best_tile(error)
    probe = reconstruct.read("probe", (energy, tile))
    if _verdicts(reconstruct, energy)[tile] == "failed":
        return None
    figures = source.published.figures(ReconstructFigures, "reconstruct", scan_id)
    orientation, readings = 0, None
    if figures is not None:
        # They go over the tiles, at one energy after the other.
        at = energy * figures.tiles + tile
        orientation = ORIENTATIONS.index(figures.orientation[at])
        readings = CountModel(
            float(figures.counts_per_photon[at]), float(figures.offset_counts[at]), float(figures.readout_photons[at])
        )
    # There may be fewer modes than there is room for.
    modes = np.isfinite(probe).all(axis=(-2, -1))
    return _Found(tile, probe[modes], error[tile][np.isfinite(error[tile])], orientation, readings)


def _blended(reconstruct: Output, tiles: Tiling, energy: int, found: _Found) -> tuple[C64, C64]:
    """Object (Y, X) of all tiles on the pixels of their own energy, and the probe of the best tile in the same gauge.

    The object of stitch is on those of the scan, on which no frame of another energy can be computed.
    """
    verdicts, windows = _verdicts(reconstruct, energy), tiles.windows[energy]
    images = tile_images(reconstruct, "object_tile", energy, windows, verdicts)
    gauges = solve_gauge(images)
    object_, _ = blend(images, gauges, tiles.placements[energy].object_shape, least_illumination=0.0)
    gauge = gauges[sum(word != "failed" for word in verdicts[: found.tile])].gauge
    return object_, np.asarray(found.probe * gauge.factor(found.probe.shape[-2:]), np.complex64)


def _write_frames(source: ExportSource, scan_id: str, energy: int, target: Path) -> None:
    ingest = source.output("ingest", scan_id)
    scan, found = scan_frames(ingest, energy), _found(source, scan_id, energy)
    if found is not None and found.readings is not None:
        scan = replace(scan, readings=found.readings)
    turn = 0 if found is None else found.orientation
    used = np.flatnonzero(scan.usable)
    with h5py.File(target, "w") as file:
        entry = _entry(file, source, scan_id, energy)
        bad = _put_frames(entry["instrument_1/detector_1"], scan, used, turn)
        _put_detector(entry, source, scan_id, bad, turn)
        beam_um = ingest.read("positions_um", (energy, slice(None), slice(None)))
        _put_translation(entry, beam_um[used])
        entry["data_1/data"] = h5py.SoftLink(f"{entry.name}/instrument_1/detector_1/data")
        light = _illumination(ingest, found)
        if light is not None:
            probe = put(entry["instrument_1/source_1"], "illumination", light, "sqrt(count)")
            probe.attrs["axes"] = "mode:y:x"
        write_process(entry, source, scan_id, "ingest", source.provenance(scan_id, ("ingest",)))


def _illumination(ingest: Output, found: _Found | None) -> C64 | None:
    if found is not None:
        return np.asarray(turned(found.probe, HALF_A_TURN))
    in_file = ingest.read("illumination") if "illumination" in ingest.arrays() else None
    return None if in_file is None else np.asarray(turned(in_file, HALF_A_TURN))


def _write_product(source: ExportSource, scan_id: str, energy: int, target: Path) -> None:
    found, tiles = _found(source, scan_id, energy), tiling(source, scan_id)
    assert found is not None, "energies without a good tile are not offered"
    scan, placement = scan_frames(source.output("ingest", scan_id), energy), tiles.placements[energy]
    beam_um = refined_um(source, scan_id, tiles, energy)
    usable = np.flatnonzero(scan.usable)
    # Of the frames that are exported, as the file with the frames counts them.
    rows = np.flatnonzero(np.isfinite(beam_um[usable]).all(axis=1))
    object_, probe = _blended(source.output("reconstruct", scan_id), tiles, energy, found)
    object_, probe = object_[::-1, ::-1], np.asarray(turned(probe, HALF_A_TURN))
    pixel_m = [pixel_nm * 1e-9 for pixel_nm in placement.pixel_nm]
    with h5py.File(target, "w") as file:
        entry = _entry(file, source, scan_id, energy)
        _put_detector(entry, source, scan_id, ~scan.good, found.orientation)
        _put_translation(entry, beam_um[usable[rows]])
        _put_image(entry, 1, probe, pixel_m, "illumination on the sample", "mode:y:x", "sqrt(count)")
        _put_image(entry, 2, object_, pixel_m, "complex transmission of the sample", "y:x", "")
        put(entry["image_2"], "first_pixel", [1e-6 * placement.x_um[-1], 1e-6 * placement.y_um[-1], 0.0], "m")
        entry["instrument_1/source_1/illumination"] = h5py.SoftLink(f"{entry.name}/image_1/data")
        write_process(entry, source, scan_id, "reconstruct", source.provenance(scan_id, ("reconstruct",)))
        _put_extras(entry.create_group("ptychodus"), placement, probe, found.error, rows)


def _entry(file: h5py.File, source: ExportSource, scan_id: str, energy: int) -> h5py.Group:
    """The one entry, with the light and empty groups for the rest."""
    energy_ev = float(source.output("ingest", scan_id).read("energy_ev")[energy])
    file["cxi_version"] = CXI_VERSION
    file["number_of_entries"] = 1
    entry = file.create_group("entry_1")
    entry["title"] = f"{source.campaign.name}, {scan_id}, {energy_ev:.2f} eV"
    start_time = frames_about(source, scan_id).start_time
    if start_time:
        entry["start_time"] = start_time
    light = entry.create_group("instrument_1/source_1")
    put(light, "energy", joule_from_ev(energy_ev), "J")
    put(light, "wavelength", wavelength_nm(energy_ev) * 1e-9, "m")
    entry.create_group("instrument_1/detector_1")
    entry["sample_1/name"] = source.campaign.scan(scan_id).electrode_id
    return entry


def _put_frames(detector: h5py.Group, scan: ScanFrames, used: Index, turn: int) -> Mask:
    """Write the frames; which pixels (QY, QX) cannot be used, as ingest has them."""
    kept = scan.ingest.layout("frames").dtype
    small = scan.readings.of_photons and kept.kind in "iu" and kept.itemsize <= 2
    dtype = np.dtype(np.int32 if small else np.float32)
    shape = turned(scan.good, turn).shape
    chunk = int(np.clip(CHUNK_BYTES // (dtype.itemsize * scan.good.size), 1, len(used)))
    packed = {"chunks": (chunk, *shape), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    data = detector.create_dataset("data", (len(used), *shape), dtype, **packed)
    data.attrs["axes"] = "translation:y:x"
    bad = ~scan.good
    for start in range(0, len(used), RUN):
        frames, at_least = scan.photons(used[start : start + RUN])
        if at_least is not None:
            # A saturated reading is a number, if only the least that there was; one that tells nothing is 0.
            bad |= (at_least & (frames == 0)).any(axis=0)
        data[start : start + len(frames)] = turned(turned(frames, turn), HALF_A_TURN)
    return bad


def _put_detector(entry: h5py.Group, source: ExportSource, scan_id: str, bad: Mask, turn: int) -> None:
    about = frames_about(source, scan_id)
    detector = entry["instrument_1/detector_1"]
    y_m, x_m = (pixel_um * 1e-6 for pixel_um in about.detector_pixel_um)
    mask = turned(turned(bad, turn), HALF_A_TURN)
    put(detector, "distance", about.distance_m, "m")
    put(detector, "y_pixel_size", y_m, "m")
    put(detector, "x_pixel_size", x_m, "m")
    steps = -basis(y_m, x_m)
    put(detector, "basis_vectors", steps, "m")
    # The outer corner of the first pixel, from which programs take half the detector's width.
    corner = -0.5 * steps @ np.array(mask.shape)
    put(detector, "corner_position", corner + np.array([0.0, 0.0, about.distance_m]), "m")
    detector["mask"] = np.where(mask, INVALID, 0).astype(np.uint32)


def _put_translation(entry: h5py.Group, beam_um: F64) -> None:
    put(entry, "sample_1/geometry_1/translation", translation_m(beam_um), "m").attrs["axes"] = "translation:coordinate"
    for place in ("data_1/translation", "instrument_1/detector_1/translation"):
        entry[place] = h5py.SoftLink(f"{entry.name}/sample_1/geometry_1/translation")


def _put_image(
    entry: h5py.Group, number: int, values: C64, pixel_m: Sequence[float], title: str, axes: str, unit: str
) -> None:
    image = entry.create_group(f"image_{number}")
    lit = np.isfinite(values)
    image["title"] = title
    put(image, "data", np.where(lit, values, 1).astype(np.complex64), unit).attrs["axes"] = axes
    image["mask"] = np.where(lit, 0, INVALID).astype(np.uint32)
    image["data_space"] = "real"
    image["data_type"] = "amplitude"
    image["dimensionality"] = 2
    image["is_fft_shifted"] = 0
    rows, columns = values.shape[-2:]
    put(image, "image_size", [columns * pixel_m[1], rows * pixel_m[0], 0.0], "m")
    put(image, "basis_vectors", -basis(*pixel_m), "m")
    image["source_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/source_1")
    image["detector_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/detector_1")


def _put_extras(group: h5py.Group, placement: Placement, probe: C64, error: Array, rows: Index) -> None:
    """What ptychodus keeps beside the format: the centre of the object's field, pixels, losses."""
    axes_um, pixel_m = (placement.y_um, placement.x_um), [pixel_nm * 1e-9 for pixel_nm in placement.pixel_nm]
    for name, axis_um, size_m, n in zip("yx", axes_um, pixel_m, probe.shape[-2:], strict=True):
        # Its windows are placed by their middle, the beam stands at index n // 2.
        middle_m = -1e-6 * 0.5 * (axis_um[0] + axis_um[-1])
        group[f"object_center_{name}_m"] = middle_m + (n // 2 - (n - 1) / 2) * size_m
    for image in ("probe", "object"):
        group[f"{image}_pixel_height_m"], group[f"{image}_pixel_width_m"] = pixel_m
    group["probe_photon_count"] = float((np.abs(probe) ** 2).sum())
    group["probe_position_indexes"] = rows.astype(np.int64)
    group["loss_epochs"] = np.arange(1, len(error) + 1)
    group["loss_values"] = error.astype(np.float64)
