"""A small NXstxm scan, written by hand."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.readers.examples.planted import ENERGY_EV, X_UM, Y_UM, planted_counts


def write(path: Path, *, counts: np.ndarray | None = None, energy_ev: np.ndarray = ENERGY_EV, **changes: Any) -> Path:
    counts = planted_counts() if counts is None else counts
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1")
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        entry["definition"] = np.array([b"NXstxm"])
        entry["start_time"] = np.array([b"2021-03-16T16:50:18+01:00"])
        group = entry.create_group("counter0")
        group.attrs["NX_class"] = np.bytes_("NXdata")
        group.attrs["signal"] = np.bytes_("data")
        group.attrs["axes"] = [np.bytes_(axis) for axis in ("energy", "sample_y", "sample_x")]
        group["data"] = counts
        group["stxm_scan_type"] = np.array([changes.get("scan_type", "sample image stack").encode()])
        for name, values, unit in (
            ("energy", energy_ev, b"eV"),
            ("sample_y", changes.get("y", Y_UM), changes.get("unit", "µm".encode())),
            ("sample_x", changes.get("x", X_UM), changes.get("unit", "µm".encode())),
            ("count_time", np.full(len(energy_ev), 0.01), b"s"),
        ):
            group[name] = values
            group[name].attrs["units"] = np.bytes_(unit)
        control = entry.create_group("control")
        control.attrs["NX_class"] = np.bytes_("NXmonitor")
        control["data"] = np.broadcast_to(400.0 + np.arange(len(counts))[:, None, None], counts.shape)
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.hdf5")
