"""OME-Zarr 0.5: optical density with energies as channels, particles and mask classes as labels, for image viewers.

Rows begin with the highest y of the stage: see ``stxmdist.export.ome_parts``.
"""

from functools import partial
from pathlib import Path

import numpy as np
import zarr

from storage.ome import VERSION
from stxmdist.arrays import F32
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.ome_parts import (
    MEAN,
    Raster,
    Window,
    declare_levels,
    in_json,
    multiscale,
    shown,
    write_channel,
    write_labels,
)
from stxmdist.export.source import ROWS, ExportSource, from_the_top

SHOWN_PERCENTILES = (1.0, 99.5)


def offer(source: ExportSource, scan_id: str) -> Offer:
    """One image group for a scan."""
    without = source.published.why_unusable("segment", scan_id)
    lacks = (Lack(scan_id, "labels of the particles", without),) if without else ()
    stages = ("align",) if without else ("align", "segment")
    piece = Piece(scan_id, f"{scan_id}.ome.zarr", partial(_write, source, scan_id, stages))
    return Offer((piece,), lacks)


def _write(source: ExportSource, scan_id: str, stages: tuple[str, ...], target: Path) -> None:
    stack = source.stack(scan_id)
    raster = Raster.of(stack.y_um, stack.x_um)
    group = zarr.create_group(store=target, zarr_format=3)
    levels = declare_levels(group, raster, np.float32, np.nan, channels=len(stack.energy_ev))
    windows = []
    # Plane by plane: beside the stack itself no second one is held.
    for energy in range(len(stack.energy_ev)):
        density = from_the_top(stack.optical_density(energy))
        write_channel(levels, energy, density)
        windows.append(_window(density))
    # Viewers add channels up: only the most absorbing one is shown at first.
    strongest = int(np.argmax([window.end for window in windows]))
    channels = [
        shown(f"{energy_ev:.2f} eV", window, active=energy == strongest)
        for energy, (energy_ev, window) in enumerate(zip(stack.energy_ev, windows, strict=True))
    ]
    attributes = {
        "ome": {
            "version": VERSION,
            "multiscales": [multiscale(scan_id, raster, MEAN, channels=True)],
            "omero": {"channels": channels},
        },
        "stxmdist": {
            "quantity": "optical density, -ln of the aligned transmission; NaN where not measured",
            "unit": "1",
            "energy_ev": stack.energy_ev,
            "energy_used": stack.energy_used,
            "rows": ROWS,
            "first_pixel_um": {"y": stack.y_um[-1], "x": stack.x_um[0]},
            "provenance": source.provenance(scan_id, stages),
        },
    }
    group.update_attributes(in_json(attributes))
    if "segment" in stages:
        write_labels(group, source, scan_id, raster)


def _window(density: F32) -> Window:
    """How a viewer shows one energy: between percentiles."""
    known = density[np.isfinite(density)]
    if not known.size:
        return Window(0.0, 1.0, 0.0, 1.0)
    low, high = np.percentile(known, SHOWN_PERCENTILES)
    return Window(float(known.min()), float(known.max()), float(low), float(high))
