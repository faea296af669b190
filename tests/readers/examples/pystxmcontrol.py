"""A small ptychography scan of pystxmcontrol, written by hand."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.readers.examples.planted import diffraction_frames, scan_positions_um


def write(
    path: Path,
    *,
    exposures: np.ndarray,
    darks: np.ndarray | None = None,
    positions_um: np.ndarray | None = None,
    measured: bool = True,
    left_out: tuple[int, ...] = (),
    **metadata: Any,
) -> Path:
    """Exposures (POSITION, EXPOSURE, rows, columns) and darks (n, rows, columns) as the camera gives them."""
    positions_um = scan_positions_um(len(exposures)) if positions_um is None else positions_um
    said: dict[str, Any] = {
        "energy": 710.0,
        "energyIndex": 0,
        "double_exposure": exposures.shape[1] == 2,
        "dwell1": 100.0,
        "dwell2": 10.0 if exposures.shape[1] == 2 else 0,
        "n_repeats": 1,
        "translations": (-positions_um).tolist(),
        "geometry": {"distance": 100.0, "psize": 30},
    }
    with h5py.File(path, "w", libver="latest") as file:
        entry = file.create_group("entry0")
        entry["definition"] = np.array([b"NXstxm"])
        entry["start_time"] = b"2025-11-13 16:28:08"
        entry["title"] = b"proposal"
        data = entry.create_group("default")
        data.attrs["NX_class"], data.attrs["signal"] = np.bytes_("NXdata"), "data"
        data.attrs["axes"] = [np.bytes_(axis) for axis in ("energy", "sample_y", "sample_x")]
        data["data"] = np.ones((1, 3, 4))
        data["energy"], data["sample_y"], data["sample_x"] = [710.0], np.arange(3.0), np.arange(4.0)
        data["stxm_scan_type"] = np.array([b"Ptychography Image"])
        for column, axis in enumerate(("sample_y", "sample_x")):
            values = -positions_um[:, column] if measured else np.zeros(len(positions_um))
            entry[f"instrument/{axis}/data"] = values[None]
        for number, frame in enumerate(exposures.reshape(-1, *exposures.shape[2:])):
            if number not in left_out:
                entry[f"ccd0/exp/{number}"] = frame
        entry.require_group("ccd0/dark")
        for number, frame in enumerate(() if darks is None else darks):
            entry[f"ccd0/dark/{number}"] = frame
        said |= metadata
        file["metadata"] = json.dumps({name: value for name, value in said.items() if value is not None})
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.stxm", exposures=diffraction_frames()[:, None])


def write_small_example(folder: Path) -> Path:
    """The same with few frames, so that damage to it falls on what the numbers mean as often as on numbers."""
    frames = diffraction_frames()
    return write(folder / "scan.stxm", exposures=frames[:5, None], darks=frames[5:7])
