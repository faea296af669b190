"""A small stack of ENVI, written by hand."""

from pathlib import Path

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, NX, NY, planted_counts

ORDERS = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
MAP = "map info = { Arbitrary, 1.0, 1.0, 19.9, -2.35, 0.2, 0.1, units = um }"


def write(
    path: Path,
    *,
    counts: np.ndarray | None = None,
    interleave: str = "bsq",
    dtype: str = "<f4",
    ending: str = ".img",
    offset: int = 0,
    lines: tuple[str, ...] = (MAP,),
) -> Path:
    """The header and its raw file; the path of the header. Rows of ``counts`` ascend, those of the file descend."""
    counts = planted_counts() if counts is None else counts
    code = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13}[dtype[1:]]
    said = [
        "ENVI",
        "description = { iron,\n  five energies }",
        f"samples = {NX}",
        f"lines   = {NY}",
        f"bands   = {len(counts)}",
        f"header offset = {offset}",
        "file type = ENVI Standard",
        f"data type = {code}",
        f"interleave = {interleave}",
        f"byte order = {int(dtype.startswith('>'))}",
        "; a remark",
        f"wavelength = {{ {', '.join(f'{energy:.2f}' for energy in ENERGY_EV[: len(counts)])} }}",
        "wavelength units = eV",
        *lines,
    ]
    header = path.with_suffix(".hdr")
    header.write_text("\n".join(said) + "\n")
    numbers = counts[:, ::-1].transpose(ORDERS[interleave]).astype(dtype).tobytes()
    path.with_suffix(ending).write_bytes(b"\0" * offset + numbers)
    return header


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan")
