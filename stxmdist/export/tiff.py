"""TIFF: 32-bit float maps that ImageJ opens with their scale in um."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from storage.atomic import plain_json
from stxmdist.arrays import F32, F64
from stxmdist.export.pieces import Lack, Offer, Piece
from stxmdist.export.source import Source

MOST_BYTES = 4_000_000_000
"""ImageJ's TIFF counts bytes in 32 bits."""
MAPS = ("soc", "soc_se", "thickness_nm")
COMPONENTS = ("discharged", "charged")


def offer(source: Source) -> Offer:
    """Optical density, state of charge with its error, and thickness of every scan, each in a file of its own."""
    return sum((_of_scan(source, scan.scan_id) for scan in source.scans), Offer())


def _of_scan(source: Source, scan_id: str) -> Offer:
    pieces: list[Piece] = []
    lacks: list[Lack] = []
    why = source.lack("align", scan_id)
    if why:
        lacks.append(Lack(scan_id, "optical density", why))
    else:
        output = source.output("align", scan_id)
        if output.array("transmission").nbytes > MOST_BYTES:
            lacks.append(Lack(scan_id, "optical density", "larger than the 4 GB of an ImageJ TIFF; take ome-zarr"))
        else:
            pieces.append(Piece(scan_id, f"{scan_id}_od.tif", partial(_write_density, source, scan_id)))
    why = source.lack("fit", scan_id)
    if why:
        lacks.append(Lack(scan_id, "state of charge and thickness", why))
    else:
        present = source.output("fit", scan_id).arrays()
        for name in MAPS:
            if name in present:
                file_name = f"{scan_id}_{name.removesuffix('_nm')}.tif"
                pieces.append(Piece(scan_id, file_name, partial(_write_map, source, scan_id, name)))
            else:
                lacks.append(Lack(scan_id, name, "the fit has left no such map"))
    return Offer(tuple(pieces), tuple(lacks))


def _write_density(source: Source, scan_id: str, target: Path) -> None:
    stack = source.stack(scan_id)
    density = np.stack([stack.optical_density(energy) for energy in range(len(stack.energy_ev))])
    about = {
        "quantity": "optical density, -ln of the aligned transmission",
        "unit": "1",
        "energy_ev": stack.energy_ev,
    } | source.provenance(scan_id, ("align",))
    labels = [f"{energy:.2f} eV" for energy in stack.energy_ev]
    _write(target, density, "ZYX", (stack.y_um, stack.x_um), labels, about)


def _write_map(source: Source, scan_id: str, name: str, target: Path) -> None:
    values = source.image("fit", scan_id, name).astype(np.float32)
    attrs = source.output("fit", scan_id).attrs(name)
    unit = str(attrs.get("units", "1"))
    about = {"quantity": attrs.get("long_name", name), "unit": unit} | source.provenance(scan_id, ("fit",))
    labels = [f"{component}, {unit}" for component in COMPONENTS] if values.ndim == 3 else []
    axes = "CYX" if values.ndim == 3 else "YX"
    _write(target, values, axes, source.axes("fit", scan_id), labels, about)


def _write(
    target: Path,
    values: F32,
    axes: str,
    coordinates: tuple[F64, F64],
    labels: Sequence[str],
    about: dict[str, Any],
) -> None:
    """A hyperstack (axes, Y, X) with pixels per um in the resolution tags; ``about`` stands in ImageJ's Info."""
    import tifffile

    pitches = [_pitch(axis) for axis in coordinates]
    y_um, x_um = coordinates
    metadata: dict[str, Any] = {
        "axes": axes,
        "unit": "um",
        # ImageJ counts from the corner of the first pixel: there its coordinate is minus origin times pitch.
        "xorigin": 0.5 - float(x_um[0]) / pitches[1],
        "yorigin": 0.5 - float(y_um[0]) / pitches[0],
        "Info": json.dumps(
            plain_json(about | {"rows": "y grows downward", "first_pixel_um": {"y": y_um[0], "x": x_um[0]}}), indent=1
        ),
    }
    if labels:
        metadata["Labels"] = list(labels)
    # ImageJ reads the resolution in pixels per unit, the unit from its own description.
    writer: Callable[..., Any] = tifffile.imwrite
    writer(
        target,
        values,
        imagej=True,
        resolution=(1.0 / pitches[1], 1.0 / pitches[0]),
        resolutionunit="NONE",
        metadata=metadata,
    )


def _pitch(axis: F64) -> float:
    return float(axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0
