"""A small stack of aXis2000, written by hand."""

from pathlib import Path

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, NX, NY, X_UM, Y_UM, planted_counts


def write(path: Path, *, counts: np.ndarray | None = None, scale: float = 2.0, turned: bool = False) -> Path:
    """The .dat and its .ncb; the path of the .dat."""
    counts = planted_counts() if counts is None else counts
    y, x = (Y_UM[[-1, 0]], X_UM[[-1, 0]]) if turned else (Y_UM[[0, -1]], X_UM[[0, -1]])
    lines = [f"  {NX}  {NY}  {scale:.5f}", f"{x[0]} {x[1]}", f"{y[0]} {y[1]}", f" {len(counts)}"]
    lines += [f"{energy:.3f}" for energy in ENERGY_EV[: len(counts)]]
    lines += [f"image {n:03d} of an iron stack   {ENERGY_EV[n]:.2f}   1.50" for n in range(len(counts))]
    path.with_suffix(".dat").write_text("".join(line + "\r\n" for line in lines), newline="")
    numbers = np.asarray(counts, "<f4") if scale < 0 else np.round(counts * scale).astype("<i2")
    path.with_suffix(".ncb").write_bytes(numbers.tobytes())
    return path.with_suffix(".dat")


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan")
