"""A small frame set of xanespy, written by hand."""

from pathlib import Path

import h5py
import numpy as np

from tests.readers.examples.planted import ENERGY_EV, planted_counts

PIXEL_NM = 100.0


def write(
    path: Path,
    *,
    names: tuple[str, ...] = ("fov03",),
    steps: tuple[str, ...] = ("ocv",),
    pixel_sizes: np.ndarray | None = None,
    **images: np.ndarray,
) -> Path:
    """Images (TIME, ENERGY, Y, X) by their names in the file; optical depths by default."""
    images = images or {"optical_depths": np.stack([planted_counts() / 2000 + n for n in range(len(steps))])}
    n_energies = next(iter(images.values())).shape[1]
    with h5py.File(path, "w") as file:
        for name in names:
            field = file.create_group(name)
            field.attrs["xanespy_version"], field.attrs["latest_data_name"] = "0.3", "imported"
            field.attrs["beamline"] = "APS 8-BM"
            group = field.create_group("imported")
            for kind, values in images.items():
                group[kind] = values.astype(np.complex64 if np.iscomplexobj(values) else np.float32)
                group[kind].attrs["context"] = "frameset"
            group["energies"] = np.tile(ENERGY_EV[:n_energies].astype("f4"), (len(steps), 1))
            sizes = np.full((len(steps), n_energies), PIXEL_NM) if pixel_sizes is None else pixel_sizes
            group["pixel_sizes"] = sizes
            group["pixel_sizes"].attrs["unit"] = "nm"
            group["timestep_names"] = np.array(steps, "S50")
            group["filenames"] = np.full((len(steps), n_energies), b"frame.xrm", "S100")
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.h5")
