"""A small stack as Mantis saves it, written by hand."""

from pathlib import Path

import h5py
import numpy as np

from tests.readers.examples.planted import ENERGY_EV, X_UM, Y_UM, planted_counts


def write(
    path: Path, *, counts: np.ndarray | None = None, axes: str = "x:y:energy", white: float | None = None
) -> Path:
    """Counts (ENERGY, Y, X), whatever the order in the file."""
    counts = planted_counts() if counts is None else counts
    order = [("energy", "y", "x").index(name) for name in axes.split(":")]
    with h5py.File(path, "w") as file:
        file["implements"], file["version"] = "information:exchange:spectromicroscopy", "1.0"
        file["information/comment"] = "Converted in Mantis"
        data = file.create_dataset("exchange/data", data=counts.transpose(order))
        data.attrs["axes"], data.attrs["signal"] = axes, 1
        file["exchange/x"], file["exchange/y"] = X_UM, Y_UM
        file["exchange/energy"] = ENERGY_EV[: len(counts)]
        file["exchange/energy"].attrs["units"] = "ev"
        group = file.create_group("spectromicroscopy")
        if white is not None:
            group["normalization/white_spectrum"] = np.full(len(counts), white)
            group["normalization/white_spectrum_energy"] = ENERGY_EV[: len(counts)]
            group["optical_density"] = counts.reshape(len(counts), -1).T
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.hdf5")
