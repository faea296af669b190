"""A small energy stack of MISTRAL, written by hand."""

from pathlib import Path

import h5py
import numpy as np

from tests.readers.examples.planted import ENERGY_EV, NX, NY, planted_counts


def write(
    path: Path,
    *,
    transmission: np.ndarray | None = None,
    energy_ev: np.ndarray = ENERGY_EV,
    group: str = "SpecNormalized",
    names: tuple[str, ...] = ("spectroscopy_normalized",),
) -> Path:
    images = planted_counts() / 2000 if transmission is None else transmission
    with h5py.File(path, "w") as file:
        entry = file.create_group(group)
        entry.attrs["NX_class"] = "NXentry"
        for name in names:
            entry.create_dataset(name, data=images, dtype="f4", chunks=(1, NY, NX))
        entry["energy"] = energy_ev
        entry["x_pixel_size"], entry["y_pixel_size"] = np.array([0.2]), np.array([0.1])
        entry["ExpTimes"], entry["Currents"] = np.full(len(energy_ev), 1.5), np.full(len(energy_ev), 200.0)
        entry["rotation_angle"] = np.zeros(len(energy_ev))
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.hdf5")
