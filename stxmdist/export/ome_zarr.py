"""OME-Zarr 0.5: optical density with energies as channels, particles and mask classes as labels, for image viewers.

Viewers draw the first row at the top, and y downward. Rows therefore begin with the highest y of the stage, as the
report draws it, and the image's y is minus that of the stage: then its scale is positive, as the format wants it.

Source: OME-NGFF 0.5, sections 2.2 (axes), 2.4 (multiscales), 2.5 (omero), 2.6 (labels).
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import DTypeLike
from zarr.codecs import BloscCodec
from zarr.core.common import JSON

from storage.atomic import plain_json
from storage.ome import VERSION
from stxmdist.arrays import F32, Array, MaskClass
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.source import ROWS, ExportSource, Stack, from_the_top
from stxmdist.pixel_pitch import pitch_yx_um

TILE_PX = 1024
"""Longest side of a chunk: what a viewer fetches at once."""
LEVELS = 2
"""Of the pyramid, the same for images and labels: readers refuse labels with another number."""
SHOWN_PERCENTILES = (1.0, 99.5)
PARTICLE_COLUMNS = ("d_eq_um", "area_um2", "thickness_nm", "soc_mean", "soc_se", "phase_class", "flags")
CLASS_COLOURS = {
    MaskClass.valid: (0, 0, 0, 0),
    MaskClass.background: (70, 70, 70, 255),
    MaskClass.edge: (230, 159, 0, 255),
    MaskClass.thick: (213, 94, 0, 255),
    MaskClass.low_count: (240, 228, 66, 255),
    MaskClass.missing: (0, 0, 0, 255),
    MaskClass.saturated: (204, 121, 167, 255),
    MaskClass.outside: (0, 114, 178, 255),
    MaskClass.poor_fit: (86, 180, 233, 255),
}


def offer(source: ExportSource, scan_id: str) -> Offer:
    """One image group for a scan."""
    without = source.published.why_unusable("segment", scan_id)
    lacks = (Lack(scan_id, "labels of the particles", without),) if without else ()
    stages = ("align",) if without else ("align", "segment")
    piece = Piece(scan_id, f"{scan_id}.ome.zarr", partial(_write, source, scan_id, stages))
    return Offer((piece,), lacks)


def _write(source: ExportSource, scan_id: str, stages: tuple[str, ...], target: Path) -> None:
    stack = source.stack(scan_id)
    group = zarr.create_group(store=target, zarr_format=3)
    levels = _levels(group, stack.transmission.shape, np.dtype(np.float32), ("c", "y", "x"), np.nan)
    channels = []
    # Plane by plane: beside the stack itself no second one is held.
    for energy in range(len(stack.energy_ev)):
        density = from_the_top(stack.optical_density(energy))
        levels[0][energy], levels[1][energy] = density, halved_image(density)
        channels.append(_channel(f"{stack.energy_ev[energy]:.2f} eV", density))
    attributes = {
        "ome": {
            "version": VERSION,
            "multiscales": [_multiscale(scan_id, ("c", "y", "x"), stack, "mean of 2 x 2 pixels, of those known")],
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
    group.update_attributes(_in_json(attributes))
    if "segment" in stages:
        _write_labels(group, source, scan_id, stack)


def _write_labels(group: zarr.Group, source: ExportSource, scan_id: str, stack: Stack) -> None:
    names = ("particles", "mask_class")
    labels = group.create_group("labels", attributes={"ome": {"version": VERSION, "labels": list(names)}})
    found, classes = (from_the_top(source.image("segment", scan_id, name)) for name in ("labels", "mask_class"))
    # A viewer takes 0 for what is between labels; where nothing is known the mask class says so.
    particles = np.where(found < 0, 0, found).astype(np.int32)
    about: dict[str, dict[str, object]] = {
        "particles": {"properties": _particles(source, scan_id)},
        "mask_class": {
            "properties": [{"label-value": int(item), "class": item.name} for item in MaskClass],
            "colors": [{"label-value": int(item), "rgba": list(rgba)} for item, rgba in CLASS_COLOURS.items()],
        },
    }
    meanings = {
        "particles": "particle number as in the table particles, 0 between them and where the mask class says why not",
        "mask_class": "why a pixel carries no number; 0 where it does",
    }
    for name, values in zip(names, (particles, classes), strict=True):
        details = {key: value for key, value in about[name].items() if value}
        ome = {
            "version": VERSION,
            "multiscales": [_multiscale(name, ("y", "x"), stack, "most frequent of 2 x 2 pixels")],
            "image-label": details | {"source": {"image": "../../"}},
        }
        attributes = {"ome": ome, "stxmdist": {"quantity": meanings[name]}}
        image = labels.create_group(name, attributes=_in_json(attributes))
        levels = _levels(image, values.shape, values.dtype, ("y", "x"), 0)
        levels[0][...], levels[1][...] = values, halved_labels(values)


def _in_json(attributes: object) -> dict[str, JSON]:
    """Attributes of a group as Zarr keeps them."""
    # Through text, because Zarr has a type of its own for what JSON can say.
    kept: dict[str, JSON] = json.loads(json.dumps(plain_json(attributes)))
    return kept


def _particles(source: ExportSource, scan_id: str) -> list[dict[str, object]]:
    """Figures of each particle, which viewers show under the pointer."""
    path = source.output("segment", scan_id).path / "particles.parquet"
    if not path.is_file():
        return []
    table = pq.read_table(path, partitioning=None)
    columns = [name for name in PARTICLE_COLUMNS if name in table.column_names]
    rows = table.select(["particle_id", *columns]).to_pylist()
    return [{"label-value": int(row.pop("particle_id"))} | row for row in rows]


def _levels(
    group: zarr.Group, shape: tuple[int, ...], dtype: DTypeLike, names: Sequence[str], fill: float
) -> list["zarr.Array[Any]"]:
    """The arrays of a pyramid, each at half the pixels of the one before, odd ones rounded up."""
    arrays = []
    for level in range(LEVELS):
        sides = [-(-n // 2**level) for n in shape[-2:]]
        front = shape[:-2]
        arrays.append(
            group.create_array(
                str(level),
                shape=(*front, *sides),
                dtype=dtype,
                chunks=(*(1 for _ in front), *(min(n, TILE_PX) for n in sides)),
                compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")],
                fill_value=fill,
                dimension_names=tuple(names),
            )
        )
    return arrays


def _multiscale(name: str, axes: Sequence[str], stack: Stack, how: str) -> dict[str, object]:
    """Scale and translation in um of every level; the centre of a coarse pixel is that of the fine ones under it."""
    pitch = dict(zip(("y", "x"), pitch_yx_um(stack.y_um, stack.x_um).tolist(), strict=True))
    first = {"y": -float(stack.y_um[-1]), "x": float(stack.x_um[0])}
    datasets = []
    for level in range(LEVELS):
        factor = 2**level
        scale = [factor * pitch[axis] if axis in pitch else 1.0 for axis in axes]
        start = [first[axis] + 0.5 * (factor - 1) * pitch[axis] if axis in pitch else 0.0 for axis in axes]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": start}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    return {"name": name, "type": how, "axes": [_axis(axis) for axis in axes], "datasets": datasets}


def _axis(name: str) -> dict[str, str]:
    if name == "c":
        return {"name": "c", "type": "channel"}
    return {"name": name, "type": "space", "unit": "micrometer"}


def _channel(label: str, density: F32) -> dict[str, object]:
    """How a viewer shows one energy: grey, between percentiles."""
    known = density[np.isfinite(density)]
    low, high = np.percentile(known, SHOWN_PERCENTILES) if known.size else (0.0, 1.0)
    least, most = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    window = {"min": least, "max": most, "start": float(low), "end": float(high)}
    return {"label": label, "color": "FFFFFF", "active": True, "window": window}


def halved_image(values: Array) -> Array:
    """(..., Y, X) at half the pixels, odd ones rounded up: the mean of the known pixels of 2 x 2; NaN where none is."""
    blocks = _blocks_of_four(values)
    known = np.isfinite(blocks)
    count = known.sum(axis=0)
    total = np.where(known, blocks, 0).sum(axis=0, dtype=np.float64)
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.astype(values.dtype)


def halved_labels(values: Array) -> Array:
    """(Y, X) at half the pixels, odd ones rounded up: the most frequent of 2 x 2, the first of equals."""
    blocks = _blocks_of_four(values)
    votes = (blocks[:, None] == blocks[None]).sum(axis=1)
    winner: Array = np.take_along_axis(blocks, votes.argmax(axis=0)[None], axis=0)[0]
    return winner


def _blocks_of_four(values: Array) -> Array:
    """(4, ..., Y', X'): the pixels of each 2 x 2 block; the last row and column are repeated where one is missing."""
    odd = [(0, 0)] * (values.ndim - 2) + [(0, n % 2) for n in values.shape[-2:]]
    even = np.pad(values, odd, mode="edge")
    return np.stack([even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)])
