"""A small scan as ptypy prepares it, written by hand."""

from itertools import pairwise
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
    weights: np.ndarray | None = None,
    splits: tuple[int, ...] = (5, 9),
    **meta: Any,
) -> Path:
    """Frames (POSITION, rows, columns) in pieces that end before ``splits``."""
    positions_um = scan_positions_um(len(frames)) if positions_um is None else positions_um
    weights = np.ones(frames.shape, bool) if weights is None else weights
    said = {
        "energy": 0.71,
        "distance": 0.1,
        "psize": np.full(2, 3e-5),
        "center": np.array(frames.shape[1:]) // 2,
        "shape": np.array(frames.shape[1:]),
        "label": "scan00",
    }
    with h5py.File(path, "w") as file:
        for name, value in (said | meta).items():
            file[f"meta/{name}"] = np.zeros(1) if value is None else value
            file[f"meta/{name}"].attrs["type"] = "None" if value is None else "scalar"
        file.create_group("info")
        edges = (0, *splits, len(frames))
        for number, (start, stop) in enumerate(pairwise(edges)):
            chunk = file.create_group(f"chunks/{number}")
            chunk["data"] = frames[start:stop]
            chunk["weights"] = weights[start:stop]
            chunk["positions"] = positions_um[start:stop] * 1e-6
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.ptyd", frames=diffraction_frames())


def write_small_example(folder: Path) -> Path:
    """The same with few frames, so that damage to it falls on what the numbers mean as often as on numbers."""
    return write(folder / "scan.ptyd", frames=diffraction_frames()[:5], splits=(3,))
