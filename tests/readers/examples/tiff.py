"""A small TIFF stack."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, planted_counts


def write(path: Path, *, counts: np.ndarray | None = None, labelled: bool = True, **how: Any) -> Path:
    import tifffile

    counts = planted_counts().astype(np.float32) if counts is None else counts
    metadata: dict[str, Any] = {"axes": "ZYX", "unit": "um"}
    if labelled:
        metadata["Labels"] = [f"{energy:.2f} eV" for energy in ENERGY_EV[: len(counts)]]
    how = {"imagej": True, "resolution": (5.0, 10.0), "metadata": metadata} | how
    tifffile.imwrite(path, counts, **how)
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.tif")
