"""TIFF: 32-bit float maps that ImageJ opens upright, with their scale in um."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from storage.atomic import plain_json
from stxmdist.arrays import F32, F64
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ROWS, ExportSource, from_the_top
from stxmdist.pixel_pitch import pitch_yx_um

MOST_BYTES = 4_000_000_000
"""ImageJ's TIFF counts bytes in 32 bits."""
MAPS = ("soc", "soc_se", "thickness_nm")
COMPONENTS = ("discharged", "charged")


def offer(source: ExportSource, scan_id: str) -> Offer:
    """Optical density, state of charge with its error, and thickness of a scan, each in a file of its own."""
    pieces: list[Piece] = []
    lacks: list[Lack] = []
    why = source.published.why_unusable("align", scan_id)
    if why:
        lacks.append(Lack(scan_id, "optical density", why))
    else:
        output = source.output("align", scan_id)
        if output.array("transmission").nbytes > MOST_BYTES:
            lacks.append(Lack(scan_id, "optical density", "larger than the 4 GB of an ImageJ TIFF; take ome-zarr"))
        else:
            pieces.append(Piece(scan_id, f"{scan_id}_od.tif", partial(_write_density, source, scan_id)))
    why = source.published.why_unusable("fit", scan_id)
    if why:
        lacks.append(Lack(scan_id, "state of charge and thickness", why))
    else:
        present = source.output("fit", scan_id).arrays()
        for name in MAPS:
            if name in present:
                file_name = f"{scan_id}_{name.removesuffix('_nm')}.tif"
                pieces.append(Piece(scan_id, file_name, partial(_write_map, source, scan_id, name)))
            else:
                lacks.append(Lack(scan_id, name, "the fit left no such map"))
    return Offer(tuple(pieces), tuple(lacks))


def _write_density(source: ExportSource, scan_id: str, target: Path) -> None:
    stack = source.stack(scan_id)
    density = np.stack([stack.optical_density(energy) for energy in range(len(stack.energy_ev))])
    about = {
        "quantity": "optical density, -ln of the aligned transmission",
        "unit": "1",
        "energy_ev": stack.energy_ev,
    } | source.provenance(scan_id, ("align",))
    labels = [f"{energy:.2f} eV" for energy in stack.energy_ev]
    _write(target, density, "ZYX", (stack.y_um, stack.x_um), labels, about)


def _write_map(source: ExportSource, scan_id: str, name: str, target: Path) -> None:
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
    about: dict[str, object],
) -> None:
    """A hyperstack (axes, Y, X) with pixels per um in the resolution tags; ``about`` stands in ImageJ's Info.

    ImageJ draws the first row at the top, and counts y downward: its y is minus that of the stage.
    """
    import tifffile

    y_um, x_um = coordinates
    pitch_y_um, pitch_x_um = pitch_yx_um(y_um, x_um).tolist()
    metadata: dict[str, object] = {
        "axes": axes,
        "unit": "um",
        # ImageJ counts from the corner of the first pixel: there its coordinate is minus origin times pitch.
        "xorigin": 0.5 - float(x_um[0]) / pitch_x_um,
        "yorigin": 0.5 - float(-y_um[-1]) / pitch_y_um,
        "Info": json.dumps(
            plain_json(about | {"rows": ROWS, "first_pixel_um": {"y": y_um[-1], "x": x_um[0]}}), indent=1
        ),
    }
    if labels:
        metadata["Labels"] = list(labels)
    # ImageJ reads the resolution in pixels per unit, the unit from its own description.
    tifffile.imwrite(
        target,
        from_the_top(values),
        imagej=True,
        resolution=(1.0 / pitch_x_um, 1.0 / pitch_y_um),
        resolutionunit="NONE",
        metadata=metadata,
    )
