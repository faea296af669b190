"""A small stack of Stony Brook, written by hand."""

from pathlib import Path

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, X_UM, Y_UM, planted_counts


def write(
    path: Path,
    *,
    counts: np.ndarray | None = None,
    y: np.ndarray = Y_UM,
    x: np.ndarray = X_UM,
    energies: np.ndarray = ENERGY_EV,
) -> Path:
    counts = planted_counts() if counts is None else counts
    sizes = np.array([len(x), len(y), len(counts)], ">i4").tobytes()
    dwell = np.full(len(counts), 2.5)
    numbers = [np.asarray(part, ">f4").tobytes() for part in (x, y, energies[: len(counts)], dwell, counts)]
    path.write_bytes(sizes + b"".join(numbers))
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.stk")
