"""A small CXI scan, written by hand."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.readers.examples.planted import diffraction_frames, scan_positions_um


def write(
    path: Path,
    *,
    frames: np.ndarray,
    positions_um: np.ndarray | None = None,
    energies_ev: tuple[float, ...] = (710.0,),
    family: str = "geometry_1",
    basis: Any = ((0, 3e-5), (3e-5, 0), (0, 0)),
    mask: np.ndarray | None = None,
    **extra: Any,
) -> Path:
    positions_um = scan_positions_um(len(frames)) if positions_um is None else positions_um
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        for number, energy_ev in enumerate(energies_ev, start=1):
            entry = file.create_group(f"entry_{number}")
            entry["title"] = extra.get("title", "a scan")
            source = entry.create_group("instrument_1/source_1")
            source["energy"] = extra.get("energy", energy_ev * 1.602176634e-19)
            detector = entry.create_group("instrument_1/detector_1")
            detector["distance"] = extra.get("distance", 0.1)
            detector["x_pixel_size"] = detector["y_pixel_size"] = 3e-5
            if basis is not None:
                detector["basis_vectors"] = np.array(basis, float)
            if mask is not None:
                detector["mask"] = mask
            if "illumination" in extra:
                source["illumination"] = extra["illumination"]
            translation = np.zeros((len(positions_um), 3))
            translation[:, 0] = -positions_um[:, 1] * 1e-6
            translation[:, 1] = -positions_um[:, 0] * 1e-6
            data = entry.create_group("data_1")
            if family == "data_1":
                data["data"] = frames + number - 1
                data["translation"] = translation
            else:
                detector["data"] = frames + number - 1
                entry["sample_1/geometry_1/translation"] = translation
                data["data"] = h5py.SoftLink(f"/entry_{number}/instrument_1/detector_1/data")
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.cxi", frames=diffraction_frames(), energies_ev=(707.0, 710.0))


def write_small_example(folder: Path) -> Path:
    """The same with few frames, so that damage to it falls on what the numbers mean as often as on numbers."""
    return write(folder / "scan.cxi", frames=diffraction_frames()[:5], energies_ev=(707.0, 710.0))
