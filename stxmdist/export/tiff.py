"""TIFF: maps that ImageJ opens upright, with their scale in um: 32-bit floats, and particles as whole numbers.

ImageJ knows no whole numbers of 32 bits. Labels have 16 bits, or are floats, which are exact up to 2^24, where a scan
has more particles than these can count.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from storage.atomic import plain_json
from stxmdist.arrays import F64, Array
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ROWS, ExportSource, from_the_top
from stxmdist.pixel_pitch import pitch_yx_um

MOST_BYTES = 4_000_000_000
"""ImageJ's TIFF counts bytes in 32 bits."""
MAPS = {"soc": "soc", "soc_se": "soc_se", "thickness_nm": "thickness", "chi2_reduced": "chi2"}
"""Of the fit, to the ending of the file's name"""
COMPONENTS = ("discharged", "charged")


def offer(source: ExportSource, scan_id: str) -> Offer:
    """A file for each: optical density and phase, state of charge, its error, thickness, misfit, particles."""
    return sum((_stacks(source, scan_id), _maps(source, scan_id), _labels(source, scan_id)), Offer())


def _stacks(source: ExportSource, scan_id: str) -> Offer:
    why = source.published.why_unusable("align", scan_id)
    if why:
        return Offer(lacks=(Lack(scan_id, "optical density", why),))
    output = source.output("align", scan_id)
    wanted = {"optical density": ("transmission", "od", _write_density)}
    if "phase" in output.arrays():
        wanted["phase"] = ("phase", "phase", _write_phase)
    pieces: list[Piece] = []
    lacks: list[Lack] = []
    for what, (array, ending, write) in wanted.items():
        if output.array(array).nbytes > MOST_BYTES:
            lacks.append(Lack(scan_id, what, "larger than the 4 GB of an ImageJ TIFF; take ome-zarr"))
        else:
            pieces.append(Piece(scan_id, f"{scan_id}_{ending}.tif", partial(write, source, scan_id)))
    return Offer(tuple(pieces), tuple(lacks))


def _maps(source: ExportSource, scan_id: str) -> Offer:
    why = source.published.why_unusable("fit", scan_id)
    if why:
        return Offer(lacks=(Lack(scan_id, "maps of state of charge, thickness and misfit", why),))
    present = source.output("fit", scan_id).arrays()
    pieces = tuple(
        Piece(scan_id, f"{scan_id}_{ending}.tif", partial(_write_map, source, scan_id, name))
        for name, ending in MAPS.items()
        if name in present
    )
    return Offer(pieces, tuple(Lack(scan_id, name, "the fit left no such map") for name in MAPS if name not in present))


def _labels(source: ExportSource, scan_id: str) -> Offer:
    why = source.published.why_unusable("segment", scan_id)
    if why:
        return Offer(lacks=(Lack(scan_id, "particles", why),))
    return Offer((Piece(scan_id, f"{scan_id}_particles.tif", partial(_write_labels, source, scan_id)),))


def _write_density(source: ExportSource, scan_id: str, target: Path) -> None:
    stack = source.stack(scan_id)
    density = np.stack([stack.optical_density(energy) for energy in range(len(stack.energy_ev))])
    about = {
        "quantity": "optical density, -ln of the aligned transmission",
        "unit": "1",
        "energy_ev": stack.energy_ev,
    } | source.provenance(scan_id, ("align",))
    _write(target, density, "ZYX", (stack.y_um, stack.x_um), _energies(stack.energy_ev), about)


def _write_phase(source: ExportSource, scan_id: str, target: Path) -> None:
    energy_ev = np.asarray(source.output("align", scan_id).read("energy_ev"), np.float64)
    about = {
        "quantity": "phase of the aligned transmission, which ptychography alone has",
        "unit": "rad",
        "energy_ev": energy_ev,
    } | source.provenance(scan_id, ("align",))
    values = source.image("align", scan_id, "phase").astype(np.float32)
    _write(target, values, "ZYX", source.axes("align", scan_id), _energies(energy_ev), about)


def _energies(energy_ev: F64) -> list[str]:
    return [f"{energy:.2f} eV" for energy in energy_ev]


def _write_map(source: ExportSource, scan_id: str, name: str, target: Path) -> None:
    values = source.image("fit", scan_id, name).astype(np.float32)
    attrs = source.output("fit", scan_id).attrs(name)
    unit = str(attrs.get("units", "1"))
    about = {"quantity": attrs.get("long_name", name), "unit": unit} | source.provenance(scan_id, ("fit",))
    labels = [f"{component}, {unit}" for component in COMPONENTS] if values.ndim == 3 else []
    axes = "CYX" if values.ndim == 3 else "YX"
    _write(target, values, axes, source.axes("fit", scan_id), labels, about)


def _write_labels(source: ExportSource, scan_id: str, target: Path) -> None:
    # Viewers take 0 for what is between particles.
    labels = np.maximum(source.image("segment", scan_id, "labels"), 0)
    dtype = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.float32
    about = {
        "quantity": "particle number as in the table particles, 0 between particles and where nothing is known",
        "unit": "",
    } | source.provenance(scan_id, ("segment",))
    _write(target, labels.astype(dtype), "YX", source.axes("segment", scan_id), (), about)


def _write(
    target: Path,
    values: Array,
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
