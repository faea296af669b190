"""CXI 1.6: the reconstructed object with its probe, positions and convergence, in SI units, one entry per energy.

Rows of every image grow with +y and columns with +x, which the basis vectors say; a reader that ignores them shows the
image upside down, since the format's own default runs along -y and -x. ``translation`` is the motion of the sample,
minus the position of the beam on it. There is no ``data_1/data``: programs take that for diffraction frames.

The format has one place for positions, and it holds what was measured: ``sample_1/geometry_1/translation``, which
programs read to begin with. What the reconstruction made of them is a result, as its probe is: the group ``result_4``,
whose data have the same rows, columns, unit and sign. It is NaN where a frame took no part.

Source: CXI file format 1.6, cxidb.org, sections Image, Source, Geometry, Result and Process.
"""

from functools import partial
from pathlib import Path

import h5py
import numpy as np

from stxmdist.arrays import C64, F64
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
from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.units import joule_from_ev, wavelength_nm


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
    if not says_how_it_was_cut(source, scan_id):
        why = "an older version made the reconstruction and did not record how it cut the scan; run the campaign"
        lacks += (Lack(scan_id, "refined positions", why),)
    piece = Piece(scan_id, f"{scan_id}.cxi", partial(_write, source, scan_id, energies))
    return Offer((piece,), lacks)


def _write(source: ExportSource, scan_id: str, energies: list[int], target: Path) -> None:
    energy_ev = source.output("stitch", scan_id).read("energy_ev")
    y_um, x_um = source.axes("stitch", scan_id)
    objects = source.image("stitch", scan_id, "object")
    provenance = source.provenance(scan_id, ("stitch",))
    tiles = tiling(source, scan_id) if says_how_it_was_cut(source, scan_id) else None
    with h5py.File(target, "w") as file:
        file["cxi_version"] = CXI_VERSION
        file["number_of_entries"] = len(energies)
        for number, energy in enumerate(energies, start=1):
            entry = file.create_group(f"entry_{number}")
            entry["title"] = f"{source.campaign.name}, {scan_id}, {energy_ev[energy]:.2f} eV"
            start_time = frames_about(source, scan_id).start_time
            if start_time:
                entry["start_time"] = start_time
            _write_geometry(entry, source, scan_id, energy, float(energy_ev[energy]))
            image = _write_image(entry, objects[energy], y_um, x_um)
            write_process(image, source, scan_id, "stitch", {**provenance, "energy_ev": float(energy_ev[energy])})
            _write_results(entry, source, scan_id, energy)
            if tiles is not None:
                _write_refined(entry, refined_um(source, scan_id, tiles, energy))


def _write_geometry(entry: h5py.Group, source: ExportSource, scan_id: str, energy: int, energy_ev: float) -> None:
    ingest, reconstruct = source.output("ingest", scan_id), source.output("reconstruct", scan_id)
    about = frames_about(source, scan_id)
    pixel_m = [pixel_um * 1e-6 for pixel_um in about.detector_pixel_um]
    light = entry.create_group("instrument_1/source_1")
    put(light, "energy", joule_from_ev(energy_ev), "J")
    put(light, "wavelength", wavelength_nm(energy_ev) * 1e-9, "m")
    tile = best_tile(reconstruct.read("error", (energy, slice(None), slice(None))))
    probe = put(light, "illumination", reconstruct.read("probe", (energy, tile)), "sqrt(count)")
    probe.attrs["axes"] = "mode:y:x"
    probe.attrs["tile"] = tile
    detector = entry.create_group("instrument_1/detector_1")
    put(detector, "distance", about.distance_m, "m")
    put(detector, "y_pixel_size", pixel_m[0], "m")
    put(detector, "x_pixel_size", pixel_m[1], "m")
    put(detector, "basis_vectors", basis(*pixel_m), "m")
    detector["mask"] = np.where(ingest.read("detector_mask") == 0, 0, INVALID).astype(np.uint32)
    entry["sample_1/name"] = source.campaign.scan(scan_id).electrode_id
    beam_um = ingest.read("positions_um", (energy, slice(None), slice(None)))
    translation = translation_m(beam_um)
    put(entry, "sample_1/geometry_1/translation", translation, "m").attrs["axes"] = "translation:coordinate"
    entry["data_1/translation"] = h5py.SoftLink(f"{entry.name}/sample_1/geometry_1/translation")


def _write_image(entry: h5py.Group, values: C64, y_um: F64, x_um: F64) -> h5py.Group:
    pixel_m = (pitch_yx_um(y_um, x_um) * 1e-6).tolist()
    image = entry.create_group("image_1")
    image["title"] = "complex transmission of the sample, NaN where it was not lit"
    data = put(image, "data", values, "")
    data.attrs["axes"] = "y:x"
    image["data_space"] = "real"
    image["data_type"] = "amplitude"
    image["dimensionality"] = 2
    image["is_fft_shifted"] = 0
    image["mask"] = np.where(np.isfinite(values), 0, INVALID).astype(np.uint32)
    put(image, "image_size", [values.shape[1] * pixel_m[1], values.shape[0] * pixel_m[0], 0.0], "m")
    put(image, "y_pixel_size", pixel_m[0], "m")
    put(image, "x_pixel_size", pixel_m[1], "m")
    put(image, "basis_vectors", basis(*pixel_m), "m")
    put(image, "first_pixel", [float(x_um[0]) * 1e-6, float(y_um[0]) * 1e-6, 0.0], "m")
    image["source_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/source_1")
    image["detector_1"] = h5py.SoftLink(f"{entry.name}/instrument_1/detector_1")
    # Every entry has a Data group that shows its most important values.
    entry["data_2/data"] = h5py.SoftLink(f"{entry.name}/image_1/data")
    return image


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
        data = put(result, "data", reconstruct.read(name, (energy,)), unit)
        data.attrs["axes"] = axes
        data.attrs["name"] = name


def _write_refined(entry: h5py.Group, beam_um: F64) -> None:
    """Where the sample was, as the reconstruction found it."""
    result = entry.create_group("result_4")
    result["title"] = "translation of the sample after refinement; NaN where the frame took no part"
    data = put(result, "data", translation_m(beam_um), "m")
    data.attrs["axes"] = "translation:coordinate"
    data.attrs["name"] = "translation"
